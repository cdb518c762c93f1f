"""Baselines, limits, verdicts and what an alert says."""

from __future__ import annotations

import pytest

from services.anomaly_detector.adapters.rules_file import load_rules
from services.anomaly_detector.domain.alerts import describe, identify, service_page
from services.anomaly_detector.domain.baseline import Baseline, Traffic, Usual, learn, quantile
from services.anomaly_detector.domain.evaluation import Reason, Verdict, evaluate

RULES = load_rules(None)
ERRORS, LATENCY, _DROP = RULES.rules
QUIET = Baseline(error_ratio=Usual(0.01, 0.02), p95_ms=Usual(100, 130))
OFTEN_FAILS = Baseline(error_ratio=Usual(0.4, 0.45), p95_ms=Usual(100, 130))

ERROR_CASES = {
    "nothing was asked": (Traffic(0, 0, 0), QUIET, Reason.NO_TRAFFIC),
    "a handful of requests": (Traffic(9, 9, 50), QUIET, Reason.TOO_FEW_REQUESTS),
    "few errors, but half of the traffic": (Traffic(18, 9, 50), QUIET, Reason.TOO_FEW_ERRORS),
    "few errors in much traffic": (Traffic(1000, 9, 50), QUIET, Reason.BELOW_LIMIT),
    "five in a hundred": (Traffic(800, 40, 50), QUIET, Reason.ABOVE_USUAL),
    "just below five in a hundred": (Traffic(400, 19, 50), QUIET, Reason.BELOW_LIMIT),
    "above the limit, usual for this service": (Traffic(400, 160, 50), OFTEN_FAILS, Reason.USUAL),
    "a service that often fails fails nearly always": (Traffic(400, 380, 50), OFTEN_FAILS, Reason.ABOVE_USUAL),
    "a high ratio that chance explains": (
        Traffic(60, 12, 50), Baseline(Usual(0.06, 0.1), Usual(100, 130)), Reason.NOT_SIGNIFICANT,
    ),
    "unknown service, six in a hundred": (Traffic(400, 24, 50), None, Reason.BELOW_LIMIT),
    "unknown service, ten in a hundred": (Traffic(400, 40, 50), None, Reason.ABOVE_WARMUP_LIMIT),
}  # fmt: skip
LATENCY_CASES = {
    "too few requests": (Traffic(99, 0, 9000), QUIET, Reason.TOO_FEW_REQUESTS),
    "three times the usual": (Traffic(100, 0, 300), QUIET, Reason.ABOVE_USUAL),
    "slower, but usual": (Traffic(100, 0, 299), QUIET, Reason.USUAL),
    "three times as slow, still fast": (
        Traffic(100, 0, 99), Baseline(Usual(0, 0), Usual(10, 12)), Reason.BELOW_LIMIT,
    ),
    "no slower than a usual bad minute": (
        Traffic(100, 0, 800), Baseline(Usual(0, 0), Usual(100, 600)), Reason.USUAL,
    ),
    "unknown service, two seconds": (Traffic(100, 0, 2000), None, Reason.BELOW_LIMIT),
    "unknown service, three seconds": (Traffic(100, 0, 3000), None, Reason.ABOVE_WARMUP_LIMIT),
}  # fmt: skip


@pytest.mark.parametrize("case", ERROR_CASES)
def test_an_error_ratio_is_judged_with_a_reason(case: str) -> None:
    traffic, baseline, reason = ERROR_CASES[case]
    assert evaluate(ERRORS, {2: traffic}, baseline).reason is reason


@pytest.mark.parametrize("case", LATENCY_CASES)
def test_a_latency_is_judged_with_a_reason(case: str) -> None:
    traffic, baseline, reason = LATENCY_CASES[case]
    assert evaluate(LATENCY, {2: traffic}, baseline).reason is reason


def test_one_window_over_the_limit_is_enough_and_is_the_one_told() -> None:
    seen = evaluate(ERRORS, {1: Traffic(40, 20, 50), 2: Traffic(600, 21, 50)}, QUIET)
    assert (seen.reason, seen.window_minutes) == (Reason.ABOVE_USUAL, 1)


