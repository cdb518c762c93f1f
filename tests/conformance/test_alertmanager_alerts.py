"""Identity, merge, order and deduplication of alerts, by Alertmanager's own test vectors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.kernel.labels import fingerprint
from services.alert_router.decode.webhook import decode_webhook
from services.alert_router.domain.alert import Alert, merge
from services.alert_router.domain.arrival import Door
from services.alert_router.domain.conventions import Conventions
from services.alert_router.domain.dedup import Entry, decide
from services.alert_router.domain.labels import order
from services.alert_router.domain.naming import Naming
from tests.conformance.vectors import cases

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
DOOR = Door("alertmanager", timedelta(hours=5), Conventions(Naming(("service", "job"))))


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@pytest.mark.parametrize("case", cases("alertmanager_fingerprints.json"))
def test_a_label_set_has_alertmanagers_fingerprint(case: dict[str, Any]) -> None:
    assert fingerprint(case["labels"]) == case["fingerprint"]


@pytest.mark.parametrize("case", cases("provider_payloads.json", provider="alertmanager"))
def test_a_real_webhook_is_read_and_its_fingerprints_are_found_again(case: dict[str, Any]) -> None:
    batch = decode_webhook(json.dumps(case["payload"]).encode(), DOOR, NOW)
    assert batch.rejected == []
    for alert, sent in zip(batch.alerts, case["payload"]["alerts"], strict=True):
        assert alert.labels == sent["labels"]
        assert alert.annotations == sent["annotations"]
        assert not alert.resolved_at(NOW)
        assert sent.get("fingerprint", alert.fingerprint) == alert.fingerprint


def version(times: dict[str, Any]) -> Alert:
    return Alert(
        labels={"alertname": "A"},
        annotations={},
        starts_at=NOW + seconds(times["starts_at_rel_s"]),
        ends_at=NOW + seconds(times["ends_at_rel_s"]),
        updated_at=NOW + seconds(times["updated_at_rel_s"]),
        timeout=times["timeout"],
    )


@pytest.mark.parametrize("case", cases("alertmanager_alert_merge.json", kind="merge"))
def test_two_versions_of_an_alert_merge_as_in_alertmanager_in_either_order(case: dict[str, Any]) -> None:
    a, b, expected = version(case["a"]), version(case["b"]), version(case["expect"])
    assert merge(a, b, NOW) == expected
    assert merge(b, a, NOW) == expected


@pytest.mark.parametrize("case", cases("alertmanager_alert_merge.json", kind="sort"))
def test_alerts_of_a_notification_are_in_alertmanagers_order(case: dict[str, Any]) -> None:
    assert sorted(case["labels"], key=order) == case["expect"]


@pytest.mark.parametrize("case", cases("alertmanager_dedup.json"))
def test_a_group_is_told_exactly_when_alertmanager_would_tell_it(case: dict[str, Any]) -> None:
    decision = decide(
        entry(case["entry"]),
        [str(n) for n in case["firing"]],
        [str(n) for n in case["resolved"]],
        NOW,
        seconds(case["repeat_interval_s"]),
        case["send_resolved"],
    )
    assert decision.notify is case["expect_notify"], decision


def entry(written: dict[str, Any] | None) -> Entry | None:
    if written is None:
        return None
    at = LONG_AGO if written["timestamp_epoch_zero"] else NOW + seconds(written["timestamp_rel_s"])
    return Entry(frozenset(map(str, written["firing"])), frozenset(map(str, written["resolved"])), at)
