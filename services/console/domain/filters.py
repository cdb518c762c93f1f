"""What a list is narrowed and sorted by: read from its address in one way for all lists, and written back into links.

`q` are words; `service`, `severity` and `status` may each be given several times; `last` (such as `24h`) or `since` and
`until` are times; `sort` and `order` (`asc`, `desc`) give the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from libs.kernel.errors import InvalidInput
from libs.kernel.search import words
from libs.kernel.timewindow import TimeWindow
from services.console.domain import windows
from services.console.domain.models import Status

NAME_CHARS, MOST_SERVICES = 200, 100
TIMES = ("last", "since", "until")
ORDERS = ("desc", "asc")
PERIODS = {"1h": "last hour", "24h": "last 24 hours", "7d": "last 7 days", "30d": "last 30 days"}
SEVERITIES = {"critical": "critical", "major": "major", "minor": "minor", "unspecified": "not judged"}
GOING_ON = tuple(s.value for s in Status if s is not Status.UNKNOWN and not s.over)
OVER = tuple(s.value for s in Status if s.over)
STATUSES = {word: word for word in GOING_ON + OVER}
ALERT_STATES = {"firing": "firing", "no_data": "no data", "resolved": "resolved"}


@dataclass(frozen=True, slots=True)
class Offer:
    """What one list can be narrowed and sorted by: names of filters, words of those that have fixed ones, columns.

    The first of `sorts` is the usual one; `rising` are those that usually begin with the smallest. `ends` are what the
    descending and the ascending order are called, `anytime` what no time is, `anchor` where on its page the list is.
    """

    path: str
    filters: tuple[str, ...]
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    sorts: Mapping[str, str] = field(default_factory=dict)
    rising: frozenset[str] = frozenset()
    ends: tuple[str, str] = ("largest first", "smallest first")
    anytime: str = "any time"
    anchor: str = ""


INCIDENTS = Offer(
    "/",
    ("q", "service", "severity", "status", *TIMES),
    {"severity": SEVERITIES, "status": STATUSES},
    {"opened": "Opened", "updated": "Updated", "severity": "Severity"},
    ends=("newest or worst first", "oldest or mildest first"),
)
SERVICES = Offer(
    "/services",
    ("q",),
    sorts={
        "errors": "Error rate", "calls": "Calls", "latency": "p95 latency", "seen": "Last seen", "service": "Service",
    },
    rising=frozenset({"service"}),
)  # fmt: skip
DEPLOYS = Offer("/deploys", ("q", "service", *TIMES), anytime="usual: last 7 days")


def alerts_of(incident_id: str) -> Offer:
    """Return what the alerts of an incident can be narrowed by, on its page."""
    choices = {"severity": SEVERITIES, "status": ALERT_STATES}
    names = ("q", "service", "severity", "status")
    return Offer(f"/incidents/{incident_id}", names, choices, anchor="#alerts-h")


@dataclass(frozen=True, slots=True)
class Chip:
    """One filter that is set, in words, and the address of the list without it."""

    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column to sort by: its address, and how it is sorted now (`aria-sort`), empty when it is not."""

    title: str
    href: str
    sorted: str


