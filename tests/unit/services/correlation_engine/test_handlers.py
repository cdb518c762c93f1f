"""Following incidents: what is analysed when, what is published, what survives a restart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.correlation.v1 import correlation_pb2 as pb
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.incident.v1.incident_events_pb2 import (
    IncidentAcknowledged,
    IncidentResolved,
)
from incidentscope.incident.v1.incident_pb2 import Incident

from libs.kernel.clock import ManualClock
from libs.kernel.errors import InvalidInput, Unavailable
from services.correlation_engine.domain.schedule import OpenIncident, telemetry_range
from services.correlation_engine.handlers import Correlator, open_incident
from tests.unit.services.correlation_engine import world
from tests.unit.services.correlation_engine.surroundings import Surroundings, engine, go, opened, restarted, stamp

ZERO = Timestamp(seconds=-62135596800)  # as Go writes a time that was never set


@pytest.mark.parametrize(("started", "days"), [(ZERO, 180), (Timestamp(seconds=1_900_000_000), 0)])
def test_an_incident_with_an_odd_start_is_analysed_over_time_that_there_is(started: Timestamp, days: int) -> None:
    opened = datetime(2026, 3, 1, tzinfo=UTC)
    incident = Incident(id="i", tenant_id="acme", started_at=started)
    incident.opened_at.FromDatetime(opened)
    kept = open_incident(incident)
    assert kept.started_at == opened - timedelta(days=days)
    start, end = telemetry_range(kept, opened)
    assert start < end <= opened


def test_an_incident_with_times_outside_all_calendars_is_refused_and_go_s_zero_time_is_not() -> None:
    with pytest.raises(InvalidInput, match="not a time"):
        open_incident(Incident(id="i", tenant_id="acme", opened_at=Timestamp(seconds=2**61)))
    assert open_incident(Incident(id="i", tenant_id="acme", opened_at=ZERO)).started_at.year == 1970


def test_an_opened_incident_is_analysed_at_once_and_the_cause_published(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        await correlator.run_due()

    go(work)

    (analysis,) = around.published
    assert (analysis.tenant_id, analysis.incident_id, analysis.version) == ("acme", "i-1", 1)
    assert analysis.verdict == pb.VERDICT_CAUSE_NAMED
    first = analysis.hypotheses[0]
    assert (first.rank, first.service) == (1, around.scenario.expected)
    assert first.cause_kind == pb.CAUSE_KIND_DEPLOY
    assert first.deploy_id == f"deploy-{around.scenario.expected}"
    assert analysis.baseline_end_time.seconds < analysis.onset_at.seconds == analysis.window_start_time.seconds


@dataclass
class Elsewhere:
    """Says where every outage is."""

    environments: tuple[str, ...]

    async def of(self, incident: OpenIncident, now: datetime) -> tuple[str, ...]:  # noqa: ARG002  # as the port has it
        return self.environments


@pytest.mark.parametrize(
    ("environment", "outage", "blamed"),
    [
        ("production", None, True),
        ("", None, True),
        ("staging", None, False),
        ("preview/pr-4711", None, False),
        ("staging", ("staging",), True),
        ("production", ("staging",), False),
        ("staging", (), True),
    ],
)
def test_only_a_deploy_to_where_the_outage_is_is_blamed(
    around: Surroundings, environment: str, outage: tuple[str, ...] | None, blamed: bool
) -> None:
    telemetry = around.scenario.telemetry
    changes = tuple(replace(change, environment=environment) for change in telemetry.changes)
    around.scenario = replace(around.scenario, telemetry=replace(telemetry, changes=changes))
    where = [] if outage is None else [Elsewhere(outage)]

    async def work() -> None:
        correlator = Correlator(around, around, around, around, around.clock, *where)
        await correlator.on_event(opened(around))
        await correlator.run_due()

    go(work)

    first = around.published[0].hypotheses[0]
    assert first.service == around.scenario.expected
    assert (first.cause_kind == pb.CAUSE_KIND_DEPLOY, bool(first.deploy_id)) == (blamed, blamed)
    assert ("deploy" in first.statement.lower()) is blamed


@pytest.mark.parametrize("seed", range(1, 7))
def test_the_story_never_tells_a_failure_before_the_deploy_that_caused_it(seed: int) -> None:
    scenario = world.simulate(seed, "bad-deploy")
    around = Surroundings(scenario, ManualClock(scenario.telemetry.grid.end))

    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        await correlator.run_due()

    go(work)

    (analysis,) = around.published
    told = {step.part: step for step in analysis.hypotheses[0].story}
    change, sign = told[pb.STORY_PART_CHANGE], told[pb.STORY_PART_FIRST_FAILURE]
    assert (change.at_to_the_minute, sign.at_to_the_minute) == (False, True)
    assert sign.at.ToDatetime() >= change.at.ToDatetime()
    assert analysis.onset_at.seconds % 60 == 0
    assert f"the onset is at {analysis.onset_at.ToDatetime():%H:%M} UTC" in change.statement


def test_evidence_links_to_the_console_over_the_window(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        await correlator.run_due()

    go(work)

    evidence = {e.kind: e for e in around.published[0].hypotheses[0].evidence}
    errors = evidence[pb.EVIDENCE_KIND_ERROR_ORIGIN]
    assert errors.url.startswith(f"/services/{around.scenario.expected}?from=2026-03-02T")
    assert "&to=" in errors.url
    assert errors.url.endswith("#charts-h")
    assert evidence[pb.EVIDENCE_KIND_DEPLOY].url == "/incidents/i-1#deploys-h"


def test_later_analyses_are_published_only_when_they_say_something_new(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        for seconds in (0, 15, 15, 30, 60, 180, 300):
            around.clock.advance(timedelta(seconds=seconds))
            await correlator.run_due()
        assert correlator.following == frozenset()

    go(work)

    assert around.loads == 6
    assert len(around.published) == 1


def test_the_first_answer_is_hurried_and_later_ones_look_closer(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        for seconds in (0, 15, 15):
            around.clock.advance(timedelta(seconds=seconds))
            await correlator.run_due()

    go(work)

    assert around.hurried == [True, False, False]


def without_the_last_calls(scenario: world.Scenario, steps: int) -> world.Scenario:
    whole = scenario.telemetry
    known = np.arange(whole.grid.length) < whole.grid.length - steps
    return replace(
        scenario, telemetry=replace(whole, edges=tuple(replace(e, calls=e.calls * known) for e in whole.edges))
    )


def test_what_lagged_behind_at_the_last_step_is_analysed_again_until_it_is_there(around: Surroundings) -> None:
    whole = around.scenario
    around.scenario = without_the_last_calls(whole, 3)

    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        around.clock.advance(timedelta(seconds=300))
        await correlator.run_due()
        assert correlator.following == {"i-1"}
        around.scenario = whole
        around.clock.advance(timedelta(seconds=15))
        await correlator.run_due()
        assert correlator.following == frozenset()

    go(work)

    assert around.published[-1].hypotheses[0].service == around.scenario.expected


def test_an_analysis_that_knows_less_takes_no_cause_back(around: Surroundings) -> None:
    whole = around.scenario

    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        await correlator.run_due()
        around.scenario = without_the_last_calls(whole, 10)
        around.clock.advance(timedelta(seconds=15))
        await correlator.run_due()

    go(work)

    assert around.loads == 2
    assert [a.verdict for a in around.published] == [pb.VERDICT_CAUSE_NAMED]


def test_a_changed_answer_is_published_with_the_next_version(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        around.deploys_down = True
        await correlator.on_event(opened(around))
        await correlator.run_due()
        around.deploys_down = False
        around.clock.advance(timedelta(seconds=15))
        await correlator.run_due()

    go(work)

    assert [a.version for a in around.published] == [1, 2]
    assert around.published[0].hypotheses[0].cause_kind != pb.CAUSE_KIND_DEPLOY
    assert around.published[1].hypotheses[0].cause_kind == pb.CAUSE_KIND_DEPLOY


def test_the_same_event_twice_is_one_analysis(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        event = opened(around)
        await correlator.on_event(event)
        await correlator.on_event(event)
        await correlator.run_due()
        await correlator.on_event(event)
        await correlator.run_due()

    go(work)

    assert around.loads == 1


def test_a_resolved_incident_is_left_alone_and_an_acknowledged_one_is_not(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        for incident_id in ("i-1", "i-2"):
            await correlator.on_event(opened(around, incident_id=incident_id))
        await correlator.on_event(IncidentResolved(incident=opened(around).incident))
        await correlator.on_event(IncidentAcknowledged(incident=opened(around, incident_id="i-2").incident))
        await correlator.run_due()

    go(work)

    assert [a.incident_id for a in around.published] == ["i-2"]


def test_two_tenants_do_not_meet(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        await correlator.on_event(opened(around, tenant="other"))
        await correlator.run_due()

    go(work)

    verdicts = {a.tenant_id: a.verdict for a in around.published}
    assert verdicts == {"acme": pb.VERDICT_CAUSE_NAMED, "other": pb.VERDICT_NOT_ENOUGH_EVIDENCE}


def test_a_database_that_is_down_postpones_the_analysis(around: Surroundings) -> None:
    around.failures = [Unavailable("ClickHouse does not answer")]

    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        await correlator.run_due()
        assert around.published == []
        around.clock.advance(timedelta(seconds=2))
        await correlator.run_due()

    go(work)

    assert len(around.published) == 1


def test_an_hour_of_failing_is_enough(around: Surroundings) -> None:
    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around))
        for minutes in (0, 59, 2):
            around.failures = [Unavailable("ClickHouse does not answer")]
            around.clock.advance(timedelta(minutes=minutes))
            await correlator.run_due()
        assert correlator.following == frozenset()

    go(work)

    assert around.published == []


def test_an_incident_that_cannot_be_analysed_does_not_stop_the_others(around: Surroundings) -> None:
    around.failures = [ValueError("unexpected")]

    async def work() -> None:
        correlator = engine(around)
        await correlator.on_event(opened(around, incident_id="i-1"))
        await correlator.on_event(opened(around, incident_id="i-2"))
        await correlator.run_due()
        assert correlator.following == {"i-1", "i-2"}

    go(work)

    assert len(around.published) == 1


def test_after_a_crash_open_incidents_are_taken_up_where_they_were(around: Surroundings) -> None:
    restarted(around, timedelta(seconds=40))
    around.stored = HypothesesPublished(version=4, analysed_at=stamp(around.clock.now() - timedelta(seconds=10)))

    async def work() -> None:
        correlator = engine(around)
        await correlator.recover("acme")
        await correlator.recover("other")
        await correlator.run_due()
        assert correlator.following == {"i-1"}

    go(work)

    assert [a.version for a in around.published] == [5]


def test_after_a_crash_an_incident_never_analysed_is_analysed_however_old(around: Surroundings) -> None:
    restarted(around, timedelta(hours=2))

    async def work() -> None:
        correlator = engine(around)
        await correlator.recover("acme")
        await correlator.run_due()
        assert correlator.following == frozenset()

    go(work)

    assert [a.version for a in around.published] == [1]


def test_after_a_crash_an_incident_that_is_through_is_not_analysed_again(around: Surroundings) -> None:
    incident = restarted(around, timedelta(hours=2))
    around.stored = HypothesesPublished(version=2, analysed_at=stamp(incident.opened_at + timedelta(seconds=301)))

    async def work() -> None:
        correlator = engine(around)
        await correlator.recover("acme")
        await correlator.run_due()
        assert correlator.following == frozenset()

    go(work)

    assert (around.loads, around.published) == (0, [])


@pytest.mark.parametrize("missing", ["id", "tenant_id", "opened_at"])
def test_an_incident_without_its_essentials_is_refused(around: Surroundings, missing: str) -> None:
    event = opened(around)
    event.incident.ClearField(missing)  # type: ignore[arg-type]

    with pytest.raises(InvalidInput, match="needs id, tenant_id and opened_at"):
        open_incident(event.incident)


def test_an_incident_without_a_start_began_when_it_was_opened(around: Surroundings) -> None:
    event = opened(around)
    event.incident.ClearField("started_at")

    incident = open_incident(event.incident)

    assert incident.started_at == incident.opened_at
