"""The edge job: minutes that received half-edges are computed again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from libs.kernel.errors import InvalidInput
from services.trace_consumer.domain import Stretch, TenantMinute, changes, in_turn, stretches
from services.trace_consumer.ports import PAIRING_WAIT, EdgeStore

OVERLAP = timedelta(seconds=15)  # an insert may become readable this long after the time its rows carry
STRETCH = timedelta(minutes=30)
BUDGET = timedelta(seconds=3)  # of a run, before it looks for newer minutes again
log = structlog.get_logger()
MAY_HAVE_WAITED = timedelta(hours=1)  # minutes that a predecessor knew of and had not come to


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run did, and how many minutes it left for the next."""

    minutes: int = 0
    rows_written: int = 0
    waiting: int = 0
    refused: int = 0  # stretches the store said no to: they wait as well, and hold up none of the others


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

        Raises Unavailable as the store does, and repeats then.
        """
        started = self._store.now()
        touched = self._store.touched_since(self._since())
        todo = in_turn(stretches({*touched, *self._waiting}, STRETCH), bool(self._waiting))
        written = done = 0
        refused: list[Stretch] = []
        for stretch in todo:
            if done >= 2 and self._store.now() - started >= BUDGET:
                break
            try:
                written += self._update(stretch, started)
            except InvalidInput as error:
                log.error("edges_refused", tenant=stretch.tenant, minutes=len(stretch.minutes), error=str(error))
                refused.append(stretch)
            done += 1
        left = [*todo[done:], *refused]
        self._done_until = started
        self._waiting = frozenset(TenantMinute(s.tenant, minute) for s in left for minute in s.minutes)
        minutes = sum(len(s.minutes) for s in todo[:done] if s not in refused)
        return Outcome(minutes, written, len(self._waiting), len(refused))

    def _update(self, stretch: Stretch, started: datetime) -> int:
        """Bring the minutes of a stretch up to date; return how many edges changed."""
        rows = changes(self._store.known(stretch), self._store.compute(stretch, started - self._wait))
        if rows:
            self._store.write(stretch.tenant, rows, started)
        return len(rows)

    def _since(self) -> datetime | None:
        if self._done_until is not None:
            return self._done_until - self._wait - OVERLAP
        written = self._store.last_written()
        return written - MAY_HAVE_WAITED if written else None
