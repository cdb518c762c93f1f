"""Hypotheses by version, feedback and similar incidents over real gRPC, Postgres and Kafka."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import psycopg
import pytest
from incidentscope.correlation.v1 import correlation_pb2 as correlation
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.incident.v1 import incident_pb2 as pb

from libs.messaging.topics import CORRELATION_HYPOTHESES
from libs.storage.migrate import migrate_postgres
from tests.integration.incident_requests import REAL, good
from tests.integration.incident_world import (
    ROOT,
    IncidentWorld,
    analysis,
    as_tenant,
    cloud_event,
    eventually,
    incident_service,
)

CONFIRMED, REJECTED = correlation.FEEDBACK_VERDICT_CONFIRMED, correlation.FEEDBACK_VERDICT_REJECTED


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IncidentWorld]:
    migrate_postgres(stack.postgres_url, ROOT / "infra/postgres")
    folder = tmp_path_factory.mktemp("incident_service")
    with incident_service(stack.postgres_url, stack.kafka_bootstrap, folder) as running:
        yield running


def ask(world: IncidentWorld, method: str, incident_id: str = "", tenant: str = "default", **fields: Any) -> Any:
    return getattr(world.stub, method)(good(method, incident_id, **fields), metadata=as_tenant(tenant), timeout=15)


def refused(world: IncidentWorld, method: str, incident_id: str = "", **fields: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask(world, method, incident_id, **fields)
    answer: Any = caught.value
    return answer.code(), answer.details()


def opened(world: IncidentWorld, *services: str, tenant: str = "default") -> str:
    incident = ask(world, "OpenIncident", tenant=tenant, title="checkout is down", services=services or ["checkout"])
    return str(incident.incident.id)


def analysed(world: IncidentWorld, incident_id: str, cause: str = "payments", version: int = 1, tenant: str = "default",
             **change: Any) -> HypothesesPublished:  # fmt: skip
    """Publish an analysis and wait until it is kept."""
    found = analysis(incident_id, version, cause)
    found.tenant_id = tenant
    found.MergeFrom(HypothesesPublished(**change))
    for hypothesis in found.hypotheses:
        hypothesis.evidence.add(kind=correlation.EVIDENCE_KIND_DEPLOY, service=cause)
        hypothesis.evidence.add(kind=correlation.EVIDENCE_KIND_LOG_SIGNATURE, service=cause, signature="token <*> null")
    world.publish_analysis(found)
    eventually(lambda: versions(world, incident_id, tenant), lambda kept: bool(kept) and kept[0].version >= version)
    return found


def versions(world: IncidentWorld, incident_id: str, tenant: str = "default") -> list[correlation.AnalysisVersion]:
    return list(ask(world, "ListHypothesisVersions", incident_id, tenant).versions)


def test_every_publication_is_a_version_with_its_reason_and_stays_readable(world: IncidentWorld) -> None:
    incident_id = opened(world)
    first = analysed(world, incident_id, "", change=correlation.ANALYSIS_CHANGE_FIRST)
    told: dict[str, Any] = {"change": correlation.ANALYSIS_CHANGE_VERDICT, "change_statement": "payments is named now."}
    second = analysed(world, incident_id, "payments", 2, **told)
    history = versions(world, incident_id)
    assert [(v.version, v.service, v.change_statement) for v in history] == [
        (2, "payments", "payments is named now."),
        (1, "", ""),
    ]
    assert history[1].statement == "every service is within its own noise"
    assert ask(world, "GetHypotheses", incident_id, version=1).analysis == first
    assert ask(world, "GetHypotheses", incident_id).analysis == second
    missing = refused(world, "GetHypotheses", incident_id, version=3)
    assert missing == (grpc.StatusCode.NOT_FOUND, f"incident {incident_id} has no analysis 3")
    page = ask(world, "ListHypothesisVersions", incident_id, page_size=1)
    rest = ask(world, "ListHypothesisVersions", incident_id, page_size=1, page_token=page.next_page_token)
    assert [v.version for v in (*page.versions, *rest.versions)] == [2, 1]
    assert not rest.next_page_token


def test_an_analysis_delivered_again_is_no_new_version(world: IncidentWorld) -> None:
    incident_id = opened(world)
    found = analysis(incident_id, 1, "payments")
    event = cloud_event(incident_id, "default", found)
    for _ in range(2):
        world.publish(CORRELATION_HYPOTHESES, incident_id, event)
    world.publish_analysis(found)  # under another event id: an engine that restarted in between
    analysed(world, incident_id, "cart", 2)
    assert [v.version for v in versions(world, incident_id)] == [2, 1]


def test_feedback_is_kept_told_and_published(world: IncidentWorld) -> None:
    incident_id = opened(world)
    analysed(world, incident_id)
    given = ask(world, "GiveHypothesisFeedback", incident_id, verdict=REJECTED, note="it was green all along").feedback
    assert (given.analysis_version, given.rank, given.service, given.confidence) == (1, 1, "payments", 0.83)
    assert given.cause_kind == correlation.CAUSE_KIND_DEPLOY
    real: dict[str, Any] = {"verdict": REAL, "rank": 0, "real_service": "dns", "real_cause": "a zone expired"}
    last = ask(world, "GiveHypothesisFeedback", incident_id, actor="bob", **real).feedback
    assert list(ask(world, "ListHypothesisFeedback", incident_id).feedback) == [last, given]
    told = [e for e in world.timeline("default", incident_id) if e.kind == pb.TIMELINE_KIND_HYPOTHESIS][-2:]
    assert [(e.actor, e.text) for e in told] == [
        ("eve", "Rejected by eve: hypothesis 1 of analysis 1, payments, is not the cause\nit was green all along"),
        ("bob", "Real cause named by bob: dns: a zone expired"),
    ]
    events = world.events_of("incidents.events", lambda m: m.key() == incident_id.encode(), 4)
    assert [dict(m.headers())["ce_id"].decode() for m in events[-2:]] == [e.id for e in told]


def test_a_repeated_write_with_its_key_is_recorded_once(world: IncidentWorld) -> None:
    incident_id = opened(world)
    analysed(world, incident_id)
    request = good("GiveHypothesisFeedback", incident_id)
    metadata = (*as_tenant("default"), ("idempotency-key", uuid.uuid4().hex))
    first = world.stub.GiveHypothesisFeedback(request, metadata=metadata, timeout=15)
    assert world.stub.GiveHypothesisFeedback(request, metadata=metadata, timeout=15) == first
    assert len(ask(world, "ListHypothesisFeedback", incident_id).feedback) == 1


def test_feedback_on_what_is_not_there_is_refused_and_nothing_is_kept(world: IncidentWorld) -> None:
    incident_id = opened(world)
    code = grpc.StatusCode.NOT_FOUND
    unknown = str(uuid.uuid4())
    assert refused(world, "GiveHypothesisFeedback", unknown) == (code, f"there is no incident {unknown}")
    assert refused(world, "GiveHypothesisFeedback", incident_id) == (code, f"incident {incident_id} has no analysis 1")
    analysed(world, incident_id)
    assert refused(world, "GiveHypothesisFeedback", incident_id, analysis_version=2)[0] is code
    wrong_rank = refused(world, "GiveHypothesisFeedback", incident_id, rank=2)
    assert wrong_rank == (grpc.StatusCode.INVALID_ARGUMENT, "analysis 1 has no hypothesis 2")
    reads = ("ListHypothesisFeedback", "ListHypothesisVersions", "ListSimilarIncidents")
    for method in ("GiveHypothesisFeedback", *reads):
        assert refused(world, method, incident_id, tenant="other")[0] is code, method
    assert not ask(world, "ListHypothesisFeedback", incident_id).feedback


def test_feedback_cannot_be_edited_and_the_database_keeps_tenants_apart(world: IncidentWorld) -> None:
    incident_id = opened(world)
    analysed(world, incident_id)
    ask(world, "GiveHypothesisFeedback", incident_id)
    with psycopg.connect(world.postgres_url) as conn:
        conn.execute("SET search_path = incident")
        conn.execute("SELECT set_config('app.tenant_id', 'default', false)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"), conn.transaction():
            conn.execute("UPDATE hypothesis_feedback SET verdict = 'rejected'")
        forced = conn.execute(
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = 'hypothesis_feedback'::regclass"
        ).fetchone()
    assert forced == (True, True)


def test_similar_incidents_are_of_the_same_tenant_and_a_confirmed_cause_comes_first(world: IncidentWorld) -> None:
    tenant = "repeated"
    elsewhere = opened(world, "checkout", "web")
    analysed(world, elsewhere, "ledger")
    ask(world, "GiveHypothesisFeedback", elsewhere)
    past = [opened(world, "checkout", "web", tenant=tenant) for _ in range(3)]
    for incident_id in past:
        analysed(world, incident_id, "ledger", tenant=tenant)
    ask(world, "GiveHypothesisFeedback", past[0], tenant, actor="ann")
    ask(world, "GiveHypothesisFeedback", past[2], tenant, verdict=REJECTED)
    ask(world, "ResolveIncident", past[0], tenant, resolution="rolled back")
    now = opened(world, "checkout", "web", tenant=tenant)
    analysed(world, now, "ledger", tenant=tenant)

    found = list(ask(world, "ListSimilarIncidents", now, tenant).incidents)
    assert [s.incident_id for s in found] == past
    standings = [s.standing for s in found]
    assert standings == [
        correlation.CAUSE_STANDING_CONFIRMED, correlation.CAUSE_STANDING_SUSPECTED, correlation.CAUSE_STANDING_REJECTED,
    ]  # fmt: skip
    assert found[0].similarity == pytest.approx(1.0)
    assert (found[0].cause_service, found[0].judged_by) == ("ledger", "ann")
    assert found[0].resolution == "Resolved by eve: rolled back"
    assert found[0].reasons[0] == "the same cause: ledger (confirmed by ann)"
    assert found[0].url == f"/incidents/{past[0]}"
    assert len(ask(world, "ListSimilarIncidents", now, tenant, page_size=1).incidents) == 1
    bins = ask(world, "GetHypothesisCalibration", tenant=tenant)
    assert [(b.judged, b.confirmed) for b in bins.bins] == [(0, 0)] * 8 + [(2, 1), (0, 0)]
    assert bins.expected_calibration_error == pytest.approx(0.33)
