"""Incidents that are reopened, or get a new trouble: each is analysed from its own onset."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from incidentscope.correlation.v1 import correlation_pb2 as pb
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.incident.v1.incident_events_pb2 import (
    IncidentReopened,
    IncidentResolved,
    IncidentUpdated,
)

from services.correlation_engine.domain.model import Telemetry
from services.correlation_engine.handlers import open_incident
from tests.unit.services.correlation_engine.surroundings import Surroundings, engine, go, opened, stamp


def reopened(around: Surroundings) -> IncidentReopened:
    """Return the reopening, now, of an incident opened long ago about other services."""
    incident = opened(around).incident
    for field_name in ("opened_at", "started_at"):
        getattr(incident, field_name).FromDatetime(around.clock.now() - timedelta(days=2))
    incident.reopened_at.FromDatetime(around.clock.now())
    return IncidentReopened(incident=incident)


def test_a_reopened_incident_is_analysed_anew_over_a_window_from_the_reopening(around: Surroundings) -> None:
    event = reopened(around)
    past = pb.Hypothesis(rank=1, service="another", cause_kind=pb.CAUSE_KIND_DEPLOY)
    ended = stamp(around.clock.now() - timedelta(days=1))
    around.stored = HypothesesPublished(version=6, analysed_at=ended, verdict=pb.VERDICT_CAUSE_NAMED, hypotheses=[past])

    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(event)
        await correlator.run_due()
        await correlator.on_event(event)
        for seconds in (15, 15, 30, 60, 180, 300):
            around.clock.advance(timedelta(seconds=seconds))
            await correlator.run_due()
        assert correlator.following == frozenset()

    go(work)

    assert around.loads == 6
    assert around.hurried[:2] == [True, False]
    (analysis,) = around.published
    assert (analysis.version, analysis.hypotheses[0].service) == (7, around.scenario.expected)
    assert analysis.change == pb.ANALYSIS_CHANGE_FIRST
    assert analysis.change_statement.startswith("The first analysis after the reopening names")
    assert analysis.onset_at.ToDatetime(tzinfo=UTC) > around.clock.now() - timedelta(hours=1)


def test_the_same_conclusion_after_a_reopening_is_published_too(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        await correlator.run_due()
        around.stored = around.published[0]
        around.clock.advance(timedelta(minutes=1))
        await correlator.on_event(IncidentResolved(incident=opened(around).incident))
        await correlator.on_event(reopened(around))
        await correlator.run_due()

    go(work)

    assert [a.version for a in around.published] == [1, 2]


def test_a_reopening_whose_resolution_was_missed_starts_over(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        await correlator.run_due()
        around.stored = around.published[0]
        around.clock.advance(timedelta(minutes=1))
        await correlator.on_event(reopened(around))
        await correlator.run_due()

    go(work)

    assert [a.version for a in around.published] == [1, 2]


def test_a_reopening_told_by_an_older_incident_service_has_its_time_in_the_entry(around: Surroundings) -> None:
    event = reopened(around)
    event.entry.occurred_at.CopyFrom(event.incident.reopened_at)
    event.incident.ClearField("reopened_at")
    around.stored = HypothesesPublished(version=6, analysed_at=stamp(around.clock.now() - timedelta(days=1)))

    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(event)
        await correlator.run_due()

    go(work)

    assert [a.version for a in around.published] == [7]


def new_trouble(around: Surroundings) -> IncidentUpdated:
    """Return the event of an incident of three days ago that an outage was added to."""
    event = IncidentUpdated(incident=opened(around).incident)
    old = around.clock.now() - timedelta(days=3)
    event.incident.opened_at.FromDatetime(old)
    event.incident.started_at.FromDatetime(around.scenario.started_at)
    event.incident.onset_at.FromDatetime(around.scenario.started_at)
    event.incident.onset_seen_at.FromDatetime(around.clock.now())
    event.entry.occurred_at.FromDatetime(around.clock.now())
    return event


def test_a_new_trouble_in_an_old_incident_is_analysed_from_its_onset(around: Surroundings) -> None:
    event = new_trouble(around)
    around.stored = HypothesesPublished(tenant_id="acme", incident_id="i-1", version=4)
    around.stored.analysed_at.FromDatetime(around.clock.now() - timedelta(days=3))

    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(event)
        await correlator.run_due()

    go(work)

    (analysis,) = around.published
    assert (analysis.version, analysis.verdict) == (5, pb.VERDICT_CAUSE_NAMED)
    assert analysis.hypotheses[0].service == around.scenario.expected


def test_an_incident_has_as_latest_outage_what_was_told_last(around: Surroundings) -> None:
    incident = new_trouble(around).incident
    now = around.clock.now()
    assert (open_incident(incident).opened_at, open_incident(incident).started_at) == (now, around.scenario.started_at)
    assert open_incident(incident).reopened
    incident.reopened_at.FromDatetime(now - timedelta(hours=1))
    assert open_incident(incident).opened_at == now
    incident.reopened_at.FromDatetime(now + timedelta(hours=1))
    assert open_incident(incident).started_at == now + timedelta(hours=1)


def test_later_changes_of_an_incident_with_an_onset_start_no_analysis(around: Surroundings) -> None:
    event = new_trouble(around)
    event.entry.occurred_at.FromDatetime(around.clock.now() + timedelta(minutes=20))

    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(event)
        await correlator.on_event(IncidentUpdated(incident=opened(around).incident))
        assert correlator.following == frozenset()

    go(work)


def test_after_a_crash_a_reopened_incident_is_taken_up_where_it_was(around: Surroundings) -> None:
    around.listed = [open_incident(reopened(around).incident)]
    around.clock.advance(timedelta(seconds=400))
    around.stored = HypothesesPublished(version=9, analysed_at=stamp(around.clock.now() - timedelta(seconds=60)))

    async def work() -> None:
        correlator = engine(around)
        await correlator.recover("acme")
        await correlator.run_due()
        assert correlator.following == frozenset()

    go(work)

    assert (around.loads, around.published) == (0, [])


def test_what_ended_during_its_analysis_and_was_reopened_keeps_its_new_plan(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        loading = around.load

        async def load(*arguments: Any) -> Telemetry:
            around.clock.advance(timedelta(seconds=1))
            await correlator.on_event(IncidentResolved(incident=opened(around).incident))
            await correlator.on_event(reopened(around))
            return await loading(*arguments)

        around.load = load  # type: ignore[method-assign,assignment]
        await correlator.run_due()
        around.load = loading  # type: ignore[method-assign]
        around.stored = around.published[0]
        await correlator.run_due()

    go(work)

    assert [a.version for a in around.published] == [1, 2]
