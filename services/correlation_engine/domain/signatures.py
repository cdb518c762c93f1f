"""Log lines that are new, far more frequent than usual, or gone."""

from __future__ import annotations

from services.correlation_engine.domain import signature_changes, wording
from services.correlation_engine.domain.model import Evidence, EvidenceKind, Telemetry, Window
from services.correlation_engine.domain.signature_changes import ERROR, SignatureChange, SignatureFinding

WARN_WEIGHT = 0.5
VANISHED_WEIGHT = 0.5  # work that is no longer done is as often a victim's as the culprit's
PER_SERVICE = 2


def score(telemetry: Telemetry, window: Window) -> list[Evidence]:
    """Return the strongest pieces of evidence per service, at most two."""
    grouped: dict[str, list[Evidence]] = {}
    for finding in signature_changes.find(telemetry.signatures, telemetry.services, window):
        grouped.setdefault(finding.service, []).append(_evidence(finding, window))
    return [e for found in grouped.values() for e in sorted(found, key=_weight)[:PER_SERVICE]]


def _weight(evidence: Evidence) -> tuple[float, float]:
    return -evidence.strength, -abs(evidence.observed - evidence.baseline)


def _evidence(finding: SignatureFinding, window: Window) -> Evidence:
    return Evidence(
        EvidenceKind.LOG_SIGNATURE,
        finding.service,
        f"{_claim(finding)}: {wording.excerpt(finding.example)}",
        observed=finding.observed,
        baseline=finding.expected,
        unit="{record}/min",
        strength=finding.strength * _trust(finding),
        start=window.onset,
        end=window.end,
        signature=finding.template,
    )


def _trust(finding: SignatureFinding) -> float:
    if finding.change is SignatureChange.VANISHED:
        return VANISHED_WEIGHT
    return 1.0 if finding.severity >= ERROR else WARN_WEIGHT


def _claim(finding: SignatureFinding) -> str:
    rate, usual = f"{finding.observed:.3g} times per minute", f"{finding.expected:.3g} per minute"
    if finding.change is SignatureChange.NEW:
        return f"{finding.service} logged {rate} (never before)"
    if finding.change is SignatureChange.SPIKING:
        return f"{finding.service} logged {rate} ({usual} before)"
    return f"{finding.service} logged {rate} where {usual} would be usual"
