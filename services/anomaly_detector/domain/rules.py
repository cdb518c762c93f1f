"""Rules as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


class Kind(Enum):
    """What a rule looks at."""

    ERROR_RATIO = "error_ratio"
    LATENCY_P95 = "latency_p95"
    TRAFFIC_DROP = "traffic_drop"


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition. Limits are fractions of requests for ERROR_RATIO and milliseconds for LATENCY_P95.

    `min_errors` and `min_z` (standard deviations) belong to ERROR_RATIO. A value must reach `limit`,
    `baseline_factor` times what is usual, `burst_factor` times a usual bad minute and lie `min_sigmas` robust standard
    deviations of minutes above what is usual; with no baseline, `warmup_limit`.

    A TRAFFIC_DROP is measured in requests a minute, over whole minutes. At least `least_usual` must be usual; what
    comes must be `baseline_factor` times less than that, `burst_factor` times less than in a usual lull (which is the
    `lull_quantile` of what was seen), and `min_sigmas` of its logarithm below. `needed_minutes` of the latest baseline
    must hold telemetry of the tenant; without a baseline there is no limit. After `new_usual_after` what is left is
    taken for the new usual.
    """

    name: str
    kind: Kind
    severity: str
    windows_minutes: tuple[int, ...]
    baseline_factor: float
    burst_factor: float
    fire_after: int
    resolve_after: int
    hold_down: timedelta
    no_data_after: timedelta
    min_requests: int = 0
    limit: float = 0.0
    warmup_limit: float = 0.0
    min_errors: int = 0
    min_z: float = 0.0
    min_sigmas: float = 0.0
    least_usual: float = 0.0
    lull_quantile: float = 0.0
    needed_minutes: int = 0
    new_usual_after: timedelta | None = None


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
    """All rules, and how often they are evaluated. A minute is whole `settle_after` its end, when late spans are in."""

    every: timedelta
    resend_every: timedelta
    ends_after: timedelta
    baseline: BaselineRule
    rules: tuple[Rule, ...]
    settle_after: timedelta = timedelta(seconds=30)

    @property
    def windows_minutes(self) -> tuple[int, ...]:
        """Return the lengths of all windows up to now that any rule looks at, ascending."""
        return tuple(
            sorted({w for rule in self.rules if rule.kind is not Kind.TRAFFIC_DROP for w in rule.windows_minutes})
        )

    @property
    def drops(self) -> tuple[Rule, ...]:
        """Return the rules that look at whole minutes for traffic that fails to come."""
        return tuple(rule for rule in self.rules if rule.kind is Kind.TRAFFIC_DROP)
