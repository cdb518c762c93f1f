"""A shop with an outage, behind in-memory ports: what route and browser tests show pages of.

`python -m tests.unit.services.console.world` serves it on 127.0.0.1:8090 to be looked at; `--empty` without data.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
from incidentscope.incident.v1 import incident_pb2
from starlette.types import ASGIApp

from libs.access.tenants import TenantRegistry
from libs.kernel.clock import ManualClock
from libs.kernel.timewindow import floor_minute
from libs.runtime.health import Health
from services.console.adapters import http
from services.console.domain.doors import Doors
from services.console.handlers.live import Change, LiveFeed
from tests.unit.services.console.memory_services import TENANT, MemoryDeploys, MemoryIncidents
from tests.unit.services.console.memory_telemetry import MemoryTelemetry
from tests.unit.services.console.stamps import stamp
from tests.unit.services.console.story import alike, bad_deploy, too_early

KEY = "test-key"
DOORS = Doors(
    otlp_grpc="otlp.example:1", otlp_http="http://otlp.example:3", alerts="http://alerts.example:5",
    deploys="http://deploys.example:7",
)  # fmt: skip


class World:
    """The shop, its outage, and the console in front of it."""

    def __init__(self, folder: Path, now: datetime | None = None, anonymous: str = TENANT, empty: bool = False) -> None:
        self.now = now or datetime.now(UTC)
        self.clock = ManualClock(self.now)
        self.onset = floor_minute(self.now - timedelta(minutes=19))
        self.incidents = MemoryIncidents(self.clock)
        self.deploys = MemoryDeploys()
        self.telemetry = MemoryTelemetry(self.onset, self.now)
        self.feed = LiveFeed()
        self.tenants = registry(folder, anonymous)
        self.telemetry.empty = empty
        if not empty:
            self._outage()
            self._history()

    def _outage(self) -> None:
        self.main = self.incidents.add(
            TENANT, "checkout: error rate 28 % (threshold 5 %)", self.onset,
            severity=incident_pb2.INCIDENT_SEVERITY_CRITICAL, services=["checkout", "frontend"],
            group_key="{service=checkout}",
        )  # fmt: skip
        at = self.onset + timedelta(minutes=2)
        alert, note = incident_pb2.TIMELINE_KIND_ALERT, incident_pb2.TIMELINE_KIND_NOTE
        self.incidents.note(self.main.id, alert, at, "alert_router", "checkout: error rate 28 % for 2 minutes")
        text = "frontend: error rate 4.2 %"
        self.incidents.note(self.main.id, alert, at + timedelta(minutes=1), "alert_router", text)
        text = "Likely cause: payments (bad deploy), 87 % confident."
        kind = incident_pb2.TIMELINE_KIND_HYPOTHESIS
        self.incidents.note(self.main.id, kind, at + timedelta(minutes=3), "correlation_engine", text)
        text = "Looked at payments: stack traces since the deploy.\nRolling back."
        self.incidents.note(self.main.id, note, at + timedelta(minutes=6), "Ana", text)
        self.incidents.analyses[self.main.id] = bad_deploy(self.main.id, self.onset)
        self.incidents.older[self.main.id] = [too_early(self.main.id, self.onset)]
        page = "https://github.com/shop/payments/deployments/1"
        self.deploys.add("d1", "payments", "v2.31.0", self.onset - timedelta(minutes=2), page)
        self.deploys.add("d2", "recommendations", "v1.9.2", self.onset - timedelta(minutes=21), "")
        self.deploys.add("d3", "quotes", "2026-11-21.4", self.onset - timedelta(minutes=95), "")

    def _history(self) -> None:
        titles = (
            "cart: p95 latency 1.2 s (threshold 500 ms)",
            '<script>alert(1)</script> & "quotes"',
            "quotes: no calls for 10 minutes",
        )
        for n, title in enumerate(titles, start=1):
            began = self.now - timedelta(hours=7 * n * n)
            made = self.incidents.add(
                TENANT, title, began, severity=3 - n if n < 3 else 0, services=[title.partition(":")[0][:20]],
            )  # fmt: skip
            made.status = [2, 3, 3][n - 1]  # type: ignore[assignment]
            if made.status == incident_pb2.INCIDENT_STATUS_RESOLVED:
                made.resolved_at.CopyFrom(stamp(began + timedelta(minutes=37)))
                made.resolved_by = "alertmanager"
        past = next(i for i in self.incidents.kept.values() if i.title.startswith("quotes"))
        self.incidents.similar[self.main.id] = alike(past, self.onset)

    def app(self) -> ASGIApp:
        """Return the console of this world."""
        health = Health("console")
        health.started()
        return http.build(
            self.incidents, self.deploys, self.telemetry, self.feed, self.tenants, self.clock, DOORS, health.routes()
        )

    def tell(self, kind: str, subject: str, topic: str = "incidents.events") -> None:
        """Announce a change, from any thread."""
        self.feed.announce_from_thread(Change(TENANT, topic, kind, subject))


def registry(folder: Path, anonymous: str) -> TenantRegistry:
    """Return a registry of two tenants; the shop has a key."""
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    path = folder / "tenants.json"
    path.write_text(json.dumps({"tenants": [{"id": TENANT, "api_keys_sha256": [digest]}, {"id": "other"}]}))
    return TenantRegistry(path, anonymous, trust_header=True)


async def _serve() -> None:
    world = World(Path(tempfile.mkdtemp()), empty="--empty" in sys.argv)
    world.feed.open()
    world.feed.set_connected(True)
    await uvicorn.Server(uvicorn.Config(world.app(), port=8090, log_config=None, lifespan="off")).serve()


if __name__ == "__main__":
    asyncio.run(_serve())
