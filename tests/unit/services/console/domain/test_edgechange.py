from __future__ import annotations

import math
import random

import pytest

from services.console.domain.edgechange import EdgeChange, Level, compare, error_bounds, per_second, shares_of_harm
from services.console.domain.models import Edge


def edge(calls: int = 1000, errors: int = 0, mean_ms: float = 10.0, minutes: int = 30, server: str = "db") -> Edge:
    return Edge("api", server, "database", True, calls, errors, mean_ms, minutes)


def judged(now: Edge, before: Edge) -> EdgeChange:
    (change,) = compare([now], [before])
    return change


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_a_dependency_that_went_from_7_to_944_ms_without_an_error_is_much_worse() -> None:
    change = judged(edge(mean_ms=944), edge(mean_ms=7))
    assert (change.level, change.headline) == (Level.MUCH_WORSE, "7 → 944 ms")
    assert (change.added_wait_ms, change.added_errors) == (937_000, 0)
    assert plain(change.latency) == "7 ms → 944 ms"


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (edge(1000, 20), edge(1000, 20)),  # many failures, as ever
        (edge(1000, 26), edge(3000, 60)),  # 2.6 % after 2 %: chance
        (edge(1_000_000, 5_000), edge(1_000_000, 1_000)),  # beyond chance, and of no weight
        (edge(1_000_000, 215_000), edge(1_000_000, 200_000)),  # a little more of what is usual
        (edge(200, 4), edge(100_000, 0)),  # four failures
        (edge(mean_ms=26), edge(mean_ms=7)),  # many times as long, and nobody waits for 19 ms
        (edge(mean_ms=950), edge(mean_ms=500)),  # longer, less than twice
        (edge(mean_ms=7), edge(mean_ms=944)),  # better
        (edge(1000, 0), edge(1000, 300)),
    ],
)
def test_everyday_noise_is_calm(now: Edge, before: Edge) -> None:
    change = judged(now, before)
    assert (change.level, change.headline, change.added_errors, change.added_wait_ms) == (Level.CALM, "", 0, 0)


def test_steady_calls_with_long_tails_stay_calm_by_chance_too() -> None:
    chance = random.Random(7)

    def seen(calls: int, share: float, middle_ms: float) -> Edge:
        times = [chance.lognormvariate(math.log(middle_ms), 1.0) for _ in range(calls)]  # one in 100 takes ten times
        return edge(calls, sum(chance.random() < share for _ in range(calls)), sum(times) / calls)

    for _ in range(300):
        share, middle = 10 ** chance.uniform(-3, -0.7), 10 ** chance.uniform(0, 2.5)
        now, before = (seen(chance.randint(1, 300), share, middle) for _ in range(2))
        assert judged(now, before).level in (Level.CALM, Level.NO_BASELINE), (now, before)


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (edge(29, 0, 944), edge(1000, 0, 7)),
        (edge(12, 0, 944), edge(15, 0, 7)),
        (edge(3, 1), edge(5, 0)),
        (edge(8, 4), edge(9, 0)),
    ],
)
def test_a_few_calls_are_calm(now: Edge, before: Edge) -> None:
    assert judged(now, before).level is Level.CALM


def test_few_calls_that_nearly_all_fail_are_no_noise() -> None:
    assert judged(edge(12, 11), edge(1000, 1)).level is Level.MUCH_WORSE


@pytest.mark.parametrize(
    ("now", "before", "level", "headline"),
    [
        (edge(1000, 310), edge(1000, 1), Level.MUCH_WORSE, "0.1 → 31 %"),
        (edge(1000, 60), edge(1000, 1), Level.WORSE, "0.1 → 6 %"),
        (edge(1000, 600), edge(1000, 450), Level.MUCH_WORSE, "45 → 60 %"),
        (edge(1000, 0, 30), edge(1000, 0, 10), Level.WORSE, "10 → 30 ms"),
        (edge(1000, 0, 99), edge(1000, 0, 0.4), Level.WORSE, "400 µs → 99 ms"),
        (edge(1000, 0, 2400), edge(1000, 0, 400), Level.MUCH_WORSE, "400 ms → 2.40 s"),
        (edge(1000, 0, 1500), edge(1000, 0, 400), Level.WORSE, "400 ms → 1.50 s"),
        (edge(1000, 60, 944), edge(1000, 0, 7), Level.MUCH_WORSE, "7 → 944 ms"),  # what is worst is told
        (edge(1000, 310, 944), edge(1000, 0, 7), Level.MUCH_WORSE, "0 → 31 %"),
    ],
)
def test_how_much_worse_is_told_with_what_made_it_so(now: Edge, before: Edge, level: Level, headline: str) -> None:
    change = judged(now, before)
    assert (change.level, change.headline) == (level, headline)


