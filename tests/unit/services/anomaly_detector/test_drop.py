"""Traffic that fails to come: what is told, and what is a gap, a quiet night or a young service."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from services.anomaly_detector.adapters.rules_file import load_rules
from services.anomaly_detector.domain.drop import Requests, UsualRate, evaluate_drop, learn_rate, lower_limit
from services.anomaly_detector.domain.evaluation import Reason, Verdict
from tests.unit.services.anomaly_detector.shop import Behaviour, Watch

RULES = load_rules(None)
(DROP,) = RULES.drops
STEADY = UsualRate(100, 90, 0.06)
HOUR = 3600
HEALTHY = Behaviour()
END = 1000


def judged(*counts: int | None, usual: UsualRate | None = STEADY, now: bool = True) -> Reason:
    """Judge one service whose last minutes had these counts; None is a minute without any telemetry."""
    known = {END - len(counts) + n: count for n, count in enumerate(counts) if count is not None}
    requests = Requests({*known, *((END,) if now else ())}, {"cart": known})
    return evaluate_drop(DROP, requests, "cart", END, usual).reason


CASES = {
    "as usual": (judged(100, 95, 105), Reason.USUAL),
    "half of it": (judged(50, 50, 50), Reason.USUAL),
    "a third of it": (judged(33, 33, 34), Reason.BELOW_USUAL),
    "nothing": (judged(0, 0, 0), Reason.BELOW_USUAL),
    "nothing for one minute": (judged(100, 100, 0), Reason.USUAL),
    "a minute without telemetry of anybody": (judged(100, None, 0), Reason.TELEMETRY_GAP),
    "nothing from anybody any more": (judged(None, None, None), Reason.TELEMETRY_GAP),
    "nothing from anybody in the current minute": (judged(0, 0, 0, now=False), Reason.TELEMETRY_GAP),
    "too little usual": (judged(0, 0, 0, usual=UsualRate(20, 15, 0.1)), Reason.USUALLY_QUIET),
    "usually quiet now and then": (judged(0, 0, 0, usual=UsualRate(100, 0, 0.1)), Reason.USUALLY_QUIET),
    "a fifth of a steady one": (judged(20, 20, 20), Reason.BELOW_USUAL),
    "a fifth of an uneven one": (judged(20, 20, 20, usual=UsualRate(100, 60, 0.4)), Reason.USUAL),
    "a tenth of an uneven one": (judged(10, 10, 10, usual=UsualRate(100, 60, 0.4)), Reason.BELOW_USUAL),
    "nothing known": (judged(0, 0, 0, usual=None), Reason.NO_BASELINE),
}


@pytest.mark.parametrize("case", CASES)
def test_a_drop_is_judged_with_a_reason(case: str) -> None:
    found, reason = CASES[case]
    assert found is reason


@pytest.mark.parametrize("seed", range(20))
def test_more_traffic_never_turns_health_into_a_breach_and_the_limit_stays_below_the_usual(seed: int) -> None:
    chance = random.Random(seed)
    history = [chance.randrange(0, 400) if seed % 2 else round(chance.gauss(200, 30)) for _ in range(60)]
    usual = learn_rate(history, [], DROP)
    assert usual is not None
    assert lower_limit(DROP, usual) <= usual.level / DROP.baseline_factor
    verdicts = [judged(count, count, count, usual=usual).verdict is Verdict.BREACH for count in range(0, 400, 5)]
    assert verdicts == sorted(verdicts, reverse=True)


@pytest.mark.parametrize("seed", range(20))
def test_no_day_added_to_what_is_known_raises_the_limit(seed: int) -> None:
    chance = random.Random(seed)
    recent, *days = [[chance.randrange(50, 300) for _ in range(60)] for _ in range(3)]
    limits = []
    for known in range(3):
        usual = learn_rate(recent, days[:known], DROP)
        assert usual is not None
        limits.append(lower_limit(DROP, usual))
    assert limits == sorted(limits, reverse=True)


def test_after_a_gap_earlier_days_alone_teach_nothing() -> None:
    assert learn_rate([100] * 29, [[100] * 60], DROP) is None
    assert learn_rate([100] * 30, [[100] * 60], DROP) is not None


def test_chance_alone_sets_how_far_a_perfectly_even_service_must_fall_when_it_is_asked_little() -> None:
    usual = learn_rate([3] * 60, [], DROP)
    assert usual == UsualRate(3, 3, 1 / 3)
    assert lower_limit(DROP, usual) == pytest.approx(3 * math.exp(-5 / 3))


def test_a_pause_of_five_minutes_every_hour_is_usual() -> None:
    usual = learn_rate([100] * 30 + [0] * 5 + [100] * 25, [], DROP)
    assert usual is not None
    assert judged(0, 0, 0, usual=usual) is Reason.USUALLY_QUIET


@pytest.mark.parametrize("left", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_a_service_nobody_asks_any_more_fires_within_four_minutes_and_ends_when_they_return(
    seed: int, left: float
) -> None:
    watch = Watch(seed)
    watch.history(65, HEALTHY)
    watch.run(600, Behaviour(rate=HEALTHY.rate * left) if left else None)
    watch.run(600, HEALTHY)
    ((fired_at, name),) = watch.fired()
    ((resolved_at, _),) = watch.resolved()
    assert name == "TrafficDrop"
    assert fired_at <= 240
    assert 600 < resolved_at <= 600 + 240
    summary = watch.outbox.sent[0][1].annotations["summary"]
    assert "requests a minute came in the last 3 minutes" in summary


QUIET: dict[str, list[tuple[int, Behaviour | Callable[[int], Behaviour] | None, bool]]] = {
    "the pipeline stops and comes back": [(1200, None, True), (1200, HEALTHY, False)],
    "the pipeline stops for a minute": [(70, None, True), (600, HEALTHY, False)],
    "half of the traffic goes": [(1800, Behaviour(rate=2), False)],
    "traffic fades over two hours": [(2 * HOUR, lambda second: Behaviour(rate=4 * 0.5 ** (second / HOUR)), False)],
}


@pytest.mark.parametrize("case", QUIET)
def test_what_is_no_drop_stays_silent(case: str) -> None:
    watch = Watch(3)
    watch.history(65, HEALTHY)
    for seconds, how, gap in QUIET[case]:
        watch.run(seconds, how, gap)
    assert watch.outbox.sent == []


def test_a_young_service_that_goes_away_again_stays_silent() -> None:
    watch = Watch()
    watch.history(65, Behaviour(rate=0))
    watch.run(1200, HEALTHY)
    watch.run(600, None)
    assert watch.outbox.sent == []


def test_a_service_that_goes_quiet_every_evening_stays_silent_and_one_that_does_not_fires() -> None:
    for quiet_yesterday in (True, False):
        watch = Watch()
        day = timedelta(days=1)
        watch.clock.advance(-day)
        watch.history(120, HEALTHY)
        watch.clock.advance(timedelta(hours=2))
        watch.history(120, Behaviour(rate=0.02) if quiet_yesterday else HEALTHY)
        watch.clock.advance(day - timedelta(hours=2))
        watch.history(120, HEALTHY)
        watch.run(900, Behaviour(rate=0.02))
        assert [name for _, name in watch.fired()] == ([] if quiet_yesterday else ["TrafficDrop"])


def test_a_drop_that_lasts_is_the_new_usual_and_is_told_once() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(3 * HOUR, Behaviour(rate=0.5))
    assert [name for _, name in watch.fired()] == ["TrafficDrop"]
    ((ended_at, change),) = [(at, c) for at, c in watch.outbox.changes if c.ending]
    assert change.ending is not None
    assert change.ending.value == "resolve_new_usual"
    assert 5400 <= ended_at <= 5400 + 300


def test_each_anomaly_is_told_once_at_its_start_and_once_at_its_end_with_one_identity() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(300, Behaviour(errors=0.6))
    watch.run(240, HEALTHY)
    (_, start), (_, end) = watch.outbox.changes
    assert start.id == end.id
    assert (start.ends_at, start.ending) == (None, None)
    assert end.ends_at is not None
    assert {alert.annotations["anomaly_id"] for _, alert in watch.outbox.sent} == {start.id}
    assert len(watch.outbox.sent) > 2


def test_an_anomaly_the_broker_did_not_take_keeps_its_identity() -> None:
    told = []
    for broken in (False, True):
        watch = Watch()
        watch.history(65, HEALTHY)
        watch.outbox.broken = broken
        watch.run(60, Behaviour(errors=0.9))
        watch.outbox.broken = False
        watch.run(5, Behaviour(errors=0.9))
        told.append([change.id for _, change in watch.outbox.changes])
    assert told[0] == told[1]
    assert len(told[0]) == 1
