"""Rules as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class Kind(Enum):
    """What a rule looks at."""

    ERROR_RATIO = "error_ratio"
    LATENCY_P95 = "latency_p95"


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition. Limits are fractions of requests for ERROR_RATIO and milliseconds for LATENCY_P95.

    `min_errors` and `min_z` (standard deviations) belong to ERROR_RATIO. A value must reach `limit`,
    `baseline_factor` times what is usual, `burst_factor` times a usual bad minute and lie `min_sigmas` robust standard
    deviations of minutes above what is usual; with no baseline, `warmup_limit`.
    """

    name: str
    kind: Kind
    severity: str
    windows_minutes: tuple[int, ...]
    min_requests: int
    limit: float
    baseline_factor: float
    burst_factor: float
    warmup_limit: float
    fire_after: int
    resolve_after: int
    hold_down: timedelta
    no_data_after: timedelta
    min_errors: int = 0
    min_z: float = 0.0
    min_sigmas: float = 0.0


@dataclass(frozen=True, slots=True)
class BaselineRule:
    """What is usual is learned from `minutes` minutes that end `gap_minutes` before the current one.

    And from as many around the same time each of `season_days` ago.
    """

    minutes: int
    gap_minutes: int
    needed_minutes: int
    minute_requests: int
    burst_quantile: float
    season_days: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules, and how often they are evaluated."""

    every: timedelta
    resend_every: timedelta
    ends_after: timedelta
    baseline: BaselineRule
    rules: tuple[Rule, ...]

    @property
    def windows_minutes(self) -> tuple[int, ...]:
        """Return the lengths of all windows any rule looks at, ascending."""
        return tuple(sorted({w for rule in self.rules for w in rule.windows_minutes}))
