"""Robust comparison: what counts as noise and what does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.correlation_engine.domain import stats
from services.correlation_engine.domain.model import FloatArray
from tests.unit.services.correlation_engine.builders import WINDOW, flat


def test_significance_is_zero_for_noise_and_one_beyond_doubt() -> None:
    assert [stats.significance(z) for z in (-50, 3.9, 7, 10, 1e9)] == [0, 0, 0.5, 1, 1]


def test_median_and_scale_ignore_a_tenth_of_outliers() -> None:
    values = np.array([10.0, 11, 9, 10, 12, 8, 10, 11, 9, 10, 12, 8, 10, 11, 9, 10, 12, 8, 10, 900, math.nan])

    middle, scale = stats.median_and_scale(values)

    assert middle == 10
    assert scale < 2


def test_a_long_upper_tail_that_is_usual_widens_the_scale() -> None:
    values = np.array([10.0, 10, 10, 10, 10, 10, 10, 10, 60, 80])

    assert stats.median_and_scale(values)[1] > 30


def test_too_few_values_have_no_median() -> None:
    assert all(math.isnan(v) for v in stats.median_and_scale(np.array([1.0, 2, 3, math.nan])))


def test_a_proportion_allows_for_sampling_noise() -> None:
    few = stats.proportion_shift(flat(0.05, 1.0), flat(1.0, 5.0), WINDOW)
    many = stats.proportion_shift(flat(50, 200), flat(1000, 1000), WINDOW)

    assert few is not None
    assert many is not None
    assert few.z < stats.NOISE_Z < stats.CERTAIN_Z < many.z


def test_a_proportion_without_history_is_compared_with_none() -> None:
    shift = stats.proportion_shift(flat(0, 9), flat(0, 10), WINDOW)

    assert shift is not None
    assert (shift.observed, shift.baseline) == (0.9, 0.0)
    assert shift.z > stats.NOISE_Z


def test_a_proportion_of_nothing_is_none() -> None:
    assert stats.proportion_shift(flat(0), flat(5, 0), WINDOW) is None


def test_a_series_that_never_moves_still_has_a_scale() -> None:
    shift = stats.mean_shift(flat(1000, 1010), flat(100), WINDOW)

    assert shift is not None
    assert shift.z == pytest.approx(0.2)


def test_fewer_requests_than_usual_widen_the_scale_of_a_mean() -> None:
    rng = np.random.default_rng(1)
    noisy = flat(0) + rng.normal(20, 3, WINDOW.grid.length)
    usual = stats.mean_shift(noisy * 100, flat(100), WINDOW)
    few = stats.mean_shift(noisy * flat(100, 5), flat(100, 5), WINDOW)

    assert usual is not None
    assert few is not None
    assert few.scale > 2 * usual.scale


def test_a_mean_needs_a_baseline_and_counts() -> None:
    assert stats.mean_shift(flat(0, 10), flat(0, 1), WINDOW) is None
    assert stats.mean_shift(flat(10, 0), flat(1, 0), WINDOW) is None


def test_a_rate_counts_complete_steps_only() -> None:
    counts = flat(100)
    counts[-1] = 3  # the minute has just begun
    partial = WINDOW.grid.__class__(WINDOW.grid.start, WINDOW.grid.end - WINDOW.grid.step / 2)
    shift = stats.rate_shift(counts, WINDOW.__class__(partial, WINDOW.baseline, WINDOW.incident))

    assert shift is not None
    assert shift.observed == 100


def test_a_level_is_judged_by_its_highest_step() -> None:
    values = flat(0.3)
    values[61] = 0.95

    shift = stats.level_shift(values, WINDOW, 0.02)

    assert shift is not None
    assert (shift.observed, shift.baseline) == (0.95, 0.3)


def _with(where: slice, value: float, usual: float = 0.0, during: float | None = None) -> FloatArray:
    series = flat(usual, during)
    series[where] = value
    return series


def test_an_earlier_outage_in_the_baseline_hides_no_new_one() -> None:
    failing = _with(slice(10, 18), 300.0, during=40.0)

    shift = stats.proportion_shift(failing, flat(1000), WINDOW)

    assert shift is not None
    assert shift.baseline == 0
    assert shift.z > stats.CERTAIN_Z


@pytest.mark.parametrize(
    ("where", "failures"),
    [
        (slice(5, 60, 5), 40.0),  # scattered: this happens now and then
        (slice(0, 16), 40.0),  # over a quarter of the time: this is how it is
        (slice(10, 18), 2.0),  # no more than an anecdote
    ],
)
def test_what_is_usual_stays_in_the_baseline(where: slice, failures: float) -> None:
    values = _with(where, failures)[np.newaxis, WINDOW.baseline]

    kept = stats.usual_proportions(values, np.full_like(values, 1000.0))

    assert np.isfinite(kept).all()


def test_steps_of_nothing_and_of_an_earlier_outage_are_unknown() -> None:
    part = np.array([[0.0, 0, 9, 8, 0, 0, 0, 0, 0, 0, 0, 0]])
    whole = np.array([[10.0, 0, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10]])

    kept = stats.usual_proportions(part, whole)

    assert np.flatnonzero(np.isnan(kept[0])).tolist() == [1, 2, 3]


def test_a_level_is_compared_with_what_it_was_before_an_earlier_rise() -> None:
    memory = _with(slice(48, 60), 0.4, usual=0.3, during=0.45)

    shift = stats.level_shift(memory, WINDOW, 0.02)

    assert shift is not None
    assert shift.baseline == pytest.approx(0.3)
    assert shift.z == pytest.approx(0.15 / 0.02)
