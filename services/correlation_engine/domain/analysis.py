"""The whole answer for one incident: window, evidence, ranking, verdict. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from services.correlation_engine.domain import (
    changes,
    confidence,
    coverage,
    error_origin,
    fusion,
    leads,
    lost_behaviour,
    narrative,
    network_gap,
    onset,
    saturation,
    self_latency,
    signatures,
    story,
    symptoms,
    timing,
    traffic,
    unhealthy_dependency,
    wording,
)
from services.correlation_engine.domain.graph import CallGraph
from services.correlation_engine.domain.model import (
    Analysis,
    CauseKind,
    Evidence,
    EvidenceKind,
    Hypothesis,
    Reason,
    Telemetry,
    Verdict,
    Window,
)

SCORERS = (
    error_origin.score,
    self_latency.score,
    unhealthy_dependency.score,
    network_gap.score,
    saturation.score,
    traffic.score,
    signatures.score,
    lost_behaviour.score,
)
MAX_HYPOTHESES = 5
NAMED_SCORE = 0.25  # a first suspect below this is not a cause
CLEAR = 0.8  # strength from which a class of evidence can make up for symptoms that are still small
UNNAMED = 0.25  # of its confidence a suspect keeps when nothing shows that the incident is about it


def analyse(telemetry: Telemetry, affected: Collection[str], started_at: datetime) -> Analysis:
    """Return the ranked causes of an incident that began to alert at `started_at` on the affected services.

    The onset is detected, the time that edges lag behind is left out. Raises ValueError when the grid is too short to
    hold a baseline before the onset.
    """
    known = coverage.settled(telemetry)
    window = onset.find_window(known, affected, started_at)
    if window is None:
        raise ValueError("the grid has no room for a baseline before the incident")
    analysis = analyse_window(known, affected, window)
    return analysis if known is telemetry else _behind(analysis, CallGraph.of(known.edges))


def _behind(analysis: Analysis, graph: CallGraph) -> Analysis:
    """Say of an answer that it looks at less than there will be.

    Of the last minutes the later calls are missing, so nobody is named for what may have failed below it.
    """
    named = analysis.verdict is Verdict.CAUSE_NAMED
    if named and not graph.callees.get(analysis.hypotheses[0].service):
        return replace(analysis, behind=True)
    share = UNNAMED if named else 1.0
    doubted = tuple(replace(h, confidence=share * h.confidence) for h in analysis.hypotheses)
    detail = f"Calls between services are known up to {analysis.window.grid.end:%H:%M} UTC only, as yet."
    return replace(
        analysis, behind=True, verdict=Verdict.NOT_ENOUGH_EVIDENCE, reason=Reason.EDGES_BEHIND, detail=detail,
        hypotheses=doubted,
    )  # fmt: skip


def analyse_window(telemetry: Telemetry, affected: Collection[str], window: Window) -> Analysis:
    """Return the ranked causes of an incident whose window is given."""
    found = [item for scorer in SCORERS for item in scorer(telemetry, window)]
    hurting = timing.courses(telemetry, affected, window)
    evidence = [replace(e, strength=e.strength * timing.agreement(e, hurting, window)) for e in found]
    suffering = symptoms.measure(telemetry, window)
    graph = CallGraph.of(telemetry.edges)
    deploys = _latest_per_service(changes.score(telemetry, window))
    scene = fusion.Scene(
        graph=graph,
        affected=frozenset(affected),
        weights=symptoms.weights(suffering, affected),
        measured=frozenset(s.service for s in telemetry.services) | graph.callers.keys(),
        deploys=deploys,
        usual=symptoms.usual(telemetry, affected, window),
    )
    ranked = fusion.rank(evidence, scene)
    suspects = _hypotheses(ranked, scene, suffering, window)
    verdict, reason, detail = _verdict(telemetry, window, affected, suffering, suspects)
    if verdict is Verdict.NOT_ENOUGH_EVIDENCE:
        suspects = tuple(replace(h, confidence=UNNAMED * h.confidence) for h in suspects)
    hypotheses = suspects + _leads(telemetry, window, ranked, scene)
    return Analysis(window, verdict, reason, detail, hypotheses)


def _latest_per_service(evidence: Collection[Evidence]) -> dict[str, Evidence]:
    best: dict[str, Evidence] = {}
    for item in evidence:
        if item.service not in best or item.strength > best[item.service].strength:
            best[item.service] = item
    return best


def _hypotheses(
    ranked: list[fusion.Suspicion], scene: fusion.Scene, suffering: dict[str, symptoms.Symptom], window: Window
) -> tuple[Hypothesis, ...]:
    likely = confidence.confidences([s.score for s in ranked])
    hurt = {name for name, symptom in suffering.items() if symptom.strength > 0}
    built = []
    for place, suspicion in enumerate(ranked[:MAX_HYPOTHESES], start=1):
        kind = narrative.cause_kind(suspicion)
        chain = narrative.chain(suspicion.node, scene.affected, scene.graph, hurt)
        impacted = narrative.impacted(suspicion.node, scene.graph, suffering)
        deploy = suspicion.deploy
        evidence = suspicion.evidence + ((deploy,) if deploy else ())
        built.append(
            Hypothesis(
                rank=place,
                service=suspicion.node,
                cause_kind=kind,
                statement=narrative.statement(suspicion, kind, chain, suffering),
                score=suspicion.score,
                confidence=likely[place - 1],
                evidence=evidence,
                chain=chain,
                impacted=impacted,
                change_id=deploy.change_id if deploy and deploy.service == suspicion.node else "",
                story=story.tell(evidence, impacted, suffering, window),
            )
        )
    return tuple(built)


def _leads(
    telemetry: Telemetry, window: Window, ranked: list[fusion.Suspicion], scene: fusion.Scene
) -> tuple[Hypothesis, ...]:
    """Return what to look at next where suspects are few, behind all of them."""
    found = leads.find(telemetry, window, [s.node for s in ranked], scene)
    likely = confidence.of_leads([s.score for s in ranked], [leads.at_limit(lead) for lead in found])
    least = min((s.score for s in ranked), default=1.0)
    return tuple(
        Hypothesis(
            rank=len(ranked) + place,
            service=lead.service,
            cause_kind=CauseKind.UNCLEAR,
            statement=narrative.lead(lead.service),
            score=lead.strength * least / 2**place,
            confidence=likely[place - 1],
            evidence=(lead, *((deploy,) if (deploy := scene.deploys.get(lead.service)) else ())),
            chain=(lead.service,),
        )
        for place, lead in enumerate(found, start=1)
    )


def _clear(hypothesis: Hypothesis) -> bool:
    """Tell whether any measure, a deploy aside, speaks clearly for a suspect."""
    return any(e.strength >= CLEAR for e in hypothesis.evidence if e.kind is not EvidenceKind.DEPLOY)


def _grounds(suspect: str, affected: Collection[str]) -> str:
    """Say why a cause can be named: it is far from its usual, and others suffer from that or it alerted itself."""
    others = sorted(set(affected) - {suspect})
    suffer = f", which explains most of what {wording.names(others)} suffer{'s' if len(others) == 1 else ''}"
    return f"{suspect} is far from how it usually is{suffer if others else ''}."


def _verdict(
    telemetry: Telemetry,
    window: Window,
    affected: Collection[str],
    suffering: dict[str, symptoms.Symptom],
    hypotheses: tuple[Hypothesis, ...],
) -> tuple[Verdict, Reason, str]:
    refused = Verdict.NOT_ENOUGH_EVIDENCE
    if not telemetry.services and not telemetry.edges and not telemetry.gauges:
        return refused, Reason.NO_TELEMETRY, "No telemetry of any service reached us in this time."
    known = {name: suffering[name] for name in affected if name in suffering}
    unhurt = bool(known) and not any(s.strength > 0 for s in known.values())
    unseen = bool(known) and not any(s.visible for s in known.values())
    first = hypotheses[0] if hypotheses else None
    certain = first is not None and (_clear(first) or (bool(known) and not unhurt))
    if first and first.score >= NAMED_SCORE and certain and not unseen:
        return Verdict.CAUSE_NAMED, Reason.CLEARS_NOISE, _grounds(first.service, known)
    if not any(s.requests[window.baseline].any() for s in telemetry.services):
        return refused, Reason.NO_BASELINE, f"Nothing was measured before {window.onset:%H:%M} UTC to compare with."
    if unhurt:
        detail = f"Errors and latency of {', '.join(sorted(known))} stay as they usually are."
        return refused, Reason.NO_SYMPTOM, detail
    return refused, Reason.NOTHING_CLEARS_NOISE, "No service or dependency differs clearly from how it usually is."
