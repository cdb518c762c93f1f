from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from libs.kernel.errors import InvalidInput
from services.console.domain import listing
from services.console.domain.filters import DEPLOYS, INCIDENTS, SERVICES, Chip, Column, Filters, Offer, alerts_of
from services.console.domain.models import Alert, ServiceSummary, Severity

NOW = datetime(2026, 1, 31, 14, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


def read(query: str, offer: Offer = INCIDENTS) -> Filters:
    return Filters.read(offer, parse_qsl(query, keep_blank_values=True))


def test_a_query_is_read_for_what_the_list_offers_and_nothing_else() -> None:
    filters = read("q=+slow++checkout+&severity=major&severity=critical&severity=major&status=&page=x&done=1")
    assert filters.given == {"q": ("slow checkout",), "severity": ("major", "critical")}
    assert filters.active == ("q", "severity")
    assert read("q=a&severity=major&sort=calls", SERVICES).given == {"q": ("a",), "sort": ("calls",)}
    assert read("sort=updated", DEPLOYS).given == {}


def test_a_filter_with_one_value_takes_the_last() -> None:
    assert read("q=a&q=b").value("q") == "b"
    assert read("").value("q") == ""


def test_the_usual_order_needs_no_words() -> None:
    assert read("sort=opened&order=desc").given == {}
    assert read("sort=service&order=asc", SERVICES).given == {"sort": ("service",)}
    filters = read("sort=service&order=desc", SERVICES)
    assert (filters.sort, filters.ascending) == ("service", False)
    assert (read("").sort, read("").ascending, read("order=asc").ascending) == ("opened", False, True)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("status=broken", "There is no status 'broken'; there are open, acknowledged, mitigated, resolved, closed."),
        ("severity=SEV1", "There is no severity 'SEV1'; there are critical, major, minor, unspecified."),
        ("sort=title", "There is no sort 'title'; there are opened, updated, severity."),
        ("order=up", "There is no order 'up'; there are desc, asc."),
        ("last=yesterday", "last is not a length of time: 'yesterday'. Use a whole number with s, m, h, d or w"),
        ("last=0h", "last is not a length of time"),
        ("since=soon", "since is not a time: 'soon'. Use RFC 3339"),
        ("until=9999-12-31T23:59:59Z", "until is not a time"),
        ("since=2026-02-01&until=2026-01-01", "until must lie after since."),
        ("last=1h&until=2026-01-01", "last cannot be combined with since or until: give one or the other."),
        ("q=" + "w+" * 11, "q has 11 words, at most 10 are allowed"),
        ("service=" + "s" * 201, "service is not understood: it takes at most 100 names of at most 200 printable"),
        ("service=a%00b", "service is not understood"),
        ("&".join(f"service={n}" for n in range(101)), "service is not understood"),
    ],
)
def test_what_cannot_be_had_is_refused_with_its_name_and_what_can(query: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(query).check()
    assert says in str(refused.value)


@pytest.mark.parametrize("query", ["", "q=a&service=b&severity=unspecified&status=resolved&last=24h&sort=severity"])
def test_what_can_be_had_is_let_through(query: str) -> None:
    read(query).check()
    read(query, DEPLOYS).check()
    read(query, alerts_of("i")).check()


def test_an_address_says_what_is_set_and_can_be_read_back() -> None:
    filters = read("q=a+%26+b&status=open&status=closed&order=asc")
    assert filters.href() == "/?q=a+%26+b&status=open&status=closed&order=asc"
    assert read(urlsplit(filters.href()).query) == filters
    assert filters.href(status=("mitigated",), page="t") == "/?q=a+%26+b&status=mitigated&order=asc&page=t"
    assert filters.href(q="", status=(), order="") == "/"
    assert filters.cleared == "/?order=asc"
    alerts = read("q=a&status=firing", alerts_of("i"))
    assert (alerts.href(), alerts.cleared) == ("/incidents/i?q=a&status=firing#alerts-h", "/incidents/i#alerts-h")


def test_each_filter_that_is_set_can_be_taken_out_alone() -> None:
    filters = read("q=slow&severity=unspecified&status=open&status=closed&last=24h&sort=updated")
    assert filters.chips == (
        Chip("“slow”", "/?severity=unspecified&status=open&status=closed&last=24h&sort=updated"),
        Chip("severity not judged", "/?q=slow&status=open&status=closed&last=24h&sort=updated"),
        Chip("status open", "/?q=slow&severity=unspecified&status=closed&last=24h&sort=updated"),
        Chip("status closed", "/?q=slow&severity=unspecified&status=open&last=24h&sort=updated"),
        Chip("last 24 hours", "/?q=slow&severity=unspecified&status=open&status=closed&sort=updated"),
    )
    assert [chip.text for chip in read("last=3w&since=2026-01-01").chips] == ["last 3w", "since 2026-01-01"]


def test_the_head_of_a_column_sorts_by_it_then_turns_it_around() -> None:
    filters = read("q=a")
    assert filters.column("severity") == Column("Severity", "/?q=a&sort=severity&order=desc", "")
    assert filters.column("opened") == Column("Opened", "/?q=a&sort=opened&order=asc", "descending")
    turned = read(urlsplit(filters.column("opened").href).query)
    assert turned.column("opened") == Column("Opened", "/?q=a&order=desc&sort=opened", "ascending")
    assert read("", SERVICES).column("service").href == "/services?sort=service&order=asc"


@pytest.mark.parametrize(
    ("query", "start", "end"),
    [
        ("", NOW - WEEK, NOW + timedelta(minutes=1)),
        ("last=2h", NOW - timedelta(hours=2), NOW + timedelta(minutes=1)),
        ("since=2026-01-30T00:00", NOW.replace(day=30, hour=0), NOW + timedelta(minutes=1)),
        ("until=2026-01-30T00:00", NOW.replace(day=30, hour=0) - WEEK, NOW.replace(day=30, hour=0)),
        ("since=2026-01-29&until=2026-01-30", NOW.replace(day=29, hour=0), NOW.replace(day=30, hour=0)),
        ("since=2027-01-01", datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, 0, 1, tzinfo=UTC)),
    ],
)
def test_times_make_a_window(query: str, start: datetime, end: datetime) -> None:
    window = read(query, DEPLOYS).window(NOW, WEEK)
    assert (window.start, window.end) == (start, end)


