"""Alertmanager's acceptance timelines that need neither routes, silences nor inhibition, on a virtual clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from services.alert_router.domain import grouping
from services.alert_router.domain.alert import Alert, receive
from services.alert_router.domain.arrival import Door, Sent, arrive
from services.alert_router.domain.conventions import Conventions
from services.alert_router.domain.dedup import Entry
from services.alert_router.domain.durations import parse_duration
from services.alert_router.domain.flush import flush
from services.alert_router.domain.naming import Naming
from services.alert_router.domain.route import ALL, Route, group_of
from tests.conformance.vectors import cases

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
IN_SCOPE = {"silences": [], "instances": 1, "receiver_faults": [], "start_delay_s": 0}


@dataclass(frozen=True)
class Told:
    at: float
    alerts: tuple[Alert, ...]


@dataclass
class World:
    """The router's rules with dictionaries for tables: what PostgresAlertStore keeps, kept in memory."""

    route: Route
    door: Door
    alerts: dict[str, Alert] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    clocks: dict[str, grouping.Clock] = field(default_factory=dict)
    log: dict[str, Entry] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)

    def push(self, now: datetime, sent: Sent) -> None:
        new = arrive(sent, self.door, now)
        alert = receive(self.alerts.get(new.fingerprint), new, now)
        key = group_of(alert, self.route).key
        self.alerts[alert.fingerprint] = alert
        self.members.setdefault(key, set()).add(alert.fingerprint)
        self.clocks[key] = grouping.on_alert(self.clocks.get(key), alert.starts_at, now, self.route)

    def next_due(self) -> datetime | None:
        return min((c.next_flush_at for c in self.clocks.values()), default=None)

    def tick(self, now: datetime) -> None:
        for key in [k for k, c in self.clocks.items() if c.next_flush_at <= now]:
            outcome = flush((self.alerts[f] for f in self.members[key]), self.log.get(key), now, self.route)
            self.members[key] -= {a.fingerprint for a in outcome.resolved}
            if outcome.entry:
                self.log[key] = outcome.entry
            if outcome.clock:
                self.clocks[key] = outcome.clock
            else:
                del self.clocks[key]
            if outcome.decision.notify:
                self.told.append(Told((now - START).total_seconds(), outcome.alerts))


def in_scope() -> Iterator[Any]:
    for parameter in cases("alertmanager_timelines.json", **IN_SCOPE):
        case = parameter.values[0]
        if case is None or not ({"inhibit_rules", "routes"} & words(case)):
            yield parameter


def words(case: dict[str, Any]) -> set[str]:
    config = yaml.safe_load(case["config_yaml"])
    return set(config) | set(config["route"])


def world_of(case: dict[str, Any]) -> World:
    config = yaml.safe_load(case["config_yaml"])
    written = config["route"]
    group_by = tuple(written.get("group_by", ()))
    timers = {
        name: parse_duration(written[name])
        for name in ("group_wait", "group_interval", "repeat_interval")
        if name in written
    }
    timeout = parse_duration(config.get("global", {}).get("resolve_timeout", "5m"))
    return World(
        Route(written["receiver"], (ALL,) if ALL in group_by else group_by, **timers),
        Door("t", timeout, Conventions(Naming(()))),
    )


def after(seconds: float | None) -> datetime | None:
    return None if seconds is None else START + timedelta(seconds=seconds)


def play(case: dict[str, Any]) -> list[Told]:
    world = world_of(case)
    pushes = [(START + timedelta(seconds=p["at_s"]), p["alerts"]) for p in case["pushes"]]
    end = START + timedelta(seconds=case["run_until_s"])
    while True:
        due = world.next_due()
        if pushes and (due is None or pushes[0][0] <= due):
            now, alerts = pushes.pop(0)
            for a in alerts:
                sent = Sent(a["labels"], a["annotations"], after(a["starts_at_s"]), after(a["ends_at_s"]))
                world.push(now, sent)
        elif due is not None and due <= end:
            world.tick(due)
        else:
            return world.told


def matches(told: Told, expected: list[dict[str, Any]], tolerance: float) -> bool:
    left = list(told.alerts)
    for want in expected:
        found = next((a for a in left if same(a, want, told.at, tolerance)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def same(alert: Alert, want: dict[str, Any], at: float, tolerance: float) -> bool:
    if (alert.labels, alert.annotations) != (want["labels"], want["annotations"]):
        return False
    starts, ends = ((t - START).total_seconds() for t in (alert.starts_at, alert.ends_at))
    if want["starts_at_s"] is not None and abs(starts - want["starts_at_s"]) > tolerance:
        return False
    return ends > at if want["ends_at_s"] is None else abs(ends - want["ends_at_s"]) <= tolerance


@pytest.mark.parametrize("case", list(in_scope()))
def test_what_is_told_and_when_is_what_alertmanager_tells(case: dict[str, Any]) -> None:
    told = play(case)
    for expected in case["expect"]:
        since, until = expected["between_s"]
        inside = [t for t in told if since <= t.at <= until]
        if expected["alerts"]:
            assert any(matches(t, expected["alerts"], case["tolerance_s"]) for t in inside), (expected, inside)
        else:
            assert inside == []
    (total,) = case["expect_total_alerts"].values()
    assert sum(len(t.alerts) for t in told) == total
