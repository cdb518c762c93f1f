"""Alerts that fire always: nothing is told while they come, and their silence is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from incidentscope.alert.v1 import alert_pb2

from services.alert_router.decode.events import notified
from services.alert_router.domain.alert import Alert, receive
from services.alert_router.domain.dedup import Decision, Entry
from services.alert_router.domain.flush import Flush
from services.alert_router.domain.no_data import FORGOTTEN_AFTER, SLOWEST_LOOK, Heard, look
from services.alert_router.domain.route import Group, Route, group_of
from tests.unit.services.alert_router.builders import CONVENTIONS, NOW, alert, at

ROUTE = Route(group_wait=timedelta(0), group_interval=timedelta(seconds=15))


class Watch:
    """The group of one heartbeat, kept as the store keeps it."""

    def __init__(self, beat: Alert, listening_since: float = -9999) -> None:
        self.alerts = [beat]
        self.entry: Entry | None = None
        self.since = at(listening_since)

    def look(self, seconds: float) -> Flush:
        outcome = look(self.alerts, self.entry, at(seconds), ROUTE, Heard(self.since), CONVENTIONS.heartbeat)
        self.entry = outcome.entry
        gone = {a.fingerprint for a in outcome.gone}
        self.alerts = [a for a in self.alerts if a.fingerprint not in gone]
        return outcome

    def hear(self, beat: Alert) -> None:
        self.alerts = [receive(self.alerts[0], beat, beat.updated_at)]


def watchdog(ends: float = 240, updated: float = 0) -> Alert:
    return alert("Watchdog", starts=-86400, ends=ends, updated=updated, severity="none")


def test_while_it_comes_nothing_is_told_and_its_silence_is_waited_for() -> None:
    watch = Watch(watchdog())
    for seconds in (0, 100, 200):
        outcome = watch.look(seconds)
        assert (outcome.decision, outcome.gone) == (Decision.NEVER_FIRED, ())
        assert outcome.clock is not None
        assert outcome.clock.next_flush_at == at(max(240, seconds + 15))
        watch.hear(watchdog(ends=240, updated=seconds))


def test_a_heartbeat_that_promises_much_is_looked_at_now_and_then() -> None:
    outcome = Watch(watchdog(ends=5 * 3600)).look(0)
    assert outcome.clock is not None
    assert outcome.clock.next_flush_at == NOW + SLOWEST_LOOK


@pytest.mark.parametrize("by_word", [False, True])
def test_when_it_stops_that_fires_and_ends_when_it_comes_again(by_word: bool) -> None:
    watch = Watch(watchdog())
    watch.look(0)
    if by_word:  # its rule was deleted, or Alertmanager has not heard it either
        watch.hear(watchdog(ends=240, updated=241))
    outcome = watch.look(242)
    message = notified(Group("{}:{}", {}), outcome, "default", "incidents", at(242), CONVENTIONS)
    (told,) = message.alerts
    assert (outcome.decision, message.status) == (Decision.FIRST_NOTIFICATION, alert_pb2.ALERT_STATUS_FIRING)
    assert (told.name, told.severity) == ("Watchdog heartbeat stopped", alert_pb2.SEVERITY_CRITICAL)
    assert told.starts_at.ToDatetime(tzinfo=NOW.tzinfo) == at(240)
    assert "2026-05-04 12:04 UTC" in told.annotations["summary"]
    assert not watch.look(300).decision.notify
    watch.hear(watchdog(ends=900, updated=600))
    assert watch.look(601).decision is Decision.ALL_RESOLVED
    assert watch.look(901).decision is Decision.FIRST_NOTIFICATION


def test_nothing_is_missed_while_nothing_could_be_heard() -> None:
    watch = Watch(watchdog(), listening_since=230)
    assert not watch.look(242).decision.notify
    assert watch.look(230 + 241).decision.notify


def test_a_restart_does_not_end_what_was_missed_before() -> None:
    watch = Watch(watchdog())
    watch.look(0)
    assert watch.look(242).decision is Decision.FIRST_NOTIFICATION
    watch.since = at(300)
    assert not watch.look(301).decision.notify
    watch.hear(watchdog(ends=700, updated=400))
    assert watch.look(401).decision is Decision.ALL_RESOLVED


def test_what_has_been_silent_for_a_week_is_waited_for_no_more() -> None:
    watch = Watch(watchdog())
    watch.look(0)
    watch.look(241)
    outcome = watch.look(242 + FORGOTTEN_AFTER.total_seconds())
    assert (outcome.decision.notify, outcome.clock, len(outcome.gone)) == (False, None, 1)


@pytest.mark.parametrize("name", ["Watchdog", "DeadMansSwitch", "dead-mans-switch", "Dead Man's Switch"])
def test_heartbeats_are_known_by_name_and_stand_alone(name: str) -> None:
    beat = alert(name, service="prometheus", severity="none")
    assert CONVENTIONS.heartbeat(beat)
    group = group_of(beat, ROUTE, alone=True)
    assert (group.labels["alertname"], group.labels["service"]) == (name, "prometheus")


def test_other_alerts_are_no_heartbeats_and_only_inhibitors_are_about_nothing() -> None:
    assert not CONVENTIONS.heartbeat(alert("HeartbeatMissing"))
    assert CONVENTIONS.inhibitor(alert("InfoInhibitor"))
    assert not CONVENTIONS.inhibitor(alert("Down"))
