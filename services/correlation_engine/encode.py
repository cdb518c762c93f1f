"""The domain's answer as protobuf, with links, and back to what tells two answers apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.correlation.v1 import correlation_pb2 as pb
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished

from services.correlation_engine.domain.model import Analysis, Evidence, EvidenceKind, Hypothesis
from services.correlation_engine.domain.schedule import OpenIncident

CONFIDENCE_STEP = 0.1  # a smaller change of confidence is not news
COMPARED_HYPOTHESES = 3


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of console pages."""

    console_url: str

    def incident(self, incident_id: str) -> str:
        """Return the page of an incident."""
        return f"{self.console_url.rstrip('/')}/incidents/{quote(incident_id, safe='')}"

    def service(self, name: str, start: datetime, end: datetime) -> str:
        """Return the page of a service over a time."""
        query = urlencode({"from": _rfc3339(start), "to": _rfc3339(end)})
        return f"{self.console_url.rstrip('/')}/services/{quote(name, safe='')}?{query}"


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _timestamp(instant: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def encode(
    incident: OpenIncident, analysis: Analysis, version: int, analysed_at: datetime, links: Links
) -> HypothesesPublished:
    """Return the message for an analysis."""
    window = analysis.window
    return HypothesesPublished(
        tenant_id=incident.tenant,
        incident_id=incident.id,
        version=version,
        analysed_at=_timestamp(analysed_at),
        onset_at=_timestamp(window.onset),
        window_start_time=_timestamp(window.onset),
        window_end_time=_timestamp(window.end),
        baseline_start_time=_timestamp(window.baseline_start),
        baseline_end_time=_timestamp(window.baseline_end),
        verdict=pb.Verdict.Value(f"VERDICT_{analysis.verdict.name}"),
        reason=analysis.detail,
        hypotheses=[_hypothesis(h, incident, links) for h in analysis.hypotheses],
    )


def _hypothesis(hypothesis: Hypothesis, incident: OpenIncident, links: Links) -> pb.Hypothesis:
    return pb.Hypothesis(
        rank=hypothesis.rank,
        service=hypothesis.service,
        cause_kind=pb.CauseKind.Value(f"CAUSE_KIND_{hypothesis.cause_kind.name}"),
        statement=hypothesis.statement,
        score=hypothesis.score,
        confidence=hypothesis.confidence,
        evidence=[_evidence(e, incident, links) for e in hypothesis.evidence],
        chain=hypothesis.chain,
        impacted_services=hypothesis.impacted,
        deploy_id=hypothesis.change_id,
    )


def _evidence(evidence: Evidence, incident: OpenIncident, links: Links) -> pb.Evidence:
    if evidence.kind is EvidenceKind.DEPLOY:
        url = evidence.url or links.incident(incident.id)
    else:
        url = links.service(evidence.service, evidence.start, evidence.end)
    return pb.Evidence(
        kind=pb.EvidenceKind.Value(f"EVIDENCE_KIND_{evidence.kind.name}"),
        service=evidence.service,
        statement=evidence.statement,
        observed=evidence.observed,
        baseline=evidence.baseline,
        unit=evidence.unit,
        start_time=_timestamp(evidence.start),
        end_time=_timestamp(evidence.end),
        url=url,
        strength=evidence.strength,
    )


def news(published: HypothesesPublished | None, fresh: HypothesesPublished) -> str | None:
    """Return what makes a fresh analysis worth publishing after the one published last; None when nothing does."""
    if published is None:
        return "first"
    if published.verdict != fresh.verdict:
        return "verdict"
    return _news_of_suspects(_suspects(published), _suspects(fresh))


def _suspects(analysis: HypothesesPublished) -> list[pb.Hypothesis]:
    """Return the first suspects; leads come and go with the noise, which is no news."""
    return [h for h in analysis.hypotheses if h.cause_kind != pb.CAUSE_KIND_UNCLEAR][:COMPARED_HYPOTHESES]


def _news_of_suspects(old: Sequence[pb.Hypothesis], new: Sequence[pb.Hypothesis]) -> str | None:
    if [(h.service, h.cause_kind) for h in old] != [(h.service, h.cause_kind) for h in new]:
        return "ranking"
    if not new:
        return None
    if abs(old[0].confidence - new[0].confidence) >= CONFIDENCE_STEP:
        return "confidence"
    return None if {e.kind for e in old[0].evidence} == {e.kind for e in new[0].evidence} else "evidence"
