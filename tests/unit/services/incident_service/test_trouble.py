"""What an incident is about when old alerts and new ones fire in one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.incident_service.domain import lifecycle, trouble
from services.incident_service.domain.alert_group import Alert, AlertGroup, Flush
from services.incident_service.domain.alerts import Before, apply_group
from services.incident_service.domain.lifecycle import Move
from services.incident_service.domain.model import Decision, Incident, Severity

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
THREE_DAYS_AGO = NOW - 3 * DAY
MINOR, MAJOR, CRITICAL = Severity.MINOR, Severity.MAJOR, Severity.CRITICAL


def alert(name: str, starts_at: datetime, severity: Severity = CRITICAL, firing: bool = True) -> Alert:
    return Alert(name, name, "shop", severity, firing, starts_at, ends_at=NOW)


CERT = alert("CertificateExpiresSoon", THREE_DAYS_AGO, MAJOR)
ERRORS = alert("HighErrors", NOW - MINUTE)


def group(alerts: Sequence[Alert], flush: Flush = Flush.NEW_ALERTS) -> AlertGroup:
    return AlertGroup("t", "{}:shop", {"service": "shop"}, flush, alerts)


def incident(decision: Decision) -> Incident:
    assert decision.incident is not None
    return decision.incident


def opened(*alerts: Alert, at: datetime = NOW, last: Incident | None = None) -> Incident:
    return incident(apply_group(None, group(alerts, Flush.FIRST_NOTIFICATION), "i1", at, Before(last)))


def updated(current: Incident, *alerts: Alert, now: datetime = NOW) -> Decision:
    return apply_group(current, group(alerts), "i2", now)


OLD = opened(CERT, at=THREE_DAYS_AGO)


def test_an_outage_beside_an_old_warning_names_the_incident_and_starts_it_and_is_a_new_trouble() -> None:
    decision = updated(OLD, CERT, ERRORS)
    now = incident(decision)
    assert (OLD.title, now.title) == ("shop: Certificate expires soon", "shop: High errors (+1 more alert)")
    assert (now.started_at, now.onset_at, now.onset_seen_at) == (NOW - MINUTE, NOW - MINUTE, NOW)
    assert (now.severity, now.opened_at, now.changed_at) == (CRITICAL, THREE_DAYS_AGO, NOW)
    assert [e.text for e in decision.entries] == ["New trouble: shop: High errors"]
    assert decision.entries[-1].occurred_at == now.onset_seen_at  # by which the engine knows it


def test_what_is_told_first_with_both_is_about_the_outage() -> None:
    both = opened(CERT, ERRORS)
    assert (both.title, both.started_at, both.onset_at) == (
        "shop: High errors (+1 more alert)", NOW - MINUTE, None,
    )  # fmt: skip


@pytest.mark.parametrize("severity", [MINOR, MAJOR, CRITICAL])
def test_what_opens_after_a_person_resolved_the_old_one_is_about_what_is_new(severity: Severity) -> None:
    old = opened(replace(CERT, severity=CRITICAL), at=THREE_DAYS_AGO)
    last = incident(lifecycle.resolve(old, Move("ann"), NOW - HOUR))
    anew = opened(CERT, replace(ERRORS, severity=severity), last=last)
    assert (anew.title, anew.started_at, anew.severity) == (
        "shop: High errors (+1 more alert)", NOW - MINUTE, severity,
    )  # fmt: skip
    again = opened(CERT, last=last)  # nothing is new: it is told again because it fires still
    assert (again.title, again.started_at) == ("shop: Certificate expires soon", THREE_DAYS_AGO)


@pytest.mark.parametrize(
    ("fires_long", "severity", "starts_at"),
    [
        (MAJOR, MAJOR, NOW - MINUTE),
        (MINOR, MAJOR, NOW - MINUTE),
        (CRITICAL, CRITICAL, NOW - MINUTE),
        (CRITICAL, MAJOR, THREE_DAYS_AGO),  # what is worst names it still
    ],
)
def test_every_onset_is_looked_at_and_the_worst_and_newest_names_the_incident(
    fires_long: Severity, severity: Severity, starts_at: datetime
) -> None:
    long = replace(CERT, severity=fires_long)
    now = incident(updated(opened(long, at=THREE_DAYS_AGO), long, replace(ERRORS, severity=severity)))
    assert now.onset_at == NOW - MINUTE
    assert now.started_at == starts_at
    assert now.title.startswith("shop: High errors" if starts_at == NOW - MINUTE else "shop: Certificate")


def test_one_outage_that_widens_keeps_its_start_and_its_title() -> None:
    first = opened(alert("Down", NOW - 2 * HOUR), at=NOW - 2 * HOUR)
    soon = updated(first, alert("Down", NOW - 2 * HOUR), alert("Slow", NOW - 100 * MINUTE), now=NOW - 100 * MINUTE)
    assert incident(soon).onset_at is None
    assert [e.text for e in soon.entries] == ["Also firing: shop: Slow"]
    later = incident(updated(incident(soon), alert("Down", NOW - 2 * HOUR), alert("Hot", NOW)))
    assert (later.started_at, later.title) == (NOW - 2 * HOUR, "shop: Down (+1 more alert)")
    assert later.onset_at == NOW  # two hours on it is looked at again all the same


@pytest.mark.parametrize(
    ("minutes", "name", "severity", "anew"),
    [
        (4, "Down", CRITICAL, False),
        (6, "Down", CRITICAL, True),
        (6, "Down", MAJOR, False),
        (6, "Slow", CRITICAL, False),  # the same rule at its second threshold
        (30, "Slow", MAJOR, False),
        (31, "Slow", MAJOR, True),
    ],
)
def test_troubles_are_told_apart_by_start_severity_and_name(
    minutes: int, name: str, severity: Severity, anew: bool
) -> None:
    slow = alert("Slow", NOW, MAJOR)
    more = replace(alert(name, NOW + minutes * MINUTE, severity), fingerprint="more")
    now = incident(updated(opened(slow), slow, more, now=NOW + minutes * MINUTE))
    assert (now.onset_at is not None) is anew


def test_a_warning_that_came_shortly_before_belongs_to_the_outage() -> None:
    slow = alert("Slow", NOW - 20 * MINUTE, MAJOR)
    now = incident(updated(opened(slow, at=NOW - 20 * MINUTE), slow, ERRORS))
    assert (now.title, now.started_at) == ("shop: High errors (+1 more alert)", NOW - 20 * MINUTE)


def test_an_alert_that_is_told_late_does_not_move_the_start_back_by_days() -> None:
    now = incident(updated(opened(ERRORS), ERRORS, CERT))
    assert (now.started_at, now.onset_at, now.title) == (NOW - MINUTE, None, "shop: High errors (+1 more alert)")


def test_the_title_counts_what_fires_and_follows_it_unless_a_person_wrote_it() -> None:
    both = incident(updated(OLD, CERT, ERRORS))
    over = replace(ERRORS, firing=False)
    left = incident(apply_group(both, group([CERT, over], Flush.NEW_RESOLVED), "i2", NOW))
    assert (left.title, left.started_at) == ("shop: Certificate expires soon", both.started_at)
    named = replace(both, title="Checkout is down")
    assert incident(apply_group(named, group([CERT, over], Flush.NEW_RESOLVED), "i2", NOW)).title == "Checkout is down"


def test_another_groups_alerts_are_an_onset_but_rename_nothing() -> None:
    other = AlertGroup("t", "{}:db", {"service": "db"}, Flush.NEW_ALERTS, [replace(ERRORS, service="db")])
    now = incident(apply_group(OLD, other, "i2", NOW))
    assert (now.title, now.started_at, now.onset_at) == (OLD.title, THREE_DAYS_AGO, NOW - MINUTE)


def test_a_flapping_incident_is_called_so() -> None:
    assert trouble.title(group([ERRORS]), flaps=1) == "shop: High errors"
    assert trouble.title(group([ERRORS, CERT]), flaps=2) == "shop: High errors (+1 more alert) (flapping)"


def test_nothing_is_about_nothing() -> None:
    assert trouble.about([]) == []
    assert trouble.onset(OLD, [], [CERT], NOW) is None
