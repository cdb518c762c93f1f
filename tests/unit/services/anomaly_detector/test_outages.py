"""What fires, how soon, and what stays silent: whole hours of seeded traffic on a clock set by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from services.anomaly_detector.domain.track import Action
from tests.unit.services.anomaly_detector.shop import START, Behaviour, Watch

HOUR = 3600
HEALTHY = Behaviour()
OUTAGES = {
    "a third of requests fail": (Behaviour(errors=0.3), "HighErrorRate", 30),
    "most requests fail": (Behaviour(errors=0.6), "HighErrorRate", 20),
    "a quiet service fails": (Behaviour(rate=1, errors=0.8), "HighErrorRate", 40),
    "every request is ten times slower": (Behaviour(median_ms=600), "HighLatency", 20),
    "half of the requests are slow": (Behaviour(slow_share=0.5), "HighLatency", 35),
}
NOISE: dict[str, Behaviour | Callable[[int], Behaviour]] = {
    "ordinary traffic": HEALTHY,
    "one request in twenty-five fails": Behaviour(errors=0.04),
    "one in twelve fails": Behaviour(errors=0.08, rate=1.5),
    "one minute in seven is bad": lambda second: Behaviour(errors=0.09 if second // 60 % 7 == 0 else 0.005),
    "a heavy tail of slow requests": Behaviour(sigma=1.0, rate=2),
    "slow requests about as many as p95 leaves out": Behaviour(slow_share=0.05, rate=2),
    "hardly any traffic": Behaviour(rate=0.3, errors=0.03),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("seconds_into_minute", [2, 50])
@pytest.mark.parametrize("outage", OUTAGES)
def test_a_sudden_outage_fires_soon(outage: str, seconds_into_minute: int, seed: int) -> None:
    behaviour, rule, within = OUTAGES[outage]
    watch = Watch(seed)
    usual = Behaviour(rate=behaviour.rate)
    watch.history(65, usual)
    watch.run(seconds_into_minute, usual)
    watch.run(60, behaviour)
    assert watch.fired()[0][1] == rule
    assert watch.fired()[0][0] - seconds_into_minute <= within


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("noise", NOISE)
def test_a_noisy_but_healthy_service_stays_silent_for_an_hour(noise: str, seed: int) -> None:
    watch = Watch(seed)
    watch.history(65, NOISE[noise])
    watch.run(HOUR, NOISE[noise])
    assert watch.outbox.sent == []


def test_an_outage_is_sent_every_minute_and_resolved_after_it_ends() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(300, Behaviour(errors=0.6))
    watch.run(240, HEALTHY)
    assert [name for _, name in watch.fired()] == ["HighErrorRate"]
    ((resolved_at, _),) = watch.resolved()
    assert 300 < resolved_at <= 300 + 120 + 30 + 10  # windows of two minutes, six healthy looks, a little more
    times = [at for at, alert in watch.outbox.sent if alert.firing]
    assert {b - a for a, b in pairwise(times)} == {60}
    first, last = watch.outbox.sent[0][1], watch.outbox.sent[-1][1]
    assert (first.starts_at, first.labels) == (last.starts_at, last.labels)


def test_an_outage_of_an_hour_does_not_become_the_new_usual() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(HOUR, Behaviour(errors=0.4))
    assert watch.resolved() == []
    assert [name for _, name in watch.fired()] == ["HighErrorRate"]


def test_a_flapping_service_fires_once() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(600, lambda second: Behaviour(errors=0.8 if second // 20 % 2 else 0.01))
    assert [name for _, name in watch.fired()] == ["HighErrorRate"]
    assert watch.resolved() == []


def test_without_history_only_the_warmup_limits_count() -> None:
    mild, bad = Watch(), Watch()
    mild.run(240, Behaviour(errors=0.06, median_ms=900))
    bad.run(240, Behaviour(errors=0.5))
    assert mild.outbox.sent == []
    assert [name for _, name in bad.fired()] == ["HighErrorRate"]


def without_data(watch: Watch, name: str = "HighErrorRate") -> list[float]:
    """Return when an alert was sent that says that it has no data."""
    return [at for at, alert in watch.outbox.sent if alert.labels["alertname"] == name and alert.no_data_since]


def test_a_service_that_falls_silent_while_firing_has_no_data_after_five_minutes_and_is_not_resolved() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(60, Behaviour(errors=0.9))
    watch.run(HOUR, None)
    assert watch.resolved() == []
    told = without_data(watch)
    assert 300 <= told[0] - 60 <= 480
    assert {b - a for a, b in pairwise(told)} == {60}
    last = [alert for _, alert in watch.outbox.sent if alert.no_data_since][-1]
    assert last.no_data_since is not None
    assert 60 <= (last.no_data_since - START).total_seconds() <= 180
    ((at, change),) = [(at, a) for at, a in watch.outbox.changes if a.no_data_since]
    assert (at, change.ending, change.no_data_since) == (told[0], None, last.no_data_since)


@pytest.mark.parametrize(("after", "resolves"), [(HEALTHY, True), (Behaviour(errors=0.9), False)])
def test_only_data_ends_what_had_none(after: Behaviour, resolves: bool) -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(60, Behaviour(errors=0.9))
    watch.run(600, None)
    told = len([a for _, a in watch.outbox.sent if a.labels["alertname"] == "HighErrorRate"])
    watch.run(300, after)
    since = [a for _, a in watch.outbox.sent if a.labels["alertname"] == "HighErrorRate"][told:]
    back = next(n for n, a in enumerate(since) if a.no_data_since is None)
    assert all(a.no_data_since is None for a in since[back:])
    assert since[back].firing
    assert ("HighErrorRate" in [name for _, name in watch.resolved()]) is resolves


def test_a_restart_in_the_middle_of_the_silence_forgets_neither_the_outage_nor_when_data_ended() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(60, Behaviour(errors=0.9))
    watch.run(600, None)
    before = [alert for _, alert in watch.outbox.sent if alert.no_data_since][-1]
    watch.restart()
    watch.run(120, None)
    after = [alert for _, alert in watch.outbox.sent if alert.no_data_since][-1]
    assert (after.starts_at, after.no_data_since) == (before.starts_at, before.no_data_since)
    assert len([a for _, a in watch.outbox.changes if a.no_data_since]) == 1
    assert watch.resolved() == []


def test_while_the_rollups_cannot_be_read_what_fires_is_still_sent() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(60, Behaviour(errors=0.9))
    watch.shop.down = True
    watch.run(180, Behaviour(errors=0.9))
    assert watch.failures == 36
    assert len([at for at, alert in watch.outbox.sent if alert.firing and at > 60]) == 3


def test_an_alert_the_broker_did_not_take_is_sent_in_the_next_round() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.outbox.broken = True
    watch.run(60, Behaviour(errors=0.9))
    assert watch.outbox.sent == []
    watch.outbox.broken = False
    watch.run(5, Behaviour(errors=0.9))
    assert [(at, alert.firing) for at, alert in watch.outbox.sent] == [(65, True)]


@pytest.mark.parametrize(("outage", "name"), [(Behaviour(errors=0.9), "HighErrorRate"), (None, "TrafficDrop")])
def test_after_a_restart_what_fired_goes_on_and_ends(outage: Behaviour | None, name: str) -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(420, outage)
    watch.restart()
    watch.run(1800, outage)
    assert [rule for _, rule in watch.fired()] == [name]
    assert watch.resolved() == []
    assert {alert.starts_at for _, alert in watch.outbox.sent} == {watch.outbox.sent[0][1].starts_at}
    watch.run(600, HEALTHY)
    assert [rule for _, rule in watch.resolved()] == [name]
    start, end = (change for _, change in watch.outbox.changes)
    assert start.id == end.id


def test_what_ended_while_nobody_looked_is_told_to_have_ended() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.run(60, Behaviour(errors=0.9))
    (_, start) = watch.outbox.changes[0]
    watch.clock.advance(timedelta(seconds=1200))
    watch.history(20, HEALTHY)
    watch.restart()
    watch.run(120, HEALTHY)
    (_, end) = watch.outbox.changes[-1]
    assert (end.id, end.ending) == (start.id, Action.RESOLVE)


def test_while_it_cannot_be_read_what_was_told_nothing_is_told_anew() -> None:
    watch = Watch()
    watch.history(65, HEALTHY)
    watch.outbox.unreadable = True
    watch.run(60, Behaviour(errors=0.9))
    assert (watch.outbox.sent, watch.failures) == ([], 12)
    watch.outbox.unreadable = False
    watch.run(20, Behaviour(errors=0.9))
    assert [name for _, name in watch.fired()] == ["HighErrorRate"]
