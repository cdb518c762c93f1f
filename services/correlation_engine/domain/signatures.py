"""Error log lines that are new, or far more frequent than usual."""

from __future__ import annotations

from services.correlation_engine.domain import stats, wording
from services.correlation_engine.domain.model import Evidence, EvidenceKind, LogSignature, Telemetry, Window

ERROR, WARN = 17, 13  # OpenTelemetry severity numbers
WARN_WEIGHT = 0.5
MIN_LINES = 3.0
PER_SERVICE = 2


def score(telemetry: Telemetry, window: Window) -> list[Evidence]:
    """Return the strongest pieces of evidence per service, at most two."""
    grouped: dict[str, list[Evidence]] = {}
    for signature in telemetry.signatures:
        evidence = _score(signature, window)
        if evidence is not None:
            grouped.setdefault(evidence.service, []).append(evidence)
    return [e for found in grouped.values() for e in sorted(found, key=_weight)[:PER_SERVICE]]


def _weight(evidence: Evidence) -> tuple[float, float]:
    return -evidence.strength, -evidence.observed


def _score(signature: LogSignature, window: Window) -> Evidence | None:
    if signature.severity < WARN:
        return None
    observed = float(signature.counts[window.incident].sum())
    steps = window.incident.stop - window.incident.start
    middle, scale = stats.median_and_scale(signature.counts[window.baseline])
    seen_before = float(signature.counts[window.baseline].sum()) > 0
    expected = float(signature.counts[window.baseline].mean()) * steps
    spread = max(scale * steps, max(expected, 1.0) ** 0.5, stats.LEVEL_FLOOR * middle * steps)
    weight = 1.0 if signature.severity >= ERROR else WARN_WEIGHT
    strength = weight * stats.significance((observed - expected) / spread)
    if strength <= 0 or observed < MIN_LINES:
        return None
    before = f"{expected / steps:.3g} per minute before" if seen_before else "never before"
    return Evidence(
        EvidenceKind.LOG_SIGNATURE,
        signature.service,
        f"{signature.service} logged {observed / steps:.3g} times per minute ({before}): "
        f"{wording.excerpt(signature.example)}",
        observed=observed / steps,
        baseline=expected / steps,
        unit="{record}/min",
        strength=strength,
        start=window.onset,
        end=window.end,
    )
