from __future__ import annotations

from datetime import UTC, datetime

from incidentscope.correlation.v1 import correlation_pb2
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.deploy.v1 import deploy_pb2
from incidentscope.incident.v1 import incident_pb2

from services.console import decode
from services.console.domain.models import Severity, Status

AT = datetime(2026, 1, 31, 14, 5, tzinfo=UTC)


def test_an_incident_without_alerts_began_when_it_was_opened() -> None:
    found = decode.incident(incident_pb2.Incident(id="i", opened_at=decode.timestamp(AT)))
    assert (found.started_at, found.status, found.severity) == (AT, Status.UNKNOWN, Severity.UNKNOWN)
    assert (found.acknowledged_at, found.resolved_at) == (None, None)


def test_values_of_newer_contracts_are_shown_as_unknown() -> None:
    newer = incident_pb2.TimelineEntry()
    newer.ParseFromString(b"\x18\x63")  # kind = 99
    assert decode.timeline_entry(newer).kind == "unknown"
    deploy = deploy_pb2.Deploy()
    deploy.ParseFromString(b"\x38\x63\x40\x63")  # status = provider = 99
    assert (decode.deploy(deploy).status, decode.deploy(deploy).provider) == ("unknown", "unknown")


def test_a_change_says_its_kind_and_where_its_revision_was() -> None:
    built = deploy_pb2.Deploy(kind=deploy_pb2.CHANGE_KIND_CI_OUTCOME)
    back = deploy_pb2.Deploy(kind=deploy_pb2.CHANGE_KIND_DEPLOY, movement=deploy_pb2.DEPLOY_MOVEMENT_ROLLBACK)
    found = [(d.kind, d.movement) for d in map(decode.deploy, (deploy_pb2.Deploy(), built, back))]
    assert found == [("deploy", ""), ("CI", ""), ("deploy", "rollback")]


def test_hypotheses_come_by_rank_with_kinds_in_words() -> None:
    message = HypothesesPublished(
        verdict=correlation_pb2.VERDICT_CAUSE_NAMED,
        hypotheses=[
            correlation_pb2.Hypothesis(rank=2, service="b"),
            correlation_pb2.Hypothesis(
                rank=1,
                service="a",
                cause_kind=correlation_pb2.CAUSE_KIND_DEAD_DEPENDENCY,
                evidence=[correlation_pb2.Evidence(kind=correlation_pb2.EVIDENCE_KIND_ERROR_ORIGIN)],
            ),
        ],
    )
    found = decode.analysis(message)
    assert [(h.service, h.cause) for h in found.hypotheses] == [("a", "dead dependency"), ("b", "unknown kind")]
    assert found.hypotheses[0].evidence[0].kind == "fails by itself"
    assert (found.named, found.onset) == (True, None)
