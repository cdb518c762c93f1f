"""From evidence to a ranking.

Not a weighted sum: a class that can carry a cause opens the gate, supporting classes only strengthen what is already
suspected, and what a worse-off node further down explains is taken off (softly) along the known calls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from services.correlation_engine.domain import changes
from services.correlation_engine.domain.graph import CallGraph
from services.correlation_engine.domain.model import Evidence, EvidenceKind

EXPLAINED = 0.8  # of a suspicion is taken off when a node below is at least as suspect
PER_HOP = 0.95  # fades with the distance to that node
UNREACHED = 0.3  # what a suspect keeps when the affected services do not depend on it
SUPPORT = {EvidenceKind.LOG_SIGNATURE: 0.4, EvidenceKind.RESOURCE_SATURATION: 0.8, EvidenceKind.TRAFFIC_CHANGE: 0.1}
DEPLOY_SUPPORT = 1.5
MATERIAL_ERRORS = 0.002  # of the requests
MATERIAL_TIME = 0.03  # of their time
LOST_WEIGHT = 0.9  # lines that stop may have been silenced on purpose
EXHAUSTED_WEIGHT = 0.9
EXHAUSTED = 0.8
UNUSUAL_WEIGHT = 0.4  # use that exhausts nothing goes along with trouble more often than it causes any
ALONE = {EvidenceKind.RESOURCE_SATURATION: 0.5, EvidenceKind.LOG_SIGNATURE: 0.3}  # for nodes without request telemetry


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One node's standing: `score` 0 to 1 after discount, and what it rests on."""

    node: str
    score: float
    evidence: tuple[Evidence, ...]
    deploy: Evidence | None


@dataclass(frozen=True, slots=True)
class Scene:
    """What the fusion knows besides the evidence. `weights` are those of failures and slowness.

    `usual` is how many requests the incident is about, and how many milliseconds they used to take in all.
    """

    graph: CallGraph
    affected: frozenset[str]
    weights: tuple[float, float]
    measured: frozenset[str]
    deploys: Mapping[str, Evidence]
    usual: tuple[float, float] = (0.0, 0.0)


def rank(evidence: Iterable[Evidence], scene: Scene) -> list[Suspicion]:
    """Return every node with evidence that can carry a cause, most suspect first; ties by name."""
    by_node: dict[str, list[Evidence]] = {}
    for item in evidence:
        by_node.setdefault(item.service, []).append(item)
    relevant = relevance(by_node, scene)
    totals = {cause: max(_total(by_node, relevant, cause), cause.least) for cause in _classes(scene)}
    gated = {node: _gate(found, totals, scene) for node, found in by_node.items()}
    scored: dict[str, float] = {}
    deploys: dict[str, Evidence | None] = {}
    for node, found in by_node.items():
        weight, deploys[node] = changes.strongest(scene.deploys, scene.graph, node, gated)
        scored[node] = relevant[node] * _supported(gated[node], found, weight)
    suspicions = [
        Suspicion(node, _discounted(node, scored, scene.graph), _sorted(found), deploys[node])
        for node, found in by_node.items()
        if scored[node] > 0
    ]
    return sorted(suspicions, key=lambda s: (-s.score, s.node))


def relevance(nodes: Collection[str], scene: Scene) -> dict[str, float]:
    """Return 1 for what the affected services depend on, themselves included; less for the rest."""
    reached = scene.graph.downstream(scene.affected & (scene.measured | scene.graph.callees.keys()))
    return {node: 1.0 if not reached or node in reached else UNREACHED for node in nodes}


@dataclass(frozen=True, slots=True)
class _Class:
    """One class of causes: which evidence carries it and in which currency suspects share it out.

    What is found in all is taken to be no less than `least`: clear yet tiny shifts must not explain an incident.
    """

    amount: Callable[[Evidence], float]
    weight: float
    least: float = 0.0


def _classes(scene: Scene) -> tuple[_Class, ...]:
    """Return failures, time, work not done and exhausted resources, each with how much it matters here."""
    errors, latency = scene.weights
    return (
        _Class(lambda e: e.excess_errors, errors, MATERIAL_ERRORS * scene.usual[0]),
        _Class(lambda e: e.excess_ms, latency, MATERIAL_TIME * scene.usual[1]),
        _Class(lambda e: e.excess_lost, LOST_WEIGHT),
        _Class(_exhausted, EXHAUSTED_WEIGHT),
        _Class(_unusual, UNUSUAL_WEIGHT),
    )


def _exhausted(evidence: Evidence) -> float:
    """Return 1 for a resource that is at its limit, which needs no failing request to be a cause."""
    saturated = evidence.kind is EvidenceKind.RESOURCE_SATURATION and evidence.unit == "1"
    return 1.0 if saturated and evidence.strength >= EXHAUSTED else 0.0


def _unusual(evidence: Evidence) -> float:
    """Return 1 for a resource used far more than usual, though it does not run out."""
    return 1.0 if evidence.kind is EvidenceKind.RESOURCE_SATURATION and not _exhausted(evidence) else 0.0


def _total(by_node: Mapping[str, list[Evidence]], relevant: Mapping[str, float], cause: _Class) -> float:
    """Return all that was found of one class, each by its strength and relevance."""
    return sum(relevant[e.service] * e.strength * cause.amount(e) for found in by_node.values() for e in found)


def _gate(found: list[Evidence], totals: Mapping[_Class, float], scene: Scene) -> float:
    """Return the suspicion from classes that can carry a cause: shares of each, combined as independent."""
    innocent = 1.0
    for cause, total in totals.items():
        innocent *= 1 - cause.weight * _share([(e.strength, cause.amount(e)) for e in found], total)
    if found[0].service in scene.measured or innocent < 1:
        return 1 - innocent
    return max((ALONE.get(e.kind, 0.0) * e.strength for e in found), default=0.0)


def _share(parts: list[tuple[float, float]], total: float) -> float:
    """Return a node's part of the total times how certain its main part is."""
    own = sum(strength * excess for strength, excess in parts)
    if own <= 0 or total <= 0:
        return 0.0
    certain = max(strength for strength, excess in parts if excess > 0)
    return certain * min(1.0, own / total)


def _supported(gated: float, found: list[Evidence], deploy_weight: float) -> float:
    """Return the suspicion raised by supporting classes; what is not suspected at all stays so."""
    best: dict[EvidenceKind, float] = {}
    for item in found:
        best[item.kind] = max(best.get(item.kind, 0.0), item.strength)
    power = 1.0 + DEPLOY_SUPPORT * deploy_weight
    power += sum(weight * best.get(kind, 0.0) for kind, weight in SUPPORT.items())
    return float(1.0 - (1.0 - gated) ** power)


def _discounted(node: str, scored: Mapping[str, float], graph: CallGraph) -> float:
    """Return a suspicion less what suspect nodes below explain of it."""
    below = graph.downstream([node])
    above = graph.upstream([node])
    own = scored[node]
    worst = 0.0
    for other, hops in below.items():
        if other != node and hops < above.get(other, hops + 1):
            worst = max(worst, scored.get(other, 0.0) * PER_HOP ** (hops - 1))
    return own * (1 - EXPLAINED * min(1.0, worst / own))


def _sorted(found: list[Evidence]) -> tuple[Evidence, ...]:
    return tuple(sorted(found, key=lambda e: (-e.strength, e.kind, e.statement)))
