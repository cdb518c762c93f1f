"""What the analysis of the shop's outage says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from incidentscope.correlation.v1 import correlation_events_pb2 as correlation_events
from incidentscope.correlation.v1 import correlation_pb2 as correlation
from incidentscope.incident.v1 import incident_pb2

from services.correlation_engine.domain.checks import checks_for
from services.correlation_engine.domain.model import CauseKind, Evidence, EvidenceKind, Grid, Hypothesis, Window
from tests.unit.services.console.memory_services import TENANT
from tests.unit.services.console.stamps import stamp

Numbers = tuple[float, float, str]


def evidence(kind: str, service: str, statement: str, numbers: Numbers, at: datetime) -> correlation.Evidence:
    """Return one piece of evidence over ten minutes from an instant; `numbers` are observed, baseline and unit."""
    observed, baseline, unit = numbers
    return correlation.Evidence(
        kind=correlation.EvidenceKind.Value(f"EVIDENCE_KIND_{kind}"),
        service=service,
        statement=statement,
        observed=observed,
        baseline=baseline,
        unit=unit,
        strength=0.9,
        start_time=stamp(at),
        end_time=stamp(at + timedelta(minutes=10)),
        url=f"/services/{service}?from={at:%Y-%m-%dT%H:%M:%SZ}",
    )


def bad_deploy(incident_id: str, onset: datetime) -> correlation_events.HypothesesPublished:
    """Return the analysis of the shop's outage."""
    first = correlation.Hypothesis(
        rank=1,
        service="payments",
        cause_kind=correlation.CAUSE_KIND_DEPLOY,
        confidence=0.87,
        statement="payments v2.31.0 was deployed 2 minutes before its errors began; those of its callers follow.",
        chain=["payments", "checkout", "frontend"],
        impacted_services=["checkout", "frontend", "web"],
        deploy_id="d1",
        story=[*_story(onset)],
        checks=[*_checks(onset)],
        evidence=[
            evidence(kind, "payments", words, numbers, onset) for kind, words, numbers in _against_payments(onset)
        ],
    )
    waits = "Callers wait longer"
    second = correlation.Hypothesis(
        rank=2,
        service="inventory-db",
        cause_kind=correlation.CAUSE_KIND_SLOW_DEPENDENCY,
        confidence=0.07,
        statement="inventory-db answers inventory 1.4 times slower than before.",
        chain=["inventory-db", "inventory", "checkout"],
        impacted_services=["inventory"],
        evidence=[evidence("UNHEALTHY_DEPENDENCY", "inventory-db", waits, (14.2, 10.1, "ms"), onset)],
    )
    third = correlation.Hypothesis(
        rank=3,
        service="recommendations",
        cause_kind=correlation.CAUSE_KIND_RESOURCE_SATURATION,
        confidence=0.03,
        statement="recommendations runs at 71 % of its CPU limit, as it did before.",
        evidence=[evidence("RESOURCE_SATURATION", "recommendations", "CPU use", (0.71, 0.69, "1"), onset)],
    )
    return correlation_events.HypothesesPublished(
        tenant_id=TENANT,
        incident_id=incident_id,
        version=2,
        analysed_at=stamp(onset + timedelta(minutes=5)),
        onset_at=stamp(onset),
        window_start_time=stamp(onset),
        window_end_time=stamp(onset + timedelta(minutes=10)),
        verdict=correlation.VERDICT_CAUSE_NAMED,
        hypotheses=[third, first, second],
        reason="payments is far from how it usually is, which explains most of what checkout and frontend suffer.",
        change=correlation.ANALYSIS_CHANGE_VERDICT,
        change_statement="Evidence now suffices to name payments.",
    )


def too_early(incident_id: str, onset: datetime) -> correlation_events.HypothesesPublished:
    """Return the analysis before, which names no cause."""
    return correlation_events.HypothesesPublished(
        tenant_id=TENANT,
        incident_id=incident_id,
        version=1,
        analysed_at=stamp(onset + timedelta(minutes=2)),
        onset_at=stamp(onset),
        verdict=correlation.VERDICT_NOT_ENOUGH_EVIDENCE,
        reason="No service or dependency stands out from its own usual noise.",
        change=correlation.ANALYSIS_CHANGE_FIRST,
        change_statement="The first analysis names no cause.",
        hypotheses=[
            correlation.Hypothesis(
                rank=1, service="checkout", cause_kind=correlation.CAUSE_KIND_SERVICE_FAULT, confidence=0.11,
                statement="checkout itself fails requests.",
            )
        ],
    )  # fmt: skip


