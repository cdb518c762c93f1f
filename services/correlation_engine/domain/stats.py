"""Robust comparison of an incident window with its baseline.

The scale of a shift is never below a floor: without one, a series that hardly moves makes any flicker look huge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.correlation_engine.domain.model import FloatArray, Window

Matrix = npt.NDArray[np.float64]  # one row per series, one column per step

MAD_TO_SIGMA = 1.4826  # the median absolute deviation of a normal distribution is 0.6745 sigma
NINTH_DECILE_SIGMAS = 1.2816  # where a normal distribution has its ninth decile
MIN_BASELINE_STEPS = 5
VISIBLE_Z = 2.0  # a shift below this does not show at all
NOISE_Z = 4.0  # a shift below this is noise
CERTAIN_Z = 10.0  # a shift above this is beyond doubt
PROPORTION_FLOOR = 0.0025  # a quarter of a percentage point
LEVEL_FLOOR = 0.05  # of the baseline level
RULE_OF_THREE = 3.0  # what was never seen in n has a share below 3 / n, at 95 %
EARLIER = 0.25  # of a baseline: what goes on for longer is usual


@dataclass(frozen=True, slots=True)
class Shift:
    """A value during the incident beside its baseline; `scale` is one robust standard deviation, above 0."""

    observed: float
    baseline: float
    scale: float

    @property
    def excess(self) -> float:
        """Return observed less baseline."""
        return self.observed - self.baseline

    @property
    def z(self) -> float:
        """Return the excess in robust standard deviations, signed."""
        return self.excess / self.scale


def significance(z: float) -> float:
    """Return 0 for noise, 1 beyond doubt, a straight line between."""
    return min(1.0, max(0.0, (z - NOISE_Z) / (CERTAIN_Z - NOISE_Z)))


def median_and_scale(values: FloatArray) -> tuple[float, float]:
    """Return the median and a robust standard deviation, NaN ignored; (NaN, NaN) when there are too few values.

    The deviation is the larger of the MAD's and the ninth decile's: latencies and counts have long upper tails, which
    the MAD does not see, and a tail that is usual must not look like an outage.
    """
    known = np.sort(values[np.isfinite(values)])
    if known.size < MIN_BASELINE_STEPS:
        return math.nan, math.nan
    middle = _quantile(known, 0.5)
    spread = MAD_TO_SIGMA * _quantile(np.sort(np.abs(known - middle)), 0.5)
    return middle, max(spread, (_quantile(known, 0.9) - middle) / NINTH_DECILE_SIGMAS)


def _quantile(ascending: FloatArray, q: float) -> float:
    """Return a quantile of sorted values, linear between them; numpy's own is many times slower on so few."""
    place = q * (ascending.size - 1)
    low = int(place)
    above = ascending[min(low + 1, ascending.size - 1)]
    return float(ascending[low] + (above - ascending[low]) * (place - low))


def row_quantile(values: Matrix, q: float) -> Matrix:
    """Return each row's quantile as a column, NaN ignored; NaN for a row of nothing else."""
    ascending = np.sort(values, axis=1)  # NaN last
    place = q * np.maximum(np.isfinite(values).sum(axis=1, keepdims=True) - 1, 0)
    low = place.astype(np.intp)
    first = np.take_along_axis(ascending, low, axis=1)
    second = np.take_along_axis(ascending, np.ceil(place).astype(np.intp), axis=1)
    found: Matrix = first + (second - first) * (place - low)
    return found


