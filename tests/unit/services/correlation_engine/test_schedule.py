"""When an incident is analysed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.correlation_engine.domain.schedule import LONGEST, OFFSETS, OpenIncident, next_due, telemetry_range

OPENED = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
INCIDENT = OpenIncident("acme", "i-1", ("front",), OPENED - timedelta(minutes=1), OPENED)


def test_an_incident_is_analysed_at_once_and_five_times_more() -> None:
    done: datetime | None = None
    planned = []
    while (due := next_due(INCIDENT, done)) is not None:
        planned.append((due - OPENED).total_seconds())
        done = due + timedelta(seconds=1)

    assert planned == [0, 15, 30, 60, 120, 300] == [o.total_seconds() for o in OFFSETS]


def test_steps_missed_while_down_are_not_made_up_for() -> None:
    assert next_due(INCIDENT, OPENED + timedelta(seconds=100)) == OPENED + timedelta(seconds=120)
    assert next_due(INCIDENT, OPENED + timedelta(hours=1)) is None


def test_an_analysis_that_calls_lagged_behind_is_repeated_soon_even_after_the_last_step() -> None:
    last = OPENED + OFFSETS[-1] + timedelta(seconds=1)

    assert next_due(INCIDENT, OPENED, behind=True) == OPENED + timedelta(seconds=15)
    assert next_due(INCIDENT, last, behind=True) == last + timedelta(seconds=15)
    assert next_due(INCIDENT, OPENED + LONGEST, behind=True) is None


def test_telemetry_reaches_back_past_the_baseline_and_not_beyond_half_an_hour_of_incident() -> None:
    start, end = telemetry_range(INCIDENT, OPENED)
    assert start == datetime(2026, 3, 2, 10, 39, tzinfo=UTC)
    assert end == OPENED

    assert telemetry_range(INCIDENT, OPENED + timedelta(days=1))[1] == INCIDENT.started_at + LONGEST


def test_an_alert_from_a_clock_ahead_of_ours_still_has_a_range() -> None:
    now = INCIDENT.started_at - timedelta(minutes=10)

    start, end = telemetry_range(INCIDENT, now)

    assert start < end == now
