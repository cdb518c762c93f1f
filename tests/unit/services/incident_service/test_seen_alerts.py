"""The alert's own words: kept with the incident, bounded, and never a link that is not one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from incidentscope.alert.v1 import alert_pb2

from services.incident_service.adapters import encode
from services.incident_service.adapters.subscriber import _alert
from services.incident_service.domain.alert_group import (
    DASHBOARD,
    RUNBOOK,
    Alert,
    AlertGroup,
    Flush,
    web_address,
)
from services.incident_service.domain.alerts import SEEN_ALERTS, apply_group, seen
from services.incident_service.domain.model import Incident, Severity
from services.incident_service.domain.records import AlertState

NOW = datetime(2026, 3, 1, 7, 0, tzinfo=UTC)
ONE = Alert(
    "fp", "HighErrorRate", "cart", Severity.MAJOR, True, NOW - timedelta(minutes=5), url="http://p/graph",
    labels={"alertname": "HighErrorRate"}, annotations={"runbook_url": "https://wiki/errors", "note": "<b>"},
)  # fmt: skip


def group(*alerts: Alert, key: str = "{}:{}") -> AlertGroup:
    return AlertGroup("t", key, {}, Flush.FIRST_NOTIFICATION, alerts)


def incident(*alerts: Alert) -> Incident:
    found = apply_group(None, group(*alerts), "i1", NOW).incident
    assert found is not None
    return found


def test_an_alert_is_kept_with_its_labels_annotations_and_source() -> None:
    (kept,) = seen(incident(ONE), group(ONE), NOW)
    assert (kept.name, kept.alert_name, kept.service, kept.state) == ("fp", "HighErrorRate", "cart", AlertState.FIRING)
    assert (kept.labels, kept.annotations, kept.generator_url) == (ONE.labels, ONE.annotations, ONE.url)
    told = encode.alert_message(kept)
    assert (told.runbook_url, told.dashboard_url) == ("https://wiki/errors", "")
    assert dict(told.annotations) == dict(ONE.annotations)


def test_what_ended_is_kept_with_its_end_and_after_what_goes_on() -> None:
    ended = replace(ONE, fingerprint="b", firing=False, ends_at=NOW)
    silent = replace(ONE, fingerprint="c", firing=False, no_data_since=NOW)
    kept = seen(incident(ONE), group(ended, silent, ONE), NOW)
    assert [(k.name, k.state, k.ended_at) for k in kept] == [
        ("fp", AlertState.FIRING, None), ("c", AlertState.NO_DATA, None), ("b", AlertState.RESOLVED, NOW),
    ]  # fmt: skip


def test_of_a_storm_as_many_are_kept_as_a_person_could_read() -> None:
    storm = [replace(ONE, fingerprint=str(n)) for n in range(SEEN_ALERTS + 50)]
    assert len(seen(incident(*storm), group(*storm), NOW)) == SEEN_ALERTS


def test_the_alert_of_another_group_is_told_apart() -> None:
    (kept,) = seen(incident(ONE), group(ONE, key="{}:other"), NOW)
    assert kept.name.startswith("merged:")
    assert kept.name.endswith(":fp")


@pytest.mark.parametrize(
    ("annotations", "address"),
    [
        ({}, ""),
        ({"runbook_url": "https://wiki/a"}, "https://wiki/a"),
        ({"runbook": " HTTP://wiki/a "}, "HTTP://wiki/a"),
        ({"runbook_url": "javascript:alert(1)", "runbook": "https://wiki/b"}, "https://wiki/b"),
        ({"runbook_url": "see the wiki"}, ""),
        ({"dashboard_url": "https://g/d"}, ""),
    ],
)
def test_only_a_web_address_is_a_runbook(annotations: dict[str, str], address: str) -> None:
    assert web_address(annotations, RUNBOOK) == address


def test_a_dashboard_is_found_by_either_name() -> None:
    assert web_address({"dashboard": "https://g/d"}, DASHBOARD) == "https://g/d"


def test_the_event_brings_them_and_what_postgres_cannot_keep_is_replaced() -> None:
    message = alert_pb2.Alert(
        labels={"a": "x\x00y"}, annotations={"summary": "z"}, status=alert_pb2.ALERT_STATUS_FIRING
    )
    found = _alert(message, NOW)
    assert (found.labels, found.annotations) == ({"a": "x\ufffdy"}, {"summary": "z"})