def test_an_edge_without_a_past_is_neither_calm_nor_worse() -> None:
    (fresh,) = compare([edge(1000, 0, 944)], [])
    assert (fresh.level, fresh.before, fresh.headline, fresh.added_wait_ms) == (Level.NO_BASELINE, None, "", 0)
    assert plain(fresh.summary) == (
        "api calls db, no baseline: errors – → 0 %, mean latency – → 944 ms, calls – → 0.56/s"
    )
    assert judged(edge(1000), edge(29)).level is Level.NO_BASELINE
    assert judged(edge(1000), edge(30)).level is Level.CALM


def test_what_clearly_fails_is_harm_even_with_nothing_to_compare_it_with() -> None:
    (failing,) = compare([edge(1000, 300)], [])
    assert (failing.level, failing.headline, failing.added_errors) == (Level.NO_BASELINE, "30 % fail", 300)
    (unlucky,) = compare([edge(50, 5)], [])
    assert (unlucky.headline, unlucky.added_errors) == ("", 0)
    (too_few,) = compare([edge(4, 4)], [])
    assert (too_few.headline, too_few.added_errors) == ("", 0)


def test_calls_that_were_due_and_did_not_come_are_told() -> None:
    here = edge(600, 0, 5, minutes=10, server="cache")
    change = compare([here], [edge(3000, 30, 12, minutes=30), here])[1]
    assert (change.level, change.server, change.calls, change.headline) == (Level.NO_DATA, "db", 0, "no calls")
    assert plain(change.summary) == (
        "api calls db, no calls now: errors 1 % → –, mean latency 12 ms → –, calls 1.67/s → 0/s"
    )


def test_silence_of_a_client_that_was_not_heard_is_no_rate_of_zero() -> None:
    others = Edge("web", "shop", "http", True, 600, 0, 5.0, 10)
    change = compare([others], [edge(3000, minutes=30)])[1]
    assert (change.level, change.now.minutes, plain(change.rate)) == (Level.NO_DATA, 0, "1.67/s → –")


def test_calls_that_come_now_and_then_are_not_missed() -> None:
    now = edge(600, minutes=10, server="cache")
    assert [c.server for c in compare([now], [edge(14, minutes=30), now])] == ["cache"]
    assert [c.server for c in compare([now], [edge(15, minutes=30), now])] == ["cache", "db"]


def test_a_window_in_which_nothing_was_heard_tells_nothing() -> None:
    assert compare([], [edge()]) == []


def test_rates_are_over_the_minutes_that_were_measured() -> None:
    partial = edge(calls=360, minutes=3)  # of a window of 15
    assert partial.per_second == 2.0
    assert plain(judged(partial, edge(calls=3600, minutes=30)).rate) == "2/s → 2/s"
    assert edge(calls=0, minutes=0).per_second == 0.0


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0, "0/s"), (2, "2/s"), (3.14159, "3.14/s"), (12.345, "12.3/s"), (1234.5, "1,230/s"), (1 / 300, "0.0033/s")],
)
def test_rates_are_rounded_as_other_numbers(rate: float, words: str) -> None:
    assert per_second(rate) == words


def test_harm_is_shared_out_among_those_that_do_it() -> None:
    usual = [edge(server=s) for s in ("a", "b", "c", "d")]
    now = [edge(1000, 300, server="a"), edge(1000, 100, server="b"), edge(1000, 0, 500, server="c"), edge(server="d")]
    shares = shares_of_harm(compare(now, usual))
    assert [str(h) for h in shares] == [
        "75 % of added failures",
        "25 % of added failures",
        "100 % of added waiting",
        "",
    ]
    assert shares_of_harm(compare(usual, usual))[0].share == 0


def test_error_bounds_hold_the_share_and_narrow_with_calls() -> None:
    low, high = error_bounds(edge(100, 10))
    assert (low, high) == pytest.approx((0.0460, 0.2040), abs=0.001)
    closer = error_bounds(edge(10_000, 1000))
    assert low < closer[0] < 0.1 < closer[1] < high
    assert error_bounds(edge(0)) == (0.0, 1.0)
    assert error_bounds(edge(100, 0))[0] == pytest.approx(0, abs=1e-12)
    assert error_bounds(edge(100, 100))[1] == pytest.approx(1)


def test_every_level_has_words_and_a_name_for_style_sheets() -> None:
    assert [level.slug for level in Level] == ["calm", "no-baseline", "no-data", "worse", "much-worse"]
    assert [level.rank for level in Level] == [0, 1, 2, 3, 4]
