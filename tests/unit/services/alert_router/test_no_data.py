"""Not hearing is not recovery: what is told of alerts that are not repeated, and what ends them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from incidentscope.alert.v1 import alert_pb2

from services.alert_router.decode.events import notified, to_message
from services.alert_router.domain.alert import Alert, State, receive
from services.alert_router.domain.dedup import Decision, Entry
from services.alert_router.domain.flush import Flush
from services.alert_router.domain.listening import LONGEST_LAG, LONGEST_PAUSE, Listening
from services.alert_router.domain.no_data import FORGOTTEN_AFTER, LONGEST_GRACE, Heard, judge, look, sender_of
from services.alert_router.domain.route import Group, Route
from tests.unit.services.alert_router.builders import CONVENTIONS, NOW, alert, at

ROUTE = Route(group_wait=timedelta(0), group_interval=timedelta(seconds=15))
LONG_AGO = at(-10 * 86400)
PROMETHEUS = "http://prometheus:9090/graph?g0.expr=up"


@dataclass
class Room:
    """One group over time, kept as the store keeps it."""

    alerts: list[Alert]
    listening_since: datetime = LONG_AGO
    senders: dict[str, datetime] = field(default_factory=dict)
    entry: Entry | None = None

    def look(self, seconds: float) -> Flush:
        now = at(seconds)
        outcome = look(self.alerts, self.entry, now, ROUTE, Heard(self.listening_since, self.senders))
        self.entry = outcome.entry
        self.alerts = [a for a in self.alerts if a.fingerprint not in {g.fingerprint for g in outcome.gone}]
        return outcome

    def hear(self, new: Alert) -> None:
        known = {a.fingerprint: a for a in self.alerts}
        known[new.fingerprint] = receive(known.get(new.fingerprint), new, new.updated_at)
        self.alerts = list(known.values())


def statuses(outcome: Flush, seconds: float) -> list[int]:
    message = notified(Group("{}:{}", {}), outcome, "default", "incidents", at(seconds), CONVENTIONS)
    return [message.status, *(a.status for a in message.alerts)]


FIRING, RESOLVED, NO_DATA = (
    alert_pb2.ALERT_STATUS_FIRING,
    alert_pb2.ALERT_STATUS_RESOLVED,
    alert_pb2.ALERT_STATUS_NO_DATA,
)


def test_an_alert_whose_sender_falls_silent_has_no_data_since_it_was_last_heard() -> None:
    room = Room([alert(ends=240)])
    assert room.look(0).decision is Decision.FIRST_NOTIFICATION
    outcome = room.look(241)
    assert outcome.decision is Decision.ALL_RESOLVED  # Alertmanager's row; the state says what is known
    assert statuses(outcome, 241) == [NO_DATA, NO_DATA]
    message = to_message(outcome.alerts[0], "default", at(241), CONVENTIONS)
    assert message.no_data_since.ToDatetime(tzinfo=NOW.tzinfo) == NOW


def test_the_silence_is_told_once_and_looked_at_less_and_less_often() -> None:
    room = Room([alert(ends=240)])
    room.look(0)
    room.look(241)
    waits = []
    for seconds in (300, 3600, 86400):
        outcome = room.look(seconds)
        assert not outcome.decision.notify
        assert outcome.clock is not None
        waits.append((outcome.clock.next_flush_at - at(seconds)).total_seconds())
    assert waits == [30, 360, 600]


def test_after_a_week_of_silence_the_group_ends_without_a_word() -> None:
    room = Room([alert(ends=240)])
    room.look(0)
    room.look(241)
    outcome = room.look(FORGOTTEN_AFTER.total_seconds() + 1)
    assert (outcome.decision.notify, outcome.clock, len(outcome.gone)) == (False, None, 1)


def test_an_end_that_the_sender_told_is_an_end() -> None:
    room = Room([alert(ends=240)])
    room.look(0)
    room.hear(alert(ends=50, updated=60))
    outcome = room.look(61)
    assert statuses(outcome, 61) == [RESOLVED, RESOLVED]
    assert (outcome.clock, len(outcome.gone)) == (None, 1)


def test_an_end_told_after_the_silence_was_told_is_told_too() -> None:
    room = Room([alert(ends=240)])
    room.look(0)
    room.look(241)
    room.hear(alert(ends=500, updated=600))
    outcome = room.look(601)
    assert (outcome.decision, statuses(outcome, 601)) == (Decision.ALL_RESOLVED, [RESOLVED, RESOLVED])
    assert not room.look(602).decision.notify


def test_an_alert_that_is_heard_again_fires_again() -> None:
    room = Room([alert(ends=240)])
    room.look(0)
    room.look(241)
    room.hear(alert(ends=1000, updated=600))
    outcome = room.look(601)
    assert (outcome.decision, statuses(outcome, 601)) == (Decision.FIRST_NOTIFICATION, [FIRING, FIRING])


def test_one_silent_alert_among_firing_ones_is_told_and_its_return_too() -> None:
    room = Room([alert("A", ends=240), alert("B", ends=9000)])
    room.look(0)
    outcome = room.look(241)
    assert (outcome.decision, statuses(outcome, 241)) == (Decision.NEW_RESOLVED, [FIRING, FIRING, NO_DATA])
    assert not room.look(256).decision.notify
    room.hear(alert("A", ends=1000, updated=300))
    assert room.look(301).decision is Decision.NEW_ALERTS


def test_a_sender_that_says_it_has_no_data_is_believed_and_its_data_coming_back_is_told() -> None:
    told = replace(alert(ends=240), no_data_since=at(-30))
    room = Room([alert(ends=240)])
    room.look(0)
    room.hear(replace(told, updated_at=at(10)))
    outcome = room.look(15)
    assert (outcome.decision, statuses(outcome, 15)) == (Decision.DATA_CHANGED, [NO_DATA, NO_DATA])
    assert not room.look(30).decision.notify
    room.hear(alert(ends=300, updated=40))
    back = room.look(45)
    assert (back.decision, statuses(back, 45)) == (Decision.DATA_CHANGED, [FIRING, FIRING])
    room.hear(alert(ends=50, updated=60))
    assert statuses(room.look(61), 61) == [RESOLVED, RESOLVED]


@pytest.mark.parametrize(("listening_since", "state"), [(200, State.FIRING), (-100, State.NO_DATA)])
def test_nothing_runs_out_until_a_sender_had_time_to_repeat_itself_after_we_could_not_hear(
    listening_since: float, state: State
) -> None:
    heard = Heard(at(listening_since))
    assert judge(alert(ends=240), at(300), heard).state(at(300)) is state


def test_the_time_given_after_a_start_is_bounded() -> None:
    judged = judge(alert(ends=400 * 86400), at(401 * 86400), Heard(at(401 * 86400)))
    assert judged.ends_at == at(401 * 86400) + LONGEST_GRACE


@pytest.mark.parametrize(
    ("last_heard", "state"), [(None, State.NO_DATA), (60, State.NO_DATA), (121, State.RESOLVED), (280, State.RESOLVED)]
)
def test_an_alert_ends_when_its_sender_goes_on_without_it(last_heard: float | None, state: State) -> None:
    one = alert(ends=240)
    senders = {} if last_heard is None else {one.fingerprint: at(last_heard)}
    assert judge(one, at(300), Heard(LONG_AGO, senders)).state(at(300)) is state


def test_a_sender_that_comes_back_without_the_alert_ends_it_after_the_silence_was_told() -> None:
    room = Room([alert(ends=240)])
    room.look(0)
    room.look(241)
    room.senders = {room.alerts[0].fingerprint: at(900)}
    outcome = room.look(901)
    assert (outcome.decision, statuses(outcome, 901)) == (Decision.ALL_RESOLVED, [RESOLVED, RESOLVED])
    assert outcome.clock is None


@pytest.mark.parametrize(
    ("url", "sender"),
    [
        (PROMETHEUS, "http://prometheus:9090/"),
        ("", ""),
        ("/graph", ""),
        ("/services/cart", "/services/"),
        ("nonsense", ""),
        ("https://p/", "https://p/"),
    ],
)
def test_a_sender_is_known_by_its_address(url: str, sender: str) -> None:
    assert sender_of(replace(alert(), generator_url=url)) == sender


def interruptions(steps: Sequence[tuple[str, float, float]]) -> float:
    listening = Listening(NOW)
    for what, first, second in steps:
        if what == "looked":
            listening.looked(at(first))
        elif what == "interrupted":
            listening.interrupted(at(first))
        elif what == "closed":
            listening.closed()
        elif what == "opened":
            listening.opened(at(first))
        else:
            listening.received(at(first), at(second))
    return (listening.since(at(1000)) - NOW).total_seconds()


@pytest.mark.parametrize(
    ("steps", "since"),
    [
        ([], 0),
        ([("looked", 10, 0), ("looked", 39, 0)], 0),
        ([("looked", 10, 0), ("looked", 11 + LONGEST_PAUSE.total_seconds(), 0)], 41),
        ([("interrupted", 50, 0), ("interrupted", 20, 0)], 50),
        ([("closed", 10, 0)], 1000),
        ([("closed", 10, 0), ("interrupted", 20, 0)], 1000),
        ([("closed", 10, 0), ("opened", 60, 0)], 60),
        ([("opened", 60, 0), ("opened", 70, 0)], 70),
        ([("received", 100, 110)], 0),
        ([("received", 100, 101 + LONGEST_LAG.total_seconds())], 131),
    ],
)
def test_listening_starts_anew_after_what_kept_us_from_hearing(
    steps: list[tuple[str, float, float]], since: float
) -> None:
    assert interruptions(steps) == since
