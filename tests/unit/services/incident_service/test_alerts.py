"""What alert groups do to incidents."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.incident_service.domain.alert_group import Alert, AlertGroup, Flush, readable
from services.incident_service.domain.alerts import apply_group
from services.incident_service.domain.model import TITLE_CHARS, Change, Incident, Reason, Severity, Status
from services.incident_service.domain.trouble import title

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(minutes=5)


def alert(
    name: str = "HighErrorRate",
    service: str = "checkout",
    severity: Severity = Severity.MAJOR,
    firing: bool = True,
    starts_at: datetime = NOW,
) -> Alert:
    return Alert(f"{name}/{service}", name, service, severity, firing, starts_at)


def group(*alerts: Alert, flush: Flush = Flush.FIRST_NOTIFICATION) -> AlertGroup:
    return AlertGroup("t", '{}:{service="checkout"}', {"service": "checkout"}, flush, alerts)


def opened(*alerts: Alert) -> Incident:
    incident = apply_group(None, group(*alerts), "i1", NOW).incident
    assert incident is not None
    return incident


def test_a_firing_group_opens_an_incident_with_its_worst_severity_and_earliest_start() -> None:
    decision = apply_group(None, group(alert(), alert("Slow", "cart", Severity.CRITICAL, starts_at=EARLIER)), "i1", NOW)
    incident = decision.incident
    assert incident is not None
    assert (incident.status, incident.severity, incident.started_at) == (Status.OPEN, Severity.CRITICAL, EARLIER)
    assert incident.services == ("cart", "checkout")
    assert (decision.reason, decision.change) == (Reason.OPENED_BY_ALERTS, Change.OPENED)
    assert decision.entries[-1].text == "Firing: cart: Slow; checkout: High error rate"


@pytest.mark.parametrize("flush", [Flush.FIRST_NOTIFICATION, Flush.NEW_ALERTS, Flush.REPEAT_INTERVAL])
def test_a_group_that_still_fires_opens_again_after_its_incident_ended(flush: Flush) -> None:
    assert apply_group(None, group(alert(), flush=flush), "i2", NOW).change is Change.OPENED


def test_alerts_that_stop_do_not_open_what_a_person_has_resolved() -> None:
    flush = group(alert(), alert("Slow", firing=False), flush=Flush.NEW_RESOLVED)
    assert apply_group(None, flush, "i2", NOW).reason is Reason.NOTHING_OPEN


def test_a_resolved_group_without_an_incident_changes_nothing() -> None:
    decision = apply_group(None, group(alert(firing=False), flush=Flush.ALL_RESOLVED), "i2", NOW)
    assert (decision.reason, decision.change) == (Reason.NOTHING_OPEN, None)


def test_a_repeated_flush_adds_nothing() -> None:
    current = opened(alert())
    decision = apply_group(current, group(alert(), flush=Flush.REPEAT_INTERVAL), "i2", NOW)
    assert (decision.reason, decision.change, decision.entries) == (Reason.NOTHING_NEW, None, ())


def test_new_alerts_widen_services_and_raise_severity() -> None:
    current = replace(opened(alert()), status=Status.ACKNOWLEDGED, acknowledged_by="ann")
    worse = alert("Down", "payments", Severity.CRITICAL, starts_at=EARLIER)
    decision = apply_group(current, group(alert(), worse, flush=Flush.NEW_ALERTS), "i2", NOW)
    updated = decision.incident
    assert updated is not None
    assert (updated.id, updated.status, updated.version) == (current.id, Status.ACKNOWLEDGED, 2)
    assert (updated.severity, updated.started_at) == (Severity.CRITICAL, EARLIER)
    assert updated.services == ("checkout", "payments")
    assert [e.text for e in decision.entries] == ["Also firing: payments: Down"]


def test_severity_is_never_lowered_by_alerts() -> None:
    current = opened(alert(severity=Severity.CRITICAL))
    milder = group(alert(severity=Severity.MINOR), alert("Slow"), flush=Flush.NEW_ALERTS)
    updated = apply_group(current, milder, "i2", NOW).incident
    assert updated is not None
    assert updated.severity is Severity.CRITICAL


def test_an_alert_that_stops_and_returns_is_told_both_times() -> None:
    current = opened(alert(), alert("Slow"))
    stopped = apply_group(current, group(alert(), alert("Slow", firing=False), flush=Flush.NEW_RESOLVED), "i2", NOW)
    assert [e.text for e in stopped.entries] == ["Stopped firing: checkout: Slow"]
    assert stopped.incident is not None
    back = apply_group(stopped.incident, group(alert(), alert("Slow"), flush=Flush.NEW_ALERTS), "i3", NOW)
    assert [e.text for e in back.entries] == ["Also firing: checkout: Slow"]


@pytest.mark.parametrize("status", [Status.OPEN, Status.ACKNOWLEDGED])
def test_a_group_whose_alerts_all_ended_resolves_its_incident(status: Status) -> None:
    current = replace(opened(alert()), status=status)
    decision = apply_group(current, group(alert(firing=False), flush=Flush.ALL_RESOLVED), "i2", NOW)
    assert decision.incident is not None
    assert (decision.incident.status, decision.incident.resolved_by) == (Status.RESOLVED, "alert_router")
    assert (decision.reason, decision.change) == (Reason.ALERTS_RESOLVED, Change.RESOLVED)


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        ([alert()], "checkout: High error rate"),
        ([alert(), alert("Slow")], "checkout: High error rate (+1 more alert)"),
        ([alert(), alert("Slow"), alert("Hot")], "checkout: High error rate (+2 more alerts)"),
        ([alert("Slow"), alert("Down", "db", Severity.CRITICAL)], "db: Down (+1 more alert)"),
        ([alert(), alert("Slow", firing=False)], "checkout: High error rate"),
        ([alert(service="")], "checkout: High error rate"),
    ],
)
def test_the_title_says_where_what_and_how_much_more(alerts: list[Alert], expected: str) -> None:
    ordered = sorted(alerts, key=lambda a: a.name)
    assert title(group(*ordered)) == expected


def test_a_title_without_a_service_is_the_alert_alone_and_a_long_one_is_cut() -> None:
    assert title(AlertGroup("t", "k", {}, Flush.NEW_ALERTS, [alert(service="")])) == "High error rate"
    long = title(group(alert("x" * 400), alert("y" * 400)))
    assert len(long) == TITLE_CHARS
    assert long.endswith("… (+1 more alert)")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("HighErrorRate", "High error rate"),
        ("high_error_rate", "High error rate"),
        ("HTTPErrors", "HTTP errors"),
        ("KubePodCrashLooping", "Kube pod crash looping"),
        ("HighCPUUsage", "High CPU usage"),
        ("node-disk-full", "Node disk full"),
        ("Checkout is slow", "Checkout is slow"),
        ("", "Unnamed alert"),
    ],
)
def test_alert_names_become_words(name: str, words: str) -> None:
    assert readable(name) == words


def test_a_long_list_of_alerts_is_counted_not_spelled_out() -> None:
    many = [alert(f"A{n}") for n in range(8)]
    entry = apply_group(None, group(*many), "i1", NOW).entries[-1]
    assert entry.text.endswith("checkout: A4; and 3 more")