def per_step(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return numerator / denominator per step, NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def without_earlier(values: Matrix, bar: Matrix | float) -> Matrix:
    """Return baseline values, NaN where an earlier outage was: steps near each other that are above the bar.

    What is usual now and then is scattered; what breaks stays broken. Steps are on the last axis.
    """
    high = values > bar
    if not high.any():
        return values
    near = np.zeros_like(high)
    for apart in (1, 2):
        near[..., apart:] |= high[..., :-apart]
        near[..., :-apart] |= high[..., apart:]
    near &= high
    few = near.sum(axis=-1, keepdims=True) <= EARLIER * np.isfinite(values).sum(axis=-1, keepdims=True)
    return np.where(near & few, np.nan, values)


def sampling_noise(share: Matrix | float, counted: Matrix) -> Matrix:
    """Return the standard deviation of a share of so many counts; of a share never seen, from the rule of three."""
    n = np.maximum(counted, 1.0)
    noise: Matrix = np.maximum(np.sqrt(share * (1 - share) / n), RULE_OF_THREE / NOISE_Z / n)
    return np.maximum(noise, PROPORTION_FLOOR)


def usual_proportions(part: Matrix, whole: Matrix) -> Matrix:
    """Return part / whole per row and step of baselines, NaN where it is unknown or of an earlier outage."""
    ratio = per_step(part, whole)
    middle = row_quantile(ratio, 0.5)
    spread = MAD_TO_SIGMA * row_quantile(np.abs(ratio - middle), 0.5)
    return without_earlier(ratio, middle + NOISE_Z * np.maximum(spread, sampling_noise(middle, whole)))


def _calm(values: FloatArray, least: FloatArray | float) -> FloatArray:
    """Return one series without earlier outages; `least` is the smallest scale a value can have."""
    known = np.sort(values[np.isfinite(values)])
    middle = _quantile(known, 0.5)
    spread = MAD_TO_SIGMA * _quantile(np.sort(np.abs(known - middle)), 0.5)
    return without_earlier(values, middle + NOISE_Z * np.maximum(spread, least))


def proportion_shift(part: FloatArray, whole: FloatArray, window: Window) -> Shift | None:
    """Compare part / whole (failed requests of requests); None when nothing was counted during the incident.

    A pair never seen before is compared with a proportion of 0.
    """
    n, k = float(whole[window.incident].sum()), float(part[window.incident].sum())
    if n <= 0:
        return None
    base_part, base_whole = part[window.baseline], whole[window.baseline]
    ratios = per_step(base_part, base_whole)
    middle, scale = median_and_scale(ratios)
    if scale > PROPORTION_FLOOR:
        ratios = _calm(ratios, sampling_noise(middle, base_whole))
        middle, scale = median_and_scale(ratios)
    if math.isnan(middle):
        middle, scale = 0.0, 0.0
    usual = _usual_proportion(base_part, base_whole, ratios)
    expected = (usual * base_whole.sum() + 1) / (base_whole.sum() + 2)
    sampling = math.sqrt(expected * (1 - expected) / n)
    baseline = max(middle, usual)
    return Shift(k / n, baseline, max(scale, sampling, PROPORTION_FLOOR))


def _usual_proportion(part: FloatArray, whole: FloatArray, ratios: FloatArray) -> float:
    """Pool the steps below the ninth decile: what is left of an earlier outage must not become the usual."""
    known = np.isfinite(ratios)
    if not known.any():
        return 0.0
    calm = known & (ratios <= _quantile(np.sort(ratios[known]), 0.9))
    return float(part[calm].sum() / whole[calm].sum())


def mean_shift(
    total: FloatArray, count: FloatArray, window: Window, floor: float = 0.0, level: float | None = None
) -> Shift | None:
    """Compare total / count (milliseconds per request); None without a baseline or without counts during the incident.

    The scale is at least `floor` and at least 5 % of `level` (the baseline when not given); with fewer counts than a
    usual step has, it grows as sampling noise does.
    """
    n = float(count[window.incident].sum())
    middle, scale = median_and_scale(per_step(total[window.baseline], count[window.baseline]))
    if n <= 0 or math.isnan(middle):
        return None
    usual_n = float(np.median(count[window.baseline][count[window.baseline] > 0]))
    scale *= math.sqrt(max(1.0, usual_n / n))
    observed = float(total[window.incident].sum()) / n
    reference = middle if level is None else level
    return Shift(observed, middle, max(scale, floor, LEVEL_FLOOR * abs(reference), 1e-9))


def rate_shift(counts: FloatArray, window: Window) -> Shift | None:
    """Compare counts per step over the steps that are over; None without any such step or without a baseline."""
    steps = counts[window.complete_incident]
    middle, scale = median_and_scale(counts[window.baseline])
    if steps.size == 0 or math.isnan(middle):
        return None
    observed = float(steps.mean())
    poisson = math.sqrt(max(middle, 1.0) / steps.size)
    return Shift(observed, middle, max(scale, poisson, LEVEL_FLOOR * middle))


def level_shift(values: FloatArray, window: Window, floor: float) -> Shift | None:
    """Compare a measured level, by its highest step during the incident; None without values on either side."""
    during = values[window.incident]
    during = during[np.isfinite(during)]
    before = values[window.baseline]
    middle, scale = median_and_scale(before)
    if during.size == 0 or math.isnan(middle):
        return None
    least = max(floor, LEVEL_FLOOR * abs(middle), 1e-9)
    if scale > least:
        middle, scale = median_and_scale(_calm(before, least))
    observed = float(during.max())
    return Shift(observed, middle, max(scale, least))