@dataclass(frozen=True, slots=True)
class Filters:
    """What somebody asked of a list, as typed: `check` tells whether it can be had."""

    offer: Offer
    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, offer: Offer, query: Iterable[tuple[str, str]]) -> Filters:
        """Take what a list offers out of a query; blank values stand for none."""
        names = (*offer.filters, *(("sort", "order") if offer.sorts else ()))
        found: dict[str, tuple[str, ...]] = {}
        for name, text in query:
            value = " ".join(text.split())
            if name in names and value and value not in found.get(name, ()):
                found[name] = (*found.get(name, ()), value) if name in SEVERAL else (value,)
        read = cls(offer, found)
        usual = {"sort": next(iter(offer.sorts), ""), "order": read._usual(read.sort)}
        return cls(offer, {n: v for n, v in found.items() if v != (usual.get(n),)})

    def values(self, name: str) -> tuple[str, ...]:
        """Return every value of a filter."""
        return self.given.get(name, ())

    def value(self, name: str) -> str:
        """Return the value of a filter that has one; empty when it is not set."""
        return next(iter(self.values(name)), "")

    @property
    def active(self) -> tuple[str, ...]:
        """Return the names of the filters that narrow the list."""
        return tuple(name for name in self.offer.filters if self.values(name))

    @property
    def sort(self) -> str:
        """Return what the list is sorted by."""
        return self.value("sort") or next(iter(self.offer.sorts), "")

    @property
    def ascending(self) -> bool:
        """Tell whether the smallest comes first."""
        return (self.value("order") or self._usual(self.sort)) == "asc"

    def _usual(self, sort: str) -> str:
        return "asc" if sort in self.offer.rising else "desc"

    def check(self) -> None:
        """Raise InvalidInput, naming the filter and what it may be, for what cannot be had."""
        words(self.value("q"))
        for name, known in self.offer.choices.items():
            for word in self.values(name):
                _known(name, word, known)
        if self.offer.sorts:
            _known("sort", self.sort, self.offer.sorts)
            _known("order", self.value("order") or "asc", ORDERS)
        services = self.values("service")
        if len(services) > MOST_SERVICES or any(len(s) > NAME_CHARS or not s.isprintable() for s in services):
            limits = f"at most {MOST_SERVICES} names of at most {NAME_CHARS} printable characters"
            raise InvalidInput("bad_filter", f"service is not understood: it takes {limits}.")
        self._check_times()

    def _check_times(self) -> None:
        since, until = self.instant("since"), self.instant("until")
        if self.value("last"):
            windows.span("last", self.value("last"))
            if since or until:
                raise InvalidInput("bad_filter", "last cannot be combined with since or until: give one or the other.")
        if since and until and until <= since:
            raise InvalidInput("bad_filter", "until must lie after since.")

    def instant(self, name: str) -> datetime | None:
        """Return `since` or `until`, None when it is not set; raises InvalidInput."""
        return windows.instant(name, self.value(name)) if self.value(name) else None

    def minute(self, name: str) -> str:
        """Return `since` or `until` as a form's field holds it, in UTC; empty when it is no time."""
        try:
            at = self.instant(name)
        except InvalidInput:
            return ""
        return f"{at:%Y-%m-%dT%H:%M}" if at else ""

    def window(self, now: datetime, usual: timedelta) -> TimeWindow:
        """Return the stretch of time asked for, up to now and `usual` long where nothing is said."""
        until = self.instant("until") or now + timedelta(minutes=1)
        ago = windows.span("last", self.value("last")) if self.value("last") else usual
        since = self.instant("since") or min(until, now) - ago
        return TimeWindow(since, max(until, since + timedelta(minutes=1)))

    def href(self, **changes: str | tuple[str, ...]) -> str:
        """Return the address of the list with some values changed; an empty one takes it out."""
        changed = dict(self.given) | {n: (v,) if isinstance(v, str) else v for n, v in changes.items()}
        pairs = [(name, value) for name, values in changed.items() for value in values if value]
        return f"{self.offer.path}{'?' if pairs else ''}{urlencode(pairs)}{self.offer.anchor}"

    @property
    def cleared(self) -> str:
        """Return the address of the list with nothing filtered, in the same order."""
        return self.href(**dict.fromkeys(self.offer.filters, ""))

    @property
    def chips(self) -> tuple[Chip, ...]:
        """Return what is set, each with the address that takes it out."""
        return tuple(
            Chip(self._said(name, value), self.href(**{name: tuple(v for v in self.values(name) if v != value)}))
            for name in self.offer.filters
            for value in self.values(name)
        )

    def _said(self, name: str, value: str) -> str:
        if name == "q":
            return f"“{value}”"
        if name == "last":
            return PERIODS.get(value, f"last {value}")
        return f"{name} {self.offer.choices.get(name, {}).get(value, value)}"

    def column(self, name: str) -> Column:
        """Return the head of a column: sorted by it already, its address turns the order around."""
        if name != self.sort:
            return Column(self.offer.sorts[name], self.href(sort=name, order=self._usual(name)), "")
        turned = "desc" if self.ascending else "asc"
        now = "ascending" if self.ascending else "descending"
        return Column(self.offer.sorts[name], self.href(sort=name, order=turned), now)


SEVERAL = frozenset({"service", "severity", "status"})


def _known(name: str, word: str, known: Iterable[str]) -> None:
    if word not in known:
        raise InvalidInput("bad_filter", f"There is no {name} {word[:30]!r}; there are {', '.join(known)}.")
