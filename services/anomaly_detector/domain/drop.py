"""Whether requests fail to come. Here a minute without requests is a zero, unless no telemetry came at all: a gap."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from services.anomaly_detector.domain.baseline import MAD_TO_SIGMA, Traffic, quantile
from services.anomaly_detector.domain.evaluation import Evaluation, Reason
from services.anomaly_detector.domain.rules import Rule


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests by service and minute of one tenant; minutes are counted from the epoch.

    `alive` are the minutes in which spans of any kind came from any service: in the others nothing is known.
    """

    alive: Collection[int] = frozenset()
    counts: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def of(self, service: str, minutes: range) -> list[int]:
        """Return a service's requests in each of the minutes something is known of."""
        counts = self.counts.get(service, {})
        return [counts.get(minute, 0) for minute in minutes if minute in self.alive]


@dataclass(frozen=True, slots=True)
class UsualRate:
    """The usual requests a minute, those of a usual lull, and one robust standard deviation of their logarithm.

    All are of windows as long as the one that is judged. The logarithm, because traffic varies by a part of itself:
    counted in requests, silence would lie within a few deviations of any uneven service.
    """

    level: float
    lull: float
    spread: float


def learn_rate(recent: Sequence[int], seasons: Sequence[Sequence[int]], rule: Rule) -> UsualRate | None:
    """Return what is usual in requests a minute, or None when too little is known.

    `recent` are the latest minutes, which must be there: after a gap nobody knows what to expect. `seasons` are those
    around this time of each earlier day. Of all these the one that allows the deepest drop counts: a service that goes
    quiet every evening or every Sunday is usual in doing so.
    """
    if len(recent) < rule.needed_minutes:
        return None
    parts = [recent, *(s for s in seasons if len(s) >= rule.needed_minutes)]
    usual = (_usual(part, rule) for part in parts)
    return min(usual, key=lambda found: lower_limit(rule, found))


def _usual(counts: Sequence[int], rule: Rule) -> UsualRate:
    """Return what windows of these minutes hold; their spread is no less than what chance alone would make it."""
    length = max(rule.windows_minutes)
    means = [sum(counts[n : n + length]) / length for n in range(len(counts) - length + 1)]
    level = quantile(means, 0.5)
    least = 1 / length  # one request, so that the logarithm of silence exists
    distances = [abs(math.log(max(mean, least) / max(level, least))) for mean in means]
    spread = max(_chance(level, rule), MAD_TO_SIGMA * quantile(distances, 0.5))
    return UsualRate(level, quantile(means, rule.lull_quantile), spread)


def lower_limit(rule: Rule, usual: UsualRate) -> float:
    """Return how few requests a minute are still usual."""
    return min(
        usual.level / rule.baseline_factor,
        usual.lull / rule.burst_factor,
        usual.lull * math.exp(-rule.min_sigmas * _chance(usual.lull, rule)),
        usual.level * math.exp(-rule.min_sigmas * usual.spread),
    )


def _chance(rate: float, rule: Rule) -> float:
    """Return the deviation that chance alone gives the logarithm of a window's requests (Poisson)."""
    return 1 / math.sqrt(max(1.0, max(rule.windows_minutes) * rate))


def evaluate_drop(rule: Rule, requests: Requests, service: str, end: int, usual: UsualRate | None) -> Evaluation:
    """Return what the whole minutes before minute `end` say."""
    minutes = max(rule.windows_minutes)
    counts = requests.of(service, range(end - minutes, end))
    traffic = Traffic(sum(counts), 0, 0.0)
    if usual is None:
        return Evaluation(Reason.NO_BASELINE, minutes, traffic)
    limit = lower_limit(rule, usual)
    complete = len(counts) == minutes and end in requests.alive
    reason = _reason(rule, traffic.requests / minutes, limit, usual) if complete else Reason.TELEMETRY_GAP
    return Evaluation(reason, minutes, traffic, traffic.requests / minutes, limit, usual.level)


def _reason(rule: Rule, value: float, limit: float, usual: UsualRate) -> Reason:
    if usual.level < rule.least_usual or limit <= 0:
        return Reason.USUALLY_QUIET
    return Reason.BELOW_USUAL if value <= limit else Reason.USUAL
