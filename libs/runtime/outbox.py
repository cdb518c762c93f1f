"""Running a service's outbox: its relay, and a watch over the topics that relays write in transactions."""

from __future__ import annotations

from libs.kernel.clock import SystemClock
from libs.messaging.hanging import HangingWatch, Transactions
from libs.messaging.topics import WRITTEN_IN_TRANSACTIONS
from libs.runtime.lifecycle import Lifecycle
from libs.storage.outbox_relay import Relay, RelayOptions


def run_outbox(
    lifecycle: Lifecycle, url: str, schema: str, bootstrap: str, options: RelayOptions | None = None
) -> None:
    """Run both until the lifecycle ends, each with a readiness check. `url` is Postgres' address.

    Every service watches every such topic: who left a transaction hanging may be gone.
    """
    relay = Relay(url, schema, bootstrap, options)
    lifecycle.health.check("outbox", relay.lagging)
    lifecycle.background("outbox_relay", relay.run)
    watch = HangingWatch(Transactions(bootstrap, [topic.name for topic in WRITTEN_IN_TRANSACTIONS]), SystemClock())
    lifecycle.health.check("transactions", watch.problem)
    lifecycle.background("transactions_watch", watch.run)
