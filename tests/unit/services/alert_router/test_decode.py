"""What comes through the doors, well and badly formed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from incidentscope.alert.v1 import alert_events_pb2

from libs.kernel.errors import InvalidInput
from libs.messaging.cloudevents import CloudEvent
from services.alert_router.decode.events import MAX_NOTIFICATION_BYTES, from_event, notified, to_message
from services.alert_router.decode.push import decode_push
from services.alert_router.decode.webhook import decode_webhook
from services.alert_router.domain.alert import receive
from services.alert_router.domain.arrival import MAX_ALERT_BYTES, START_CORRECTED
from services.alert_router.domain.flush import flush
from services.alert_router.domain.naming import Naming
from services.alert_router.domain.route import Group, Route
from tests.unit.services.alert_router.builders import CONVENTIONS, DOOR, NOW, alert, at

LABELS = {"alertname": "Down", "job": "shop/cart"}
NAMING = Naming(())
EPOCH_SECONDS = NOW.timestamp()


def push(*items: Any) -> Any:
    return decode_push(json.dumps(items).encode(), DOOR, NOW)


def webhook(*items: Any, **payload: Any) -> Any:
    return decode_webhook(json.dumps({"version": "4", "alerts": items, **payload}).encode(), DOOR, NOW)


@pytest.mark.parametrize(
    ("stated", "starts", "ends", "timeout"),
    [
        ({}, 0, 300, True),
        ({"startsAt": "2026-05-04T11:59:00Z"}, -60, 300, True),
        ({"endsAt": "2026-05-04T11:59:00Z"}, -60, -60, False),
        (
            {"startsAt": "2026-05-04T13:58:00.123456789+02:00", "endsAt": "2026-05-04T12:04:00Z"},
            -119.876544,
            240,
            False,
        ),
        ({"startsAt": "0001-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00.000Z"}, 0, 300, True),
        ({"startsAt": None, "endsAt": ""}, 0, 300, True),
    ],
)
def test_times_left_out_are_filled_in(stated: dict[str, Any], starts: float, ends: float, timeout: bool) -> None:
    (got,) = push({"labels": LABELS, **stated}).alerts
    assert (got.starts_at, got.ends_at, got.timeout) == (at(starts), at(ends), timeout)


@pytest.mark.parametrize(
    ("stated", "starts", "ends", "said"),
    [
        ({"startsAt": "2026-05-04T12:10:00Z"}, 0, 300, "lies in the future"),
        ({"startsAt": "2026-05-04T12:10:00Z", "endsAt": "2026-05-04T12:15:00Z"}, 0, 900, "lies in the future"),
        ({"startsAt": "9999-12-31T23:59:59Z"}, 0, 300, "lies in the future"),
        ({"endsAt": "2026-05-04T12:10:00Z"}, 0, 600, ""),
        ({"startsAt": "2026-05-04T12:00:20Z"}, 20, 300, ""),
        ({"startsAt": "2025-01-01T12:00:00Z"}, -488 * 86_400, 300, ""),
        ({"startsAt": "0002-01-01T00:00:00Z"}, -EPOCH_SECONDS, 300, ""),
        ({"startsAt": "1969-12-31T23:59:59Z"}, -EPOCH_SECONDS, 300, ""),
    ],
)
def test_a_start_that_cannot_be_is_corrected_and_said_so(
    stated: dict[str, Any], starts: float, ends: float, said: str
) -> None:
    (got,) = push({"labels": LABELS, **stated}).alerts
    assert (got.starts_at, got.ends_at) == (at(starts), at(ends))
    assert (START_CORRECTED in got.annotations) == bool(said)
    assert said in got.annotations.get(START_CORRECTED, "")


def test_a_start_in_the_future_stays_where_it_was_first_taken() -> None:
    sent = json.dumps([{"labels": LABELS, "startsAt": "2026-05-04T12:10:00Z"}]).encode()
    (first,), (again,) = decode_push(sent, DOOR, NOW).alerts, decode_push(sent, DOOR, at(60)).alerts
    assert receive(first, again, at(60)).starts_at == NOW


def test_labels_without_a_value_are_dropped_before_the_fingerprint() -> None:
    (bare,), (padded,) = push({"labels": LABELS}).alerts, push({"labels": {**LABELS, "x": ""}}).alerts
    assert bare == padded
    assert bare.fingerprint == padded.fingerprint
    assert bare.service == "cart"


REFUSED = {
    "no labels": ({}, "no_labels"),
    "only empty labels": ({"labels": {"a": ""}}, "no_labels"),
    "labels as a list": ({"labels": ["a"]}, "bad_field"),
    "a number as label value": ({"labels": {"a": 1}}, "bad_field"),
    "a label without a name": ({"labels": {"": "x"}}, "bad_label"),
    "an annotation without a name": ({"labels": LABELS, "annotations": {"": "x"}}, "bad_label"),
    "half a surrogate pair": ({"labels": {"a": "\ud800"}}, "bad_text"),
    "a NUL": ({"labels": LABELS, "annotations": {"a": "x\0"}}, "bad_text"),
    "a time that is a number": ({"labels": LABELS, "startsAt": 5}, "bad_field"),
    "a time without zone": ({"labels": LABELS, "startsAt": "2026-05-04T12:00:00"}, "bad_time"),
    "the thirtieth of February": ({"labels": LABELS, "startsAt": "2026-02-30T12:00:00Z"}, "bad_time"),
    "a week date": ({"labels": LABELS, "startsAt": "2026-W18-1"}, "bad_time"),
    "a time before all times": ({"labels": LABELS, "startsAt": "0001-01-01T00:00:00+14:00"}, "bad_time"),
    "a time after all times": ({"labels": LABELS, "endsAt": "9999-12-31T23:59:59Z"}, "bad_time"),
    "an end before the start": (
        {"labels": LABELS, "startsAt": "2026-05-04T12:00:00Z", "endsAt": "2026-05-04T11:00:00Z"}, "bad_time",
    ),
    "more text than an alert has": ({"labels": LABELS, "annotations": {"a": "x" * MAX_ALERT_BYTES}}, "alert_too_large"),
    "not an object": ("Down", "not_an_object"),
    "null": (None, "not_an_object"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_alert_is_refused_with_a_reason_and_its_neighbours_are_kept(what: str) -> None:
    bad, reason = REFUSED[what]
    batch = push({"labels": {"alertname": "First"}}, bad, {"labels": {"alertname": "Last"}})
    assert [a.name for a in batch.alerts] == ["First", "Last"]
    assert [(r.index, r.reason) for r in batch.rejected] == [(1, reason)]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[NaN]", b"\xff\xfe[]", b"[" * 100_000, b'["' + b"9" * 10, b"[1" + b"0" * 5000 + b"]]", b'{"a":1}{}'],
)
def test_malformed_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_push(body, DOOR, NOW)
    assert refused.value.reason == "malformed_json"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ([], "not_a_notification"),
        ({}, "not_a_notification"),
        ({"version": "4", "alerts": {}}, "not_a_notification"),
        ({"version": "3", "alerts": []}, "unsupported_version"),
        ({"alerts": []}, "unsupported_version"),
        ({"version": 4, "alerts": []}, "unsupported_version"),
    ],
)
def test_what_is_not_a_notification_is_refused(payload: Any, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_webhook(json.dumps(payload).encode(), DOOR, NOW)
    assert refused.value.reason == reason
    with pytest.raises(InvalidInput) as refused:
        decode_push(b"{}", DOOR, NOW)
    assert refused.value.reason == "not_a_list"


@pytest.mark.parametrize(
    ("status", "stated", "ends", "timeout"),
    [
        ("firing", "0001-01-01T00:00:00Z", 300, True),
        ("firing", "2026-05-04T11:00:00Z", 300, True),
        ("firing", "2026-05-04T12:01:00Z", 60, False),
        ("resolved", "2026-05-04T11:59:50Z", -10, False),
        ("resolved", "2026-05-04T12:00:09Z", 0, False),
        ("resolved", "0001-01-01T00:00:00Z", 0, False),
    ],
)
def test_the_status_of_a_webhook_decides_the_end(status: str, stated: str, ends: float, timeout: bool) -> None:
    item = {"labels": LABELS, "status": status, "startsAt": "2026-05-04T11:58:00Z", "endsAt": stated}
    (got,) = webhook(item).alerts
    assert (got.ends_at, got.timeout) == (at(ends), timeout)


def test_a_resolved_alert_of_a_sender_whose_clock_is_ahead_is_kept() -> None:
    item = {
        "labels": LABELS,
        "status": "resolved",
        "startsAt": "2026-05-04T12:00:05Z",
        "endsAt": "2026-05-04T12:00:09Z",
    }
    (got,) = webhook(item).alerts
    assert got.starts_at == got.ends_at == NOW


def test_a_webhook_alert_without_a_known_status_is_refused() -> None:
    batch = webhook({"labels": LABELS, "status": "pending"}, {"labels": LABELS})
    assert [r.reason for r in batch.rejected] == ["bad_field", "bad_field"]


def event(**changes: Any) -> CloudEvent:
    message = to_message(alert(service="cart"), "default", NOW, CONVENTIONS)
    for name, value in changes.items():
        message.ClearField(name) if value is None else setattr(message, name, value)  # type: ignore[arg-type]
    data = alert_events_pb2.AlertReceived(alert=message)
    return CloudEvent("id", "/test", NOW, "", "default", data)


def test_an_alert_survives_the_way_through_an_event() -> None:
    assert from_event(event(), NAMING) == alert(service="cart")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": None}, "no_labels"),
        ({"starts_at": None}, "bad_time"),
        ({"ends_at": None}, "bad_time"),
        ({"tenant_id": "other"}, "tenant_mismatch"),
        ({"generator_url": "x" * (MAX_ALERT_BYTES + 1)}, "alert_too_large"),
        ({"generator_url": "\0"}, "bad_text"),
    ],
)
def test_an_event_that_can_never_be_an_alert_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        from_event(event(**changes), NAMING)
    assert refused.value.reason == reason


def test_the_start_of_an_event_is_corrected_too() -> None:
    future = event()
    future.data.alert.starts_at.FromDatetime(at(3600))  # type: ignore[attr-defined]
    future.data.alert.ends_at.FromDatetime(at(7200))  # type: ignore[attr-defined]
    assert from_event(future, NAMING).starts_at == NOW


def test_an_event_with_an_impossible_time_is_refused() -> None:
    broken = event()
    broken.data.alert.starts_at.seconds = 10**15  # type: ignore[attr-defined]
    with pytest.raises(InvalidInput) as refused:
        from_event(broken, NAMING)
    assert refused.value.reason == "bad_time"


def test_a_notification_says_what_fires_since_when_and_why() -> None:
    group = Group('{}:{service="cart"}', {"service": "cart"})
    outcome = flush([alert("A", ends=-1, service="cart"), alert("B", service="cart")], None, NOW, Route())
    message = notified(group, outcome, "default", "incidents", NOW, CONVENTIONS)
    assert [(a.name, a.status) for a in message.alerts] == [("B", 1), ("A", 2)]
    assert (message.status, message.reason) == (1, alert_events_pb2.FLUSH_REASON_FIRST_NOTIFICATION)
    assert message.flushed_at.ToDatetime(tzinfo=UTC) == NOW
    assert (message.group_key, dict(message.group_labels), message.truncated_alerts) == (group.key, group.labels, 0)


def test_a_notification_too_large_for_one_message_counts_what_it_leaves_out() -> None:
    many = [alert(f"A{n}", text="x" * 60_000) for n in range(100)]
    message = notified(Group("{}:{}", {}), flush(many, None, NOW, Route()), "default", "incidents", NOW, CONVENTIONS)
    assert message.ByteSize() <= MAX_NOTIFICATION_BYTES + 1024
    assert len(message.alerts) + message.truncated_alerts == 100
    assert message.truncated_alerts > 0


def test_times_keep_their_microseconds() -> None:
    precise = datetime(2026, 5, 4, 12, 0, 0, 123_457, tzinfo=UTC)
    sent = {"labels": LABELS, "startsAt": precise.isoformat()}
    (got,) = push(sent).alerts
    assert to_message(got, "default", NOW, CONVENTIONS).starts_at.ToDatetime(tzinfo=UTC) == precise
