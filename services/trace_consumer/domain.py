"""Which minutes of service edges to compute again, and what has changed in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

MINUTE = timedelta(minutes=1)


class TenantMinute(NamedTuple):
    """One minute of one tenant."""

    tenant: str
    minute: datetime


class EdgeKey(NamedTuple):
    """One edge in one minute. `instrumented` is False where the server is a virtual node."""

    minute: datetime
    client: str
    server: str
    connection_type: str
    instrumented: bool


class EdgeCounts(NamedTuple):
    """What happened on an edge in its minute; durations in nanoseconds."""

    calls: int = 0
    errors: int = 0
    client_duration: int = 0
    server_duration: int = 0
    unpaired: int = 0


GONE = EdgeCounts()


@dataclass(frozen=True, slots=True)
class Stretch:
    """Minutes of one tenant that are near each other, so that one query answers for all of them."""

    tenant: str
    minutes: tuple[datetime, ...]

    @property
    def first(self) -> datetime:
        """Return the earliest minute."""
        return self.minutes[0]

    @property
    def last(self) -> datetime:
        """Return the latest minute."""
        return self.minutes[-1]


def stretches(touched: Iterable[TenantMinute], max_length: timedelta) -> list[Stretch]:
    """Return touched minutes as stretches, each from first to last minute shorter than max_length."""
    found: list[Stretch] = []
    minutes: list[datetime] = []
    tenant = ""
    for one in sorted(set(touched)):
        if minutes and (one.tenant != tenant or one.minute - minutes[0] >= max_length):
            found.append(Stretch(tenant, tuple(minutes)))
            minutes = []
        tenant = one.tenant
        minutes.append(one.minute)
    if minutes:
        found.append(Stretch(tenant, tuple(minutes)))
    return found


def in_turn(todo: Iterable[Stretch], overdue: bool) -> list[Stretch]:
    """Return stretches newest first; where some are overdue, the oldest comes second, so that none waits for ever."""
    turn = sorted(todo, key=lambda stretch: stretch.last, reverse=True)
    if overdue and len(turn) > 2:
        turn.insert(1, turn.pop())
    return turn


def changes(known: Mapping[EdgeKey, EdgeCounts], computed: Mapping[EdgeKey, EdgeCounts]) -> dict[EdgeKey, EdgeCounts]:
    """Return the rows to write: edges that are new or different, and zeros for those that are gone."""
    gone = {key: GONE for key, counts in known.items() if key not in computed and counts != GONE}
    return gone | {key: counts for key, counts in computed.items() if known.get(key) != counts}
