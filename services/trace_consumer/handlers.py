"""The edge job: minutes that received half-edges are computed again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.trace_consumer.domain import TenantMinute, changes, in_turn, stretches
from services.trace_consumer.ports import PAIRING_WAIT, EdgeStore

OVERLAP = timedelta(seconds=15)  # an insert may become readable this long after the time its rows carry
STRETCH = timedelta(minutes=30)
BUDGET = timedelta(seconds=3)  # of a run, before it looks for newer minutes again
MAY_HAVE_WAITED = timedelta(hours=1)  # minutes that a predecessor knew of and had not come to


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run did, and how many minutes it left for the next."""

    minutes: int = 0
    rows_written: int = 0
    waiting: int = 0


class EdgeJob:
    """Keeps `service_edges_1m` in step with the half-edges. Running it twice, or in two processes, does no harm.

    Newest minutes come first: one tenant's backlog must not make the edges late that an incident of another needs.
    """

    def __init__(self, store: EdgeStore, wait: timedelta = PAIRING_WAIT) -> None:
        self._store = store
        self._wait = wait
        self._done_until: datetime | None = None
        self._waiting: frozenset[TenantMinute] = frozenset()

    def run_once(self) -> Outcome:
        """Bring minutes touched since the last run up to date, as many as the budget allows and at least two stretches.

        Raises what the store raises, and repeats then.
        """
        started = self._store.now()
        touched = self._store.touched_since(self._since())
        todo = in_turn(stretches({*touched, *self._waiting}, STRETCH), bool(self._waiting))
        written = done = 0
        for stretch in todo:
            if done >= 2 and self._store.now() - started >= BUDGET:
                break
            computed = self._store.compute(stretch, started - self._wait)
            rows = changes(self._store.known(stretch), computed)
            if rows:
                self._store.write(stretch.tenant, rows, started)
                written += len(rows)
            done += 1
        left = todo[done:]
        self._done_until = started
        self._waiting = frozenset(TenantMinute(s.tenant, minute) for s in left for minute in s.minutes)
        return Outcome(sum(len(s.minutes) for s in todo[:done]), written, len(self._waiting))

    def _since(self) -> datetime | None:
        if self._done_until is not None:
            return self._done_until - self._wait - OVERLAP
        written = self._store.last_written()
        return written - MAY_HAVE_WAITED if written else None
