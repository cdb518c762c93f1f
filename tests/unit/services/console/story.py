"""What the analysis of the shop's outage says."""

from __future__ import annotations

from datetime import datetime, timedelta

from incidentscope.correlation.v1 import correlation_events_pb2 as correlation_events
from incidentscope.correlation.v1 import correlation_pb2 as correlation

from tests.unit.services.console.memory_response import stamp
from tests.unit.services.console.memory_services import TENANT

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
        url=f"http://127.0.0.1:8090/services/{service}?from={at:%Y-%m-%dT%H:%M:%SZ}",
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
        evidence=[evidence(kind, "payments", words, numbers, onset) for kind, words, numbers in _AGAINST_PAYMENTS],
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
        reason="payments clears the threshold with 4 kinds of evidence.",
    )


_AGAINST_PAYMENTS: tuple[tuple[str, str, Numbers], ...] = (
    ("ERROR_ORIGIN", "Errors begin in payments itself, not in anything it calls", (0.31, 0.0012, "1")),
    ("DEPLOY", "v2.31.0 went to production shortly before onset", (2, 0, "min")),
    ("LOG_SIGNATURE", "New log line: NullPointerException: card token of <*> is null", (81.2, 0, "{record}/min")),
    ("SELF_LATENCY", "Time spent in payments itself rose", (812, 41.3, "ms")),
)
