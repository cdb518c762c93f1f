"""Label text, groups, clocks, merging and flushes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.alert_router.domain import grouping, labels
from services.alert_router.domain.alert import receive
from services.alert_router.domain.dedup import Decision, Entry, decide
from services.alert_router.domain.durations import parse_duration
from services.alert_router.domain.flush import flush
from services.alert_router.domain.grouping import Clock
from services.alert_router.domain.route import Group, Route, group_of
from tests.unit.services.alert_router.builders import NOW, alert, at

ROUTE = Route(group_wait=timedelta(seconds=5), group_interval=timedelta(seconds=15))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "{}"),
        ({"b": "2", "a": "1"}, '{a="1", b="2"}'),
        ({"a": 'say "hi"\n\\'}, '{a="say \\"hi\\"\\n\\\\"}'),
        ({"service.name": "cart"}, '{"service.name"="cart"}'),
        ({"Σ": "x\x01"}, '{"Σ"="x\\x01"}'),
    ],
)
def test_a_label_set_is_written_as_prometheus_writes_it(given: dict[str, str], expected: str) -> None:
    assert labels.text(given) == expected


def test_alerts_of_one_service_share_a_group_whatever_label_named_it() -> None:
    named, found = alert(service="cart"), replace(alert(job="shop/cart"), service="cart")
    expected = Group('{}:{service="cart"}', {"service": "cart"})
    assert group_of(named, ROUTE) == group_of(found, ROUTE) == expected


@pytest.mark.parametrize(
    ("group_by", "key"),
    [
        ((), "{}:{}"),
        (("alertname", "service"), '{}:{alertname="Down", service="cart"}'),
        (("team",), "{}:{}"),
        (("...",), '{}:{alertname="Down", service="cart"}'),
    ],
)
def test_the_labels_that_make_a_group_can_be_chosen(group_by: tuple[str, ...], key: str) -> None:
    assert group_of(alert(service="cart"), replace(ROUTE, group_by=group_by)).key == key


def test_alerts_that_name_no_service_go_by_their_name_and_labels() -> None:
    disk, down = alert("DiskFull", instance="a", severity="warning"), alert("Down", instance="a")
    worse = alert("DiskFull", instance="a", severity="critical")
    assert group_of(disk, ROUTE).key == '{}:{alertname="DiskFull", instance="a"}' == group_of(worse, ROUTE).key
    assert group_of(down, ROUTE).key != group_of(disk, ROUTE).key
    exporter = replace(alert(service="kube-state-metrics", job="x"), service="")
    assert group_of(exporter, ROUTE).labels == {"alertname": "Down", "job": "x"}


def test_only_where_services_make_the_groups() -> None:
    by_team = replace(ROUTE, group_by=("team",))
    assert group_of(alert("A"), by_team).key == group_of(alert("B"), by_team).key == "{}:{}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"group_by": ("...", "job")},
        {"group_by": ("job", "job")},
        {"group_interval": timedelta()},
        {"repeat_interval": timedelta()},
        {"group_wait": timedelta(seconds=-1)},
    ],
)
def test_a_route_that_cannot_work_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="group"):
        Route(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("0", 0), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("4900ms", 4.9), ("1d", 86400), ("1w", 604800)],
)
def test_durations_are_read_as_prometheus_writes_them(written: str, seconds: float) -> None:
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["", "5", "5 m", "m5", "-5m", "1.5h", "30s5m", "99y", "9" * 50 + "s"])
def test_what_is_not_a_duration_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|longer than"):
        parse_duration(written)


def test_a_new_group_waits_for_others_and_an_old_alert_does_not() -> None:
    assert grouping.on_alert(None, at(-1), NOW, ROUTE) == Clock(at(5))
    assert grouping.on_alert(None, at(-6), NOW, ROUTE) == Clock(NOW)
    assert grouping.on_alert(Clock(at(3)), at(-6), NOW, ROUTE) == Clock(NOW)
    assert grouping.on_alert(Clock(at(3)), at(-1), NOW, ROUTE) == Clock(at(3))
    assert grouping.on_alert(Clock(at(12), flushed=True), at(-60), NOW, ROUTE) == Clock(at(12), flushed=True)


def test_an_alert_that_fires_again_after_it_ended_is_a_new_episode() -> None:
    ended, again = alert(starts=-600, ends=-300, updated=-300), alert(starts=-10)
    assert receive(ended, again, NOW) == again
    assert receive(None, again, NOW) == again


def test_a_version_received_earlier_does_not_replace_a_later_one() -> None:
    later, earlier = alert(starts=-10, updated=0), alert(starts=-600, ends=-300, updated=-5)
    assert receive(later, earlier, NOW) == later


def entry(*firing: str, resolved: tuple[str, ...] = (), age: float = 60) -> Entry:
    return Entry(frozenset(firing), frozenset(resolved), at(-age))


@pytest.mark.parametrize(
    ("last", "firing", "resolved", "decision"),
    [
        (None, ["a"], [], Decision.FIRST_NOTIFICATION),
        (None, [], ["a"], Decision.NEVER_FIRED),
        (entry(resolved=("a",)), ["a"], [], Decision.FIRST_NOTIFICATION),
        (entry("a"), ["a", "b"], [], Decision.NEW_ALERTS),
        (entry("a", "b"), ["a"], ["b"], Decision.NEW_RESOLVED),
        (entry("a"), [], ["a"], Decision.ALL_RESOLVED),
        (entry("a"), [], [], Decision.ALL_RESOLVED),
        (entry(resolved=("a",)), [], ["a"], Decision.NOTHING_FIRING),
        (entry("a"), ["a"], [], Decision.UNCHANGED),
        (entry("a", age=4 * 3600), ["a"], [], Decision.UNCHANGED),
        (entry("a", age=4 * 3600 + 1), ["a"], [], Decision.REPEAT_INTERVAL),
    ],
)
def test_a_group_is_told_for_a_reason(
    last: Entry | None, firing: list[str], resolved: list[str], decision: Decision
) -> None:
    assert decide(last, firing, resolved, NOW, timedelta(hours=4)) is decision


def test_a_flush_lists_what_fires_first_and_looks_again_after_the_interval() -> None:
    over, on = alert("A", ends=-1, service="cart"), alert("B", service="cart")
    outcome = flush([over, on], None, NOW, ROUTE)
    assert outcome.alerts == (on, over)
    assert outcome.decision is Decision.FIRST_NOTIFICATION
    assert outcome.clock == Clock(at(15), flushed=True)
    assert outcome.entry == Entry(frozenset({on.fingerprint}), frozenset({over.fingerprint}), NOW)


def test_an_alert_that_was_not_sent_again_ends_the_group() -> None:
    silent = alert(ends=0)
    outcome = flush([silent], entry(silent.fingerprint), NOW, ROUTE)
    assert (outcome.decision, outcome.clock) == (Decision.ALL_RESOLVED, None)


def test_a_flush_that_tells_nothing_leaves_the_log_alone() -> None:
    on = alert()
    last = entry(on.fingerprint)
    outcome = flush([on], last, NOW, ROUTE)
    assert (outcome.decision, outcome.entry) == (Decision.UNCHANGED, last)
