"""Whether a window of traffic breaks a rule, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from services.anomaly_detector.domain.baseline import Baseline, Traffic, Usual
from services.anomaly_detector.domain.rules import Kind, Rule

LEAST_USUAL_RATIO = 0.001  # a service that never erred may still err once in a thousand


class Verdict(Enum):
    """What a window says of a rule's condition."""

    BREACH = "breach"
    HEALTHY = "healthy"
    UNKNOWN = "unknown"


class Reason(Enum):
    """Why a window says so."""

    ABOVE_USUAL = "above_usual"
    ABOVE_WARMUP_LIMIT = "above_warmup_limit"
    BELOW_LIMIT = "below_limit"
    USUAL = "usual"
    NOT_SIGNIFICANT = "not_significant"
    NO_TRAFFIC = "no_traffic"
    TOO_FEW_REQUESTS = "too_few_requests"
    TOO_FEW_ERRORS = "too_few_errors"
    BELOW_USUAL = "below_usual"
    USUALLY_QUIET = "usually_quiet"
    TELEMETRY_GAP = "telemetry_gap"
    NO_BASELINE = "no_baseline"

    @property
    def verdict(self) -> Verdict:
        """Return what follows from it."""
        return VERDICTS.get(self, Verdict.HEALTHY)


VERDICTS = {
    **dict.fromkeys((Reason.ABOVE_USUAL, Reason.ABOVE_WARMUP_LIMIT, Reason.BELOW_USUAL), Verdict.BREACH),
    **dict.fromkeys((Reason.NO_TRAFFIC, Reason.TOO_FEW_REQUESTS, Reason.TOO_FEW_ERRORS), Verdict.UNKNOWN),
    **dict.fromkeys((Reason.TELEMETRY_GAP, Reason.NO_BASELINE), Verdict.UNKNOWN),
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A window measured against a rule: value and limit in the rule's unit, the usual value where it is known."""

    reason: Reason
    window_minutes: int
    traffic: Traffic
    value: float = 0.0
    limit: float = 0.0
    usual: float | None = None


NOTHING = Traffic(0, 0, 0.0)


def evaluate(rule: Rule, windows: Mapping[int, Traffic], baseline: Baseline | None) -> Evaluation:
    """Return the first window that breaks the rule, else the widest; windows are by their length in minutes."""
    evaluations = [_evaluate(rule, n, windows.get(n, NOTHING), baseline) for n in sorted(rule.windows_minutes)]
    return next((e for e in evaluations if e.reason.verdict is Verdict.BREACH), evaluations[-1])


def _evaluate(rule: Rule, minutes: int, traffic: Traffic, baseline: Baseline | None) -> Evaluation:
    usual = _usual(rule, baseline)
    value = traffic.error_ratio if rule.kind is Kind.ERROR_RATIO else traffic.p95_ms
    limit = _limit(rule, usual)
    reason = _reason(rule, traffic, value, limit, usual)
    return Evaluation(reason, minutes, traffic, value, limit, usual.level if usual else None)


def _usual(rule: Rule, baseline: Baseline | None) -> Usual | None:
    if baseline is None:
        return None
    return baseline.error_ratio if rule.kind is Kind.ERROR_RATIO else baseline.p95_ms


def _limit(rule: Rule, usual: Usual | None) -> float:
    if usual is None:
        return rule.warmup_limit
    relative = max(
        rule.baseline_factor * usual.level,
        rule.burst_factor * usual.burst,
        usual.level + rule.min_sigmas * usual.scale,
    )
    if rule.kind is Kind.ERROR_RATIO:
        # Three times 40 % cannot be reached: for a service that often fails, half-way to failing always is enough.
        relative = min(relative, (1 + usual.level) / 2)
    return max(rule.limit, relative)


def _reason(rule: Rule, traffic: Traffic, value: float, limit: float, usual: Usual | None) -> Reason:
    doubt = _doubt(rule, traffic, value)
    if doubt:
        return doubt
    if usual is None:
        return Reason.ABOVE_WARMUP_LIMIT if value >= limit else Reason.BELOW_LIMIT
    if value < limit:
        return Reason.USUAL if value >= rule.limit else Reason.BELOW_LIMIT
    if rule.kind is Kind.ERROR_RATIO and z_score(traffic, max(usual.level, usual.burst)) < rule.min_z:
        return Reason.NOT_SIGNIFICANT
    return Reason.ABOVE_USUAL


def _doubt(rule: Rule, traffic: Traffic, value: float) -> Reason | None:
    """Too little traffic to tell; few errors are doubtful only when they are a large part of it."""
    if traffic.requests == 0:
        return Reason.NO_TRAFFIC
    if traffic.requests < rule.min_requests:
        return Reason.TOO_FEW_REQUESTS
    if value >= rule.limit and traffic.errors < rule.min_errors:
        return Reason.TOO_FEW_ERRORS
    return None


def z_score(traffic: Traffic, usual_ratio: float) -> float:
    """Return how many standard deviations the errors lie above what a ratio explains (normal approximation)."""
    p = min(max(usual_ratio, LEAST_USUAL_RATIO), 1 - LEAST_USUAL_RATIO)
    expected = traffic.requests * p
    return (traffic.errors - expected) / math.sqrt(expected * (1 - p))
