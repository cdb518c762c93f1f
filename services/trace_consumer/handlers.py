"""The edge job: minutes that received half-edges are computed again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.trace_consumer.domain import changes, stretches
from services.trace_consumer.ports import PAIRING_WAIT, EdgeStore

OVERLAP = timedelta(seconds=15)  # an insert may become readable this long after the time its rows carry
STRETCH = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run did."""

    minutes: int = 0
    rows_written: int = 0


class EdgeJob:
    """Keeps `service_edges_1m` in step with the half-edges. Running it twice, or in two processes, does no harm."""

    def __init__(self, store: EdgeStore, wait: timedelta = PAIRING_WAIT) -> None:
        self._store = store
        self._wait = wait
        self._done_until: datetime | None = None

    def run_once(self) -> Outcome:
        """Bring every minute touched since the last run up to date; raises what the store raises, and repeats then."""
        started = self._store.now()
        done_until = self._done_until or self._store.last_written()
        since = done_until - self._wait - OVERLAP if done_until else None
        todo = stretches(self._store.touched_since(since), STRETCH)
        written = 0
        for stretch in todo:
            computed = self._store.compute(stretch, started - self._wait)
            rows = changes(self._store.known(stretch), computed)
            if rows:
                self._store.write(stretch.tenant, rows, started)
                written += len(rows)
        self._done_until = started
        return Outcome(sum(len(s.minutes) for s in todo), written)
