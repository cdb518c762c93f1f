"""The answer in words: the cause in one sentence, its kind, and the path from it to where it was noticed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from services.correlation_engine.domain import wording
from services.correlation_engine.domain.fusion import Suspicion
from services.correlation_engine.domain.graph import CallGraph
from services.correlation_engine.domain.model import CauseKind, Evidence, EvidenceKind
from services.correlation_engine.domain.symptoms import Symptom

DEPLOY_NAMED = 0.2  # a deploy weaker than this is mentioned as evidence, not as the cause
SATURATION_NAMED = 0.5
MOSTLY_FAILING = 0.5  # share of failing calls from which a dependency counts as dead


def cause_kind(suspicion: Suspicion) -> CauseKind:
    """Return what kind of thing went wrong at the suspect."""
    own_deploy = suspicion.deploy if suspicion.deploy and suspicion.deploy.service == suspicion.node else None
    if own_deploy and own_deploy.strength >= DEPLOY_NAMED:
        return CauseKind.DEPLOY
    if strongest(suspicion, EvidenceKind.RESOURCE_SATURATION) >= SATURATION_NAMED:
        return CauseKind.RESOURCE_SATURATION
    outside = [e for e in suspicion.evidence if e.kind in (EvidenceKind.UNHEALTHY_DEPENDENCY, EvidenceKind.NETWORK_GAP)]
    inside = [e for e in suspicion.evidence if e.kind in (EvidenceKind.ERROR_ORIGIN, EvidenceKind.SELF_LATENCY)]
    if not outside or _excess(inside) > _excess(outside):
        return CauseKind.SERVICE_FAULT
    failing = [e for e in outside if e.excess_errors > 0]
    slow = [e for e in outside if e.excess_ms > 0]
    if failing and (not slow or failing[0].observed >= MOSTLY_FAILING):
        return CauseKind.DEAD_DEPENDENCY
    return CauseKind.SLOW_DEPENDENCY


def _excess(evidence: list[Evidence]) -> tuple[float, float]:
    return sum(e.excess_errors for e in evidence), sum(e.excess_ms for e in evidence)


def strongest(suspicion: Suspicion, kind: EvidenceKind) -> float:
    """Return the largest strength of one class of evidence, 0 when there is none."""
    return max((e.strength for e in suspicion.evidence if e.kind is kind), default=0.0)


def statement(suspicion: Suspicion, kind: CauseKind, chain: tuple[str, ...], symptoms: Mapping[str, Symptom]) -> str:
    """Return the cause in one sentence, with where it was noticed when that is elsewhere."""
    node, deploy = suspicion.node, suspicion.deploy
    if kind is CauseKind.DEPLOY and deploy:
        first = f"The deploy of {node} {wording.ahead(deploy.observed)} broke it"
    elif kind is CauseKind.RESOURCE_SATURATION:
        first = f"{node} ran out of {_resource(suspicion)}"
    elif kind is CauseKind.SERVICE_FAULT:
        first = f"{node} itself {_own_trouble(suspicion)}"
    else:
        slow = kind is CauseKind.SLOW_DEPENDENCY
        first = f"{node} {'became slow for' if slow else 'stopped answering'} those who call it"
    return first + _noticed(chain, symptoms) + "."


def lead(node: str) -> str:
    """Return what is said of a service that is listed behind all suspects."""
    return f"{node} is worth a look; nothing shows that it is the cause."


def _resource(suspicion: Suspicion) -> str:
    best = max((e for e in suspicion.evidence if e.kind is EvidenceKind.RESOURCE_SATURATION), key=lambda e: e.strength)
    words = best.statement.split(" ", 1)[0]
    return "CPU" if "cpu" in words else "memory" if "memory" in words else words


def _own_trouble(suspicion: Suspicion) -> str:
    kinds = {e.kind for e in suspicion.evidence}
    failing, slow = EvidenceKind.ERROR_ORIGIN in kinds, EvidenceKind.SELF_LATENCY in kinds
    if failing and slow:
        return "fails requests and became slow"
    if EvidenceKind.LOST_BEHAVIOUR in kinds and not (failing or slow):
        return "no longer does part of its work"
    return "fails requests" if failing else "became slow" if slow else "shows trouble of its own"


def _noticed(chain: tuple[str, ...], symptoms: Mapping[str, Symptom]) -> str:
    if len(chain) < 2:
        return ""
    suffering = _suffers(symptoms.get(chain[-1]))
    return f"; {chain[-1]}, {len(chain) - 1} call{'s' if len(chain) > 2 else ''} away, {suffering} because of it"


def _suffers(symptom: Symptom | None) -> str:
    """Return how a service suffers, without the numbers: the story has them."""
    if symptom and symptom.errors and symptom.error_strength >= max(symptom.latency_strength, 0.01):
        return "fails requests"
    return "became slow" if symptom and not any(map(math.isnan, symptom.p95_ms)) else "suffers"


def chain(node: str, affected: Collection[str], graph: CallGraph, symptomatic: Collection[str]) -> tuple[str, ...]:
    """Return the path from the suspect to the nearest affected service; the suspect alone when there is none."""
    paths = [path for service in sorted(affected) if (path := graph.path(service, node, symptomatic))]
    if not paths:
        return (node,)
    return tuple(reversed(min(paths, key=len)))


def impacted(node: str, graph: CallGraph, symptoms: Mapping[str, Symptom]) -> tuple[str, ...]:
    """Return the services that depend on the suspect and suffer, nearest first."""
    distance = graph.upstream([node])
    hurt = [n for n in distance if n != node and n in symptoms and symptoms[n].strength > 0]
    return tuple(sorted(hurt, key=lambda n: (distance[n], n)))
