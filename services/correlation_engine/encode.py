"""The domain's answer as protobuf, with links, and back to what tells two answers apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.correlation.v1 import correlation_pb2 as pb
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished

from libs.kernel import quantities
from services.correlation_engine.domain import wording
from services.correlation_engine.domain.checks import Check, checks_for, looked_at
from services.correlation_engine.domain.model import Analysis, Evidence, EvidenceKind, Hypothesis, StoryStep, Window
from services.correlation_engine.domain.schedule import OpenIncident

CONFIDENCE_STEP = 0.1  # a smaller change of confidence is not news
COMPARED_HYPOTHESES = 3
# The part of a service's page that shows what a class of evidence is about
PARTS = {
    EvidenceKind.ERROR_ORIGIN: "charts-h",
    EvidenceKind.SELF_LATENCY: "charts-h",
    EvidenceKind.TRAFFIC_CHANGE: "charts-h",
    EvidenceKind.RESOURCE_SATURATION: "resources-h",
    EvidenceKind.UNHEALTHY_DEPENDENCY: "callers-h",
    EvidenceKind.NETWORK_GAP: "callers-h",
    EvidenceKind.LOG_SIGNATURE: "logs-h",
    EvidenceKind.LOST_BEHAVIOUR: "logs-h",
    EvidenceKind.DEPLOY: "deploys-h",
}


def incident_page(incident_id: str) -> str:
    """Return the page of an incident, as a path: the console may be anywhere, and move."""
    return f"/incidents/{quote(incident_id, safe='')}"


def service_page(name: str, start: datetime, end: datetime, part: str = "") -> str:
    """Return the page of a service over a time, at one of its parts when given; a path likewise."""
    query = urlencode({"from": _rfc3339(start), "to": _rfc3339(end)})
    address = f"/services/{quote(name, safe='')}?{query}"
    return f"{address}#{part}" if part else address


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _timestamp(instant: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def encode(incident: OpenIncident, analysis: Analysis, version: int, analysed_at: datetime) -> HypothesesPublished:
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
        hypotheses=[_hypothesis(h, incident, window) for h in analysis.hypotheses],
    )


def _hypothesis(hypothesis: Hypothesis, incident: OpenIncident, window: Window) -> pb.Hypothesis:
    return pb.Hypothesis(
        rank=hypothesis.rank,
        service=hypothesis.service,
        cause_kind=pb.CauseKind.Value(f"CAUSE_KIND_{hypothesis.cause_kind.name}"),
        statement=hypothesis.statement,
        score=hypothesis.score,
        confidence=hypothesis.confidence,
        evidence=[_evidence(e, incident) for e in hypothesis.evidence],
        chain=hypothesis.chain,
        impacted_services=hypothesis.impacted,
        deploy_id=hypothesis.change_id,
        story=[_step(step, window) for step in hypothesis.story],
        checks=[_check(check) for check in checks_for(hypothesis, window, incident.tenant)],
    )


def _step(step: StoryStep, window: Window) -> pb.StoryStep:
    part = PARTS[step.kind] if step.kind else "charts-h"
    url = step.url or service_page(step.service, *looked_at(step.at or window.onset, window.end), part)
    return pb.StoryStep(
        part=pb.StoryPart.Value(f"STORY_PART_{step.part.name}"),
        service=step.service,
        statement=step.statement,
        at=_timestamp(step.at) if step.at else None,
        at_to_the_minute=step.at is not None and step.kind is not EvidenceKind.DEPLOY,
        url=url,
    )


def _check(check: Check) -> pb.Check:
    return pb.Check(
        kind=pb.EvidenceKind.Value(f"EVIDENCE_KIND_{check.kind.name}"),
        service=check.service,
        look_at=check.look_at,
        confirms=check.confirms,
        refutes=check.refutes,
        start_time=_timestamp(check.start),
        end_time=_timestamp(check.end),
        url=service_page(check.service, check.start, check.end, PARTS[check.kind]),
        query=check.query,
    )


def _evidence(evidence: Evidence, incident: OpenIncident) -> pb.Evidence:
    if evidence.kind is EvidenceKind.DEPLOY:
        url = evidence.url or f"{incident_page(incident.id)}#deploys-h"
    else:
        url = service_page(evidence.service, *looked_at(evidence.start, evidence.end), PARTS[evidence.kind])
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
        signature=evidence.signature,
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


def explain(published: HypothesesPublished | None, fresh: HypothesesPublished, why: str) -> HypothesesPublished:
    """Return the fresh analysis with why it is published after the one published last."""
    told = HypothesesPublished()
    told.CopyFrom(fresh)
    told.change = pb.AnalysisChange.Value(f"ANALYSIS_CHANGE_{why.upper()}")
    told.change_statement = _told(published or HypothesesPublished(), fresh, why)
    return told


def _told(old: HypothesesPublished, new: HypothesesPublished, why: str) -> str:
    before, now = _first(old), _first(new)
    match why:
        case "first":
            which = "The first analysis after the reopening" if old.version else "The first analysis"
            return f"{which} names {now.service if new.verdict == pb.VERDICT_CAUSE_NAMED else 'no cause'}."
        case "verdict":
            named = new.verdict == pb.VERDICT_CAUSE_NAMED
            return f"Evidence now suffices to name {now.service}." if named else f"{before.service} is no longer named."
        case "ranking" if before.service != now.service:
            return (
                f"{now.service} comes first instead of {before.service or 'nobody'}."
                if now.service
                else "Nobody is left."
            )
        case "ranking":
            return f"{now.service} stays first{_order_news(old, new)}."
        case "confidence":
            then, since = quantities.confidence(before.confidence), quantities.confidence(now.confidence)
            return f"{now.service} went from {then} to {since} confident."
        case _:
            return f"{now.service}: {_evidence_news(before, now)}."


def _order_news(old: HypothesesPublished, new: HypothesesPublished) -> str:
    before, now = ([h.service for h in a.hypotheses[1:COMPARED_HYPOTHESES]] for a in (old, new))
    if before == now:
        return "; the kind of a cause changed"
    return f"; behind it {wording.names(now) or 'nobody'} instead of {wording.names(before) or 'nobody'}"


def _first(analysis: HypothesesPublished) -> pb.Hypothesis:
    return analysis.hypotheses[0] if analysis.hypotheses else pb.Hypothesis()


def _evidence_news(before: pb.Hypothesis, now: pb.Hypothesis) -> str:
    old, new = ({_spoken(e.kind) for e in h.evidence} for h in (before, now))
    came, went = sorted(new - old), sorted(old - new)
    parts = [f"new evidence: {', '.join(came)}"] if came else []
    return "; ".join(parts + ([f"no longer: {', '.join(went)}"] if went else []))


def _spoken(kind: int) -> str:
    known = pb.EvidenceKind.DESCRIPTOR.values_by_number
    return str(known[kind].name).removeprefix("EVIDENCE_KIND_").replace("_", " ").lower() if kind in known else "other"
