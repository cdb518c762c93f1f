"""Rates of keys."""

from __future__ import annotations

import pytest

from libs.access.rates import RateLimits


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_may_burst_then_calls_at_its_rate_and_others_are_not_held_up() -> None:
    clock = Clock()
    rates = RateLimits(clock)

    assert [rates.take("a", 5.0) for _ in range(10)] == [0.0] * 10
    assert rates.take("a", 5.0) == pytest.approx(0.2)
    assert rates.take("b", 5.0) == 0.0
    clock.now += 0.2
    assert rates.take("a", 5.0) == 0.0
    assert rates.take("a", 5.0) > 0.0


def test_refused_calls_do_not_push_the_next_one_away() -> None:
    clock = Clock()
    rates = RateLimits(clock)
    for _ in range(500):
        rates.take("a", 1.0)
    clock.now += 1.0

    assert rates.take("a", 1.0) == 0.0


def test_a_slow_rate_lets_one_call_through_at_once() -> None:
    clock = Clock()
    rates = RateLimits(clock)

    assert rates.take("a", 0.1) == 0.0
    assert rates.take("a", 0.1) == pytest.approx(10.0)