def alike(past: incident_pb2.Incident, onset: datetime) -> list[correlation.SimilarIncident]:
    """Return two past incidents, one with a confirmed cause."""
    return [
        correlation.SimilarIncident(
            incident_id=past.id, title="checkout: error rate 19 %", opened_at=stamp(onset - timedelta(days=12)),
            resolved_at=stamp(onset - timedelta(days=12) + timedelta(minutes=41)), similarity=0.78,
            reasons=[
                "the same cause: payments (confirmed by Ana)", "2 of 3 affected services: checkout, frontend",
                "the same kind of cause: deploy",
            ],
            cause_service="payments", cause="The deploy of payments v2.28.1 broke it.",
            standing=correlation.CAUSE_STANDING_CONFIRMED, judged_by="Ana",
            resolution="Resolved by Ana: rolled payments back to v2.28.0",
        ),
        correlation.SimilarIncident(
            incident_id=past.id, title="checkout: p95 latency 2.1 s", opened_at=stamp(onset - timedelta(days=40)),
            similarity=0.34, reasons=["the same cause: payments (never confirmed)"], cause_service="payments",
            cause="payments itself became slow.", standing=correlation.CAUSE_STANDING_SUSPECTED,
        ),
    ]  # fmt: skip


def _story(onset: datetime) -> Iterator[correlation.StoryStep]:
    parts = (
        ("CHANGE", "payments", _against_payments(onset)[1][1], -2),
        ("FIRST_FAILURE", "payments", _against_payments(onset)[0][1], 0),
        ("BLAST_RADIUS", "checkout", "checkout fails 28 % of its requests (0.1 % before).", None),
        ("BLAST_RADIUS", "frontend", "frontend fails 4.2 % of its requests (0.1 % before).", None),
    )
    for part, service, statement, minutes in parts:
        at = onset + timedelta(minutes=minutes) if minutes is not None else None
        yield correlation.StoryStep(
            part=correlation.StoryPart.Value(f"STORY_PART_{part}"),
            service=service,
            statement=statement,
            at=stamp(at) if at else None,
            at_to_the_minute=part == "FIRST_FAILURE",
            url=_page(service, onset),
        )


def _checks(onset: datetime) -> Iterator[correlation.Check]:
    """Yield what the engine itself says for such evidence."""
    kinds = (EvidenceKind.DEPLOY, EvidenceKind.ERROR_ORIGIN, EvidenceKind.LOG_SIGNATURE, EvidenceKind.SELF_LATENCY)
    end = onset + timedelta(minutes=10)
    found = tuple(Evidence(kind, "payments", "words", 1.0, 0.0, "1", 0.9, onset, end) for kind in kinds)
    grid = Grid(onset - timedelta(hours=1), end)
    window = Window(grid, slice(0, 58), slice(60, 70))
    hypothesis = Hypothesis(1, "payments", CauseKind.DEPLOY, "words", 0.8, 0.8, found)
    for check in checks_for(hypothesis, window, TENANT):
        yield correlation.Check(
            kind=correlation.EvidenceKind.Value(f"EVIDENCE_KIND_{check.kind.name}"), service=check.service,
            look_at=check.look_at, confirms=check.confirms, refutes=check.refutes, start_time=stamp(check.start),
            end_time=stamp(check.end), url=f"{_page(check.service, onset)}#charts-h", query=check.query,
        )  # fmt: skip


def _page(service: str, onset: datetime) -> str:
    return f"/services/{service}?from={onset - timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}"


def _against_payments(onset: datetime) -> tuple[tuple[str, str, Numbers], ...]:
    deployed = onset - timedelta(minutes=2)
    times = f"at {deployed:%H:%M:%S} UTC, the onset is at {onset:%H:%M} UTC"
    return (
        (
            "ERROR_ORIGIN",
            "31 % of 2210 requests to payments failed (0.1 % before); failing calls to others explain 0 %.",
            (0.31, 0.0012, "1"),
        ),
        ("DEPLOY", f"payments was deployed to v2.31.0 {times}.", (2, 0, "min")),
        (
            "LOG_SIGNATURE",
            "payments logged 81.2 times per minute (never before): NullPointerException: card token of <*> is null",
            (81.2, 0, "{record}/min"),
        ),
        ("SELF_LATENCY", "payments spends 812 ms per request in itself (41.3 ms before).", (812, 41.3, "ms")),
    )
