"""The alert router as a process: HTTP in front, Kafka beside, Postgres below."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from confluent_kafka import Producer
from incidentscope.alert.v1 import alert_events_pb2 as flush
from incidentscope.alert.v1 import alert_pb2

from libs.messaging import cloudevents, topics
from libs.storage.migrate import migrate_postgres
from scripts.create_topics import create
from tests.integration.alert_world import ROOT, Router, headers_of, read, running, unique, write_tenants, written

TENANT, OTHER = "alert-test", "alert-test-other"
FIRING, RESOLVED = alert_pb2.ALERT_STATUS_FIRING, alert_pb2.ALERT_STATUS_RESOLVED
FIRST, NEW = flush.FLUSH_REASON_FIRST_NOTIFICATION, flush.FLUSH_REASON_NEW_ALERTS
PART_RESOLVED, ALL_RESOLVED = flush.FLUSH_REASON_NEW_RESOLVED, flush.FLUSH_REASON_ALL_RESOLVED


@pytest.fixture(scope="module")
def router(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    migrate_postgres(stack.postgres_url, ROOT / "infra/postgres")
    create(stack.kafka_bootstrap)
    folder = tmp_path_factory.mktemp("alert_router")
    environment = {
        "KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        "POSTGRES_URL": stack.postgres_service_url,
        "INCIDENTSCOPE_TENANTS_FILE": str(write_tenants(folder, TENANT, OTHER)),
        "ALERT_GROUP_WAIT": "1s",
        "ALERT_GROUP_INTERVAL": "2s",
        "ALERT_RESOLVE_TIMEOUT": "8s",
        "ALERT_START_DELAY": "0",
    }
    with running("alert_router", environment, folder) as process:
        yield Router(process, stack.kafka_bootstrap, TENANT)


def alert(service: str, name: str = "HighErrorRate", **more: Any) -> dict[str, Any]:
    return {"labels": {"alertname": name, "service": service, "severity": "critical"}, **more}


def test_a_pushed_alert_is_told_once_and_told_again_when_it_resolves(router: Router) -> None:
    service = unique("cart")
    firing = alert(service, startsAt=written(0), endsAt=written(60), annotations={"summary": "it burns"})
    router.push(firing)
    router.push(firing)
    (first,) = router.told(service, 1)
    assert (first.tenant_id, first.status, first.reason, first.receiver) == (TENANT, FIRING, FIRST, "incidents")
    assert dict(first.group_labels) == {"service": service}
    (told,) = first.alerts
    assert (told.service, told.severity, told.source) == (service, alert_pb2.SEVERITY_CRITICAL, "prometheus")
    assert dict(told.annotations) == {"summary": "it burns"}
    router.push({**firing, "endsAt": written(0)})
    _, last = router.told(service, 2)
    assert (last.status, last.reason, [a.status for a in last.alerts]) == (RESOLVED, ALL_RESOLVED, [RESOLVED])


def test_alerts_of_one_service_are_told_together_and_changes_are_told_with_their_reason(router: Router) -> None:
    service = unique("checkout")
    a, b, c = (alert(service, name, startsAt=written(0), endsAt=written(60)) for name in ("A", "B", "C"))
    router.push(a, b)
    assert [sorted(n.name for n in told.alerts) for told in router.told(service, 1)] == [["A", "B"]]
    router.push(c)
    assert router.told(service, 2)[1].reason == NEW
    router.push({**b, "endsAt": written(0)})
    third = router.told(service, 3)[2]
    assert (third.status, third.reason) == (FIRING, PART_RESOLVED)
    assert [(n.name, n.status) for n in third.alerts] == [("A", FIRING), ("C", FIRING), ("B", RESOLVED)]


def test_an_alert_that_is_not_sent_again_resolves_after_the_timeout(router: Router) -> None:
    service = unique("silent")
    router.push(alert(service))
    first, last = router.told(service, 2)
    assert [first.reason, last.reason] == [FIRST, ALL_RESOLVED]
    assert first.alerts[0].ends_at_is_timeout
    assert last.alerts[0].ends_at.seconds - last.alerts[0].starts_at.seconds == pytest.approx(8, abs=1)


def test_an_alert_that_fires_again_after_it_resolved_is_told_as_a_first_notification(router: Router) -> None:
    service = unique("again")
    router.push(alert(service, startsAt=written(-60), endsAt=written(60)))
    router.told(service, 1)
    router.push(alert(service, startsAt=written(-60), endsAt=written(-1)))
    router.told(service, 2)
    router.push(alert(service, startsAt=written(0), endsAt=written(60)))
    assert [n.reason for n in router.told(service, 3)] == [FIRST, ALL_RESOLVED, FIRST]


def test_alertmanagers_webhook_is_another_way_in(router: Router) -> None:
    service = unique("webhook")
    item = {
        "status": "firing", "labels": {"alertname": "Down", "job": f"shop/{service}"}, "annotations": {},
        "startsAt": written(0), "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus/graph",
    }  # fmt: skip
    payload = {"version": "4", "status": "firing", "receiver": "us", "alerts": [item]}
    assert router.post("/webhooks/alertmanager", payload).status_code == 200
    (first,) = router.told(service, 1)
    assert (first.alerts[0].source, first.alerts[0].generator_url) == ("alertmanager", "http://prometheus/graph")
    assert first.alerts[0].ends_at.seconds - first.flushed_at.seconds > 4 * 3600
    item |= {"status": "resolved", "endsAt": written(0)}
    assert router.post("/webhooks/alertmanager", payload).status_code == 200
    assert router.told(service, 2)[1].reason == ALL_RESOLVED


def test_what_an_exporter_measures_goes_to_the_service_it_is_about(router: Router) -> None:
    pods, workload, plain = unique("pods"), unique("workload"), unique("plain")
    scrape = {"service": "kps-kube-state-metrics", "job": "kube-state-metrics", "namespace": "shop"}
    router.push(
        {"labels": {"alertname": "KubePodCrashLooping", "pod": f"{pods}-6d5c7f9b8-x2x7q", **scrape}},
        {"labels": {"alertname": "KubeDeploymentReplicasMismatch", "deployment": workload, **scrape}},
        {"labels": {"alertname": "HighErrors", "service_name": plain, "service": "otel-collector"}},
    )
    told = [n for n in router.told_of((pods, workload, plain), 3) if n.reason == FIRST]
    assert sorted(a.service for n in told for a in n.alerts) == sorted((pods, workload, plain))


def test_alerts_that_name_no_service_are_told_each_by_itself(router: Router) -> None:
    mark = unique("unnamed")
    router.push(*({"labels": {"alertname": f"A{n}", "mark": mark, "job": "node-exporter"}} for n in range(3)))
    keys = {f'{{}}:{{alertname="A{n}", job="node-exporter", mark="{mark}"}}'.encode() for n in range(3)}
    found = read(router.bootstrap, "alerts.notifications", lambda m: m.key() in keys, 3)
    assert {m.key() for m in found} == keys


def test_a_heartbeat_is_told_when_it_stops_and_severity_words_are_understood(router: Router) -> None:
    mark, service = unique("watch"), unique("words")
    beat = {"labels": {"alertname": "Watchdog", "severity": "none", "prometheus": mark}}
    key = f'{{}}:{{alertname="Watchdog", prometheus="{mark}"}}'.encode()
    router.push(beat, {"labels": {"alertname": "Slow", "service": service, "severity": "P1"}})
    (first, *_) = router.told(service, 1)
    assert first.alerts[0].severity == alert_pb2.SEVERITY_CRITICAL
    (stopped,) = read(router.bootstrap, "alerts.notifications", lambda m: m.key() == key, 1)
    (told,) = cloudevents.decode(headers_of(stopped), stopped.value()).data.alerts  # type: ignore[attr-defined]
    assert (told.name, told.severity) == ("Watchdog heartbeat stopped", alert_pb2.SEVERITY_CRITICAL)
    router.push({**beat, "endsAt": written(60)})
    _, again = read(router.bootstrap, "alerts.notifications", lambda m: m.key() == key, 2)
    assert cloudevents.decode(headers_of(again), again.value()).data.reason == ALL_RESOLVED  # type: ignore[attr-defined]


def test_an_alert_that_starts_in_the_future_starts_now(router: Router) -> None:
    service = unique("future")
    router.push(alert(service, "Stated", startsAt=written(600)), alert(service, "Ended", endsAt=written(600)))
    (first, *_) = router.told(service, 1)
    assert {a.name: "start_corrected" in a.annotations for a in first.alerts} == {"Stated": True, "Ended": False}
    assert all(a.starts_at.seconds <= first.flushed_at.seconds for a in first.alerts)


def test_the_same_alert_of_two_tenants_is_two_alerts(router: Router) -> None:
    service = unique("shared")
    router.push(alert(service))
    Router(router.process, router.bootstrap, OTHER).push(alert(service))
    assert {n.tenant_id for n in router.told(service, 2) if n.reason == FIRST} == {TENANT, OTHER}


def test_a_group_key_longer_than_an_index_allows_is_grouped_like_any_other(router: Router) -> None:
    service = unique("long") + "x" * 20_000
    router.push(alert(service))
    assert [n.reason for n in router.told(service, 1)][:1] == [FIRST]


def test_a_body_of_ten_mebibytes_is_refused_and_the_router_goes_on(router: Router) -> None:
    answer = router.post("/api/v2/alerts", b"[" + b" " * 10 * 1024 * 1024 + b"]")
    assert (answer.status_code, answer.json()["reason"]) == (413, "body_too_large")
    assert router.post("/api/v2/alerts", []).status_code == 200


def test_malformed_requests_over_the_wire_get_a_status_and_a_reason(router: Router) -> None:
    assert router.post("/api/v2/alerts", b"[{").json().startswith("malformed_json: ")
    assert router.post("/webhooks/alertmanager", b"[{").json()["reason"] == "malformed_json"
    assert router.post("/api/v2/alerts", [], **{"content-type": "text/plain"}).status_code == 415
    assert router.post("/api/v2/alerts", [], **{"x-api-key": "nobody's"}).json()["reason"] == "unknown_api_key"


def received(tenant: str, **changes: Any) -> cloudevents.CloudEvent:
    message = alert_pb2.Alert(labels={"alertname": "A", "service": "s"}, tenant_id=tenant, **changes)
    now = datetime.now(UTC)
    message.starts_at.FromDatetime(now)
    message.ends_at.FromDatetime(now + timedelta(seconds=60))
    data = flush.AlertReceived(alert=message)
    return cloudevents.CloudEvent(uuid.uuid4().hex, "/test", now, "", tenant, data)


def test_events_that_can_never_be_read_become_dead_letters_and_the_next_is_handled(router: Router) -> None:
    marker, service = uuid.uuid4().hex, unique("after-poison")
    good = received(TENANT)
    good.data.alert.labels["service"] = service  # type: ignore[attr-defined]
    late = received(TENANT)
    late.data.alert.ends_at.FromDatetime(datetime(2001, 1, 1, tzinfo=UTC))  # type: ignore[attr-defined]
    records = [cloudevents.record(topics.ALERTS_EVENTS, marker, e) for e in (received("nobody"), late, good)]
    producer = Producer({"bootstrap.servers": router.bootstrap})
    producer.produce(topics.ALERTS_EVENTS.name, b"\xff\xfe not protobuf", marker, partition=0)
    headers = list(records[0].headers)
    producer.produce(topics.ALERTS_EVENTS.name, b"\xff" * 9, marker, partition=0, headers=headers)
    for record in records:
        producer.produce(record.topic, record.value, record.key, partition=0, headers=list(record.headers))
    assert producer.flush(10) == 0
    letters = read(router.bootstrap, "alerts.events.dlq", lambda m: m.key() == marker.encode(), 4)
    reasons = sorted(dict(m.headers())["dlq_reason"].decode() for m in letters)
    assert reasons == ["bad_data", "bad_time", "not_cloudevent", "unknown_tenant"]
    assert letters[0].value() == b"\xff\xfe not protobuf"
    assert [n.reason for n in router.told(service, 1)] == [FIRST]


def test_an_accepted_alert_is_told_though_the_router_is_killed_at_once(router: Router) -> None:
    service = unique("killed")
    router.push(alert(service, startsAt=written(0), endsAt=written(300)))
    router.process.kill()
    router.process.start()
    assert [n.reason for n in router.told(service, 1)] == [FIRST]


def test_what_is_told_over_many_kills_is_told_once_for_each_change(router: Router) -> None:
    services = [unique(f"storm{n}") for n in range(12)]
    stop = threading.Event()

    def push_all() -> None:
        while not stop.is_set():
            for service in services:
                try:
                    router.post("/api/v2/alerts", [alert(service, startsAt=written(-5), endsAt=written(300))])
                except httpx.TransportError:  # killed just now: senders try again
                    time.sleep(0.2)
            time.sleep(0.3)

    sender = threading.Thread(target=push_all)
    sender.start()
    for pause in (0.4, 1.2):
        time.sleep(pause)
        router.process.kill()
        router.process.start()
    time.sleep(1)
    stop.set()
    sender.join()
    told = router.told_of(services, len(services))
    assert sorted(n.group_labels["service"] for n in told) == sorted(services)
    assert {n.reason for n in told} == {FIRST}


def test_a_role_that_is_not_a_superuser_sees_only_its_tenant(router: Router, stack: Any) -> None:
    services = {tenant: unique("rls") for tenant in (TENANT, OTHER)}
    for tenant, service in services.items():
        Router(router.process, router.bootstrap, tenant).push(alert(service))
        router.told(service, 1)
    role = f"alert_reader_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(stack.postgres_url) as conn:
        conn.execute(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA alert TO {role}")
        conn.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA alert TO {role}; SET LOCAL ROLE {role}")
        for tenant in services:
            conn.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant,))
            for table in ("alert", "alert_group", "notification_log"):
                rows = conn.execute(f"SELECT DISTINCT tenant_id FROM alert.{table}").fetchall()
                assert rows == [(tenant,)], table
        conn.execute("SELECT set_config('app.tenant_id', '', true)")
        assert conn.execute("SELECT count(*) FROM alert.alert").fetchone() == (0,)
        conn.rollback()


def test_a_router_asked_to_stop_ends_well_and_starts_again(router: Router) -> None:
    assert router.process.stop() == 0
    router.process.start()
