"""An incident of which nothing is heard any more stays open and says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from incidentscope.alert.v1 import alert_events_pb2, alert_pb2

from services.incident_service.adapters.encode import incident_message
from services.incident_service.adapters.postgres_rows import incident, incident_values
from services.incident_service.adapters.subscriber import _alert
from services.incident_service.domain import postmortems
from services.incident_service.domain.alert_group import Alert, AlertGroup, Flush
from services.incident_service.domain.alerts import apply_group
from services.incident_service.domain.lifecycle import Move, merge, resolve
from services.incident_service.domain.model import Decision, Incident, Reason, Severity, Status
from services.incident_service.domain.postmortems import Material
from services.incident_service.domain.records import Postmortem

NOW = datetime(2026, 3, 1, 7, 0, tzinfo=UTC)
SINCE = datetime(2026, 3, 1, 6, 55, 12, tzinfo=UTC)
FIRES = Alert("fp", "HighErrorRate", "checkout", Severity.CRITICAL, True, NOW - timedelta(minutes=20), "45 % failed")
SILENT = replace(FIRES, firing=False, no_data_since=SINCE)
ENDED = replace(FIRES, firing=False)
OTHER = replace(FIRES, fingerprint="other", name="HighLatency")


def group(*alerts: Alert, flush: Flush = Flush.DATA_CHANGED, key: str = '{}:{service="checkout"}') -> AlertGroup:
    return AlertGroup("t", key, {"service": "checkout"}, flush, alerts)


def opened(*alerts: Alert, key: str = '{}:{service="checkout"}', incident_id: str = "i1") -> Incident:
    decision = apply_group(None, group(*alerts, flush=Flush.FIRST_NOTIFICATION, key=key), incident_id, NOW)
    assert decision.incident is not None
    return decision.incident


def after(current: Incident, *alerts: Alert, flush: Flush = Flush.DATA_CHANGED) -> tuple[Incident, Decision]:
    decision = apply_group(current, group(*alerts, flush=flush), "i2", NOW)
    assert decision.incident is not None
    return decision.incident, decision


def silenced() -> Incident:
    return after(opened(FIRES), SILENT)[0]


def test_silence_ends_no_incident_and_is_told_on_the_timeline_with_its_time() -> None:
    found, decision = after(opened(FIRES), SILENT, flush=Flush.ALL_RESOLVED)
    assert (found.status, found.no_data_since) == (Status.OPEN, SINCE)
    assert [e.text for e in decision.entries] == [
        "No data since 06:55 UTC: checkout: High error rate (45 % failed). Whether it goes on is not known: "
        "the incident stays open until there is data again or somebody resolves it"
    ]


def test_the_same_silence_is_told_once() -> None:
    _, decision = after(silenced(), SILENT, flush=Flush.REPEAT_INTERVAL)
    assert (decision.reason, decision.change) == (Reason.NOTHING_NEW, None)


def test_data_that_comes_back_is_told_and_the_incident_goes_on() -> None:
    found, decision = after(silenced(), FIRES, flush=Flush.FIRST_NOTIFICATION)
    assert (found.status, found.no_data_since, found.silent) == (Status.OPEN, None, {})
    assert [e.text for e in decision.entries] == ["Data again, still firing: checkout: High error rate (45 % failed)"]


def test_an_end_that_was_told_resolves_what_was_silent() -> None:
    found, decision = after(silenced(), ENDED, flush=Flush.ALL_RESOLVED)
    assert (found.status, decision.reason, found.silent) == (Status.RESOLVED, Reason.ALERTS_RESOLVED, {})


def test_the_end_of_one_alert_does_not_resolve_while_another_is_silent() -> None:
    current = opened(FIRES, OTHER)
    found, _ = after(current, SILENT, replace(OTHER, firing=False), flush=Flush.ALL_RESOLVED)
    assert (found.status, found.no_data_since) == (Status.OPEN, SINCE)


def test_an_incident_of_which_one_alert_is_still_heard_has_data() -> None:
    found, decision = after(opened(FIRES, OTHER), SILENT, OTHER, flush=Flush.NEW_RESOLVED)
    assert (found.no_data_since, found.silent) == (None, {"fp": SINCE})
    assert decision.entries[0].text.startswith("No data since 06:55 UTC")


def test_silence_opens_nothing_and_reopens_nothing_a_person_resolved() -> None:
    for alerts in ((SILENT,), (OTHER, SILENT)):
        decision = apply_group(None, group(*alerts), "i2", NOW)
        assert (decision.reason, decision.incident) == (Reason.NOTHING_OPEN, None)


def test_an_alert_that_fires_again_after_a_person_resolved_in_the_silence_opens_the_next() -> None:
    assert apply_group(None, group(FIRES), "i2", NOW).reason is Reason.OPENED_BY_ALERTS


def test_a_person_may_resolve_it_and_the_timeline_says_what_was_not_measured() -> None:
    decision = resolve(silenced(), Move("Ana", "service is gone"), NOW)
    assert decision.incident is not None
    assert decision.incident.status is Status.RESOLVED
    assert decision.entries[0].text == (
        "Resolved by Ana: service is gone (no data since 06:55 UTC: that it has ended was not measured)"
    )


def test_the_postmortem_claims_no_recovery_that_nobody_measured() -> None:
    going_on = silenced()
    over = resolve(going_on, Move("Ana"), NOW).incident
    assert over is not None
    assert impact(going_on).endswith("so far; no data since 2026-03-01 06:55 UTC, so whether it goes on is not known.")
    assert impact(over).endswith(
        "lasted 20 min; no data since 2026-03-01 06:55 UTC, so when it really ended was not measured."
    )
    assert "no data" not in impact(after(going_on, ENDED, flush=Flush.ALL_RESOLVED)[0])


def impact(of: Incident) -> str:
    (found,) = [
        r for r in postmortems.draft(of, None, Material((), ()), "Ana", NOW).records if isinstance(r, Postmortem)
    ]
    return found.impact


def test_silence_goes_along_when_incidents_are_merged() -> None:
    target = opened(OTHER, key="{}:{}", incident_id="i9")
    closed, grown = merge(silenced(), target, Move("Ana"), NOW)
    assert closed.refused is False
    assert grown is not None
    assert grown.incident is not None
    assert list(grown.incident.silent.values()) == [SINCE]
    assert grown.incident.no_data_since is None


def test_it_is_kept_and_told_as_the_contract_says() -> None:
    found = silenced()
    values = incident_values(found)
    row = {**values, "tenant_id": found.tenant, "alerts": values["alerts"].obj, "silent": values["silent"].obj}
    assert incident({k: v for k, v in row.items() if k != "tenant"}) == found
    assert incident_message(found).no_data_since.ToDatetime(tzinfo=UTC) == SINCE
    assert not incident_message(opened(FIRES)).HasField("no_data_since")


def test_the_status_of_an_alert_decides_whether_there_is_data() -> None:
    message = alert_pb2.Alert(fingerprint="fp", status=alert_pb2.ALERT_STATUS_NO_DATA)
    message.no_data_since.FromDatetime(SINCE)
    assert _alert(message, NOW).no_data_since == SINCE
    message.status = alert_pb2.ALERT_STATUS_FIRING
    assert _alert(message, NOW).no_data_since is None
    assert alert_events_pb2.FLUSH_REASON_DATA_CHANGED == 6
