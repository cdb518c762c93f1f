"""Alerts that end and fire again soon after are one incident."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.incident_service.domain import lifecycle
from services.incident_service.domain.alert_group import Alert, AlertGroup, Flush
from services.incident_service.domain.alerts import Before, apply_group
from services.incident_service.domain.lifecycle import Move
from services.incident_service.domain.model import Change, Decision, Incident, Reason, Severity, Status
from services.incident_service.domain.records import Due, DueKind

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
WITHIN = timedelta(minutes=10)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def told(current: Incident | None, seconds: float, firing: bool, last: Incident | None = None) -> Decision:
    alert = Alert("f", "Flap", "a", Severity.CRITICAL, firing, at(seconds), ends_at=at(seconds))
    flush = Flush.FIRST_NOTIFICATION if firing else Flush.ALL_RESOLVED
    group = AlertGroup("t", "{}:a", {"service": "a"}, flush, [alert])
    return apply_group(current, group, f"i{seconds}", at(seconds), Before(last, WITHIN))


def incident(decision: Decision) -> Incident:
    assert decision.incident is not None
    return decision.incident


def ended_at(seconds: float) -> Incident:
    return incident(told(incident(told(None, 0, True)), seconds, False))


def test_ten_minutes_of_flapping_are_one_incident_that_says_so() -> None:
    current, ids, words = incident(told(None, 0, True)), set(), []
    for seconds in range(20, 600, 40):
        over = told(current, seconds, False)
        assert over.records == (Due(DueKind.POSTMORTEM, "i0", at(seconds) + lifecycle.POSTMORTEM_WITHIN),)
        again = told(None, seconds + 20, True, incident(over))
        assert (again.reason, again.change) == (Reason.FLAPPED, Change.REOPENED)
        assert again.records == (Due(DueKind.POSTMORTEM, "i0", None),)
        current = incident(again)
        ids.add(current.id)
        words.append(again.entries[0].text)
    assert (ids, current.status, current.flaps) == ({"i0"}, Status.OPEN, 15)
    assert words[0] == "Opened again: its alerts fire 20 s after they had ended"
    assert words[-1] == "Opened again: its alerts fire 20 s after they had ended: it flaps, 15 times so far"
    assert (current.resolved_at, current.postmortem_due_at, current.alerts) == (None, None, {"f": True})


def test_whoever_had_taken_it_has_it_still() -> None:
    taken = incident(lifecycle.acknowledge(incident(told(None, 0, True)), Move("ann"), at(5)))
    again = incident(told(None, 40, True, incident(told(taken, 20, False))))
    assert (again.status, again.acknowledged_by, again.reopened_at) == (Status.ACKNOWLEDGED, "ann", at(40))


def test_an_incident_that_ended_long_ago_is_another() -> None:
    last = ended_at(20)
    assert told(None, 620, True, last).reason is Reason.FLAPPED
    assert told(None, 621, True, last).reason is Reason.OPENED_BY_ALERTS


@pytest.mark.parametrize("by_hand", [{"resolved_by": "ann"}, {"status": Status.CLOSED, "closed_by": "ann"}])
def test_what_a_person_has_ended_is_not_taken_up_again(by_hand: dict[str, object]) -> None:
    last = replace(ended_at(20), **by_hand)  # type: ignore[arg-type]
    assert told(None, 40, True, last).reason is Reason.OPENED_BY_ALERTS


def test_a_group_that_has_ended_stays_ended() -> None:
    assert told(None, 40, False, ended_at(20)).reason is Reason.NOTHING_OPEN