def test_a_time_goes_back_into_its_field() -> None:
    assert read("since=2026-01-30T01:02:03%2B01:00").minute("since") == "2026-01-30T00:02"
    assert read("since=soon").minute("since") == read("").minute("since") == ""


def summary(name: str, calls: int, errors: int, p95: float | None, minute: int) -> ServiceSummary:
    return ServiceSummary(name, calls, errors, p95, NOW + timedelta(minutes=minute))


SUMMARIES = [summary("b", 100, 5, 20.0, 1), summary("a", 10, 5, None, 3), summary("cart", 200, 10, 30.0, 2)]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["a", "b", "cart"]),  # the share of errors, and equal ones in a fixed order
        ("order=asc", ["b", "cart", "a"]),
        ("sort=service", ["a", "b", "cart"]),
        ("sort=service&order=desc", ["cart", "b", "a"]),
        ("sort=calls", ["cart", "b", "a"]),
        ("sort=latency", ["cart", "b", "a"]),
        ("sort=seen&order=asc", ["b", "cart", "a"]),
        ("q=CA", ["cart"]),
        ("q=ca+x", []),
    ],
)
def test_services_are_sorted_and_searched(query: str, names: Sequence[str]) -> None:
    assert [s.service for s in listing.services(SUMMARIES, read(query, SERVICES))] == list(names)


@pytest.mark.parametrize(
    ("query", "admitted"),
    [
        ("", True),
        ("q=high+SHOP+fail&service=checkout&service=x&severity=major&status=no_data", True),
        ("q=paging", False),
        ("service=x", False),
        ("severity=critical&severity=unspecified", False),
        ("status=firing&status=resolved", False),
    ],
)
def test_alerts_are_narrowed_by_what_they_say(query: str, admitted: bool) -> None:
    said = ({"team": "shop"}, {"summary": "28 % fail"})
    alert = Alert("HighErrorRate", "checkout", Severity.MAJOR, "no data", NOW, None, NOW, *said)
    filters = read(query, alerts_of("i"))
    filters.check()
    assert listing.admits(filters, alert) is admitted