def test_every_reason_has_a_verdict() -> None:
    assert {r.verdict for r in Reason} == set(Verdict)


def test_nine_minutes_are_too_few_to_learn_from_and_gaps_do_not_count() -> None:
    busy, idle = Traffic(100, 1, 80), Traffic(2, 2, 9000)
    assert learn([busy] * 9 + [idle] * 50, RULES.baseline) is None
    assert learn([busy] * 10 + [idle] * 50, RULES.baseline) == Baseline(Usual(0.01, 0.01, 0.0025), Usual(80, 80, 4))


def test_a_few_bad_minutes_do_not_move_what_is_usual() -> None:
    minutes = [Traffic(100, 1, 80)] * 55 + [Traffic(100, 60, 5000)] * 5
    learned = learn(minutes, RULES.baseline)
    assert learned is not None
    assert learned.p95_ms == Usual(80, 80, 4)
    assert learned.error_ratio.burst == 0.01


def test_what_was_usual_at_this_time_of_earlier_days_is_usual() -> None:
    now, then = [Traffic(100, 1, 80)] * 60, [Traffic(100, 8, 900)] * 60

    both = learn(now, RULES.baseline, season=then)

    assert both is not None
    assert (both.error_ratio.level, both.p95_ms.level) == (0.08, 900)
    assert evaluate(LATENCY, {2: Traffic(400, 0, 900)}, both).reason is Reason.USUAL
    assert evaluate(LATENCY, {2: Traffic(400, 0, 900)}, learn(now, RULES.baseline)).reason is Reason.ABOVE_USUAL


def test_after_a_pause_earlier_days_alone_teach_what_is_usual() -> None:
    assert learn([], RULES.baseline, season=[Traffic(100, 1, 80)] * 20) == learn(
        [Traffic(100, 1, 80)] * 20, RULES.baseline
    )


def test_minutes_that_vary_much_need_more_to_stand_out() -> None:
    wild = [Traffic(100, 0, ms) for ms in (50, 100, 150, 200, 250, 300, 350)] * 8
    learned = learn(wild, RULES.baseline)
    assert learned is not None
    assert learned.p95_ms.scale > 100
    assert evaluate(LATENCY, {2: Traffic(400, 0, 650)}, learned).reason is Reason.USUAL
    assert evaluate(LATENCY, {2: Traffic(400, 0, 950)}, learned).reason is Reason.ABOVE_USUAL


@pytest.mark.parametrize(("q", "expected"), [(0.01, 1), (0.5, 5), (0.9, 9), (1.0, 10)])
def test_a_quantile_is_the_nearest_rank(q: float, expected: float) -> None:
    assert quantile([float(n) for n in range(10, 0, -1)], q) == expected


def test_an_alert_says_what_is_wrong_with_numbers_and_units() -> None:
    errors = evaluate(ERRORS, {2: Traffic(400, 120, 50)}, QUIET)
    latency = evaluate(LATENCY, {2: Traffic(400, 0, 1840)}, QUIET)
    unknown = evaluate(ERRORS, {1: Traffic(400, 120, 50)}, None)
    assert describe(ERRORS, "cart", errors)["summary"] == (
        "cart: 30.0% of requests failed in the last 2 minutes (limit 5.0%, usual 1.0%)"
    )
    assert describe(LATENCY, "cart", latency)["summary"] == (
        "cart: p95 latency is 1,840 ms in the last 2 minutes (limit 300 ms, usual 100 ms)"
    )
    assert describe(ERRORS, "cart", unknown)["summary"].endswith("minute (limit 10.0%, usual not known yet)")


def test_the_identity_of_an_alert_holds_no_numbers() -> None:
    assert identify(ERRORS, "cart") == {
        "alertname": "HighErrorRate", "service": "cart", "severity": "critical", "source": "anomaly_detector",
    }  # fmt: skip


def test_the_page_of_a_service_with_odd_characters_is_still_one_path_segment() -> None:
    assert service_page("a/b c?") == "/services/a%2Fb%20c%3F"
