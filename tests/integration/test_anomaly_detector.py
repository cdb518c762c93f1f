"""The anomaly detector as a process, on spans in a real ClickHouse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from incidentscope.alert.v1 import alert_pb2
from incidentscope.anomaly.v1 import anomaly_events_pb2, anomaly_pb2

from libs.messaging.cloudevents import CloudEvent, decode
from libs.storage.clickhouse import ClickHouse
from libs.storage.migrate import migrate_clickhouse
from scripts.create_topics import create
from services.anomaly_detector.adapters.clickhouse import ClickHouseRollups
from services.anomaly_detector.adapters.rules_file import load_rules
from services.anomaly_detector.domain.baseline import Traffic
from services.anomaly_detector.ports import Target
from tests.integration.alert_world import ROOT, ServiceProcess, headers_of, read, running, unique, write_tenants

FIRING, RESOLVED = alert_pb2.ALERT_STATUS_FIRING, alert_pb2.ALERT_STATUS_RESOLVED
QUICK = {
    "every_seconds = 5": "every_seconds = 1", "hold_down_seconds = 60": "hold_down_seconds = 1",
    "settle_seconds = 30": "settle_seconds = 0",
}  # fmt: skip
SPANS = """
    INSERT INTO spans_raw (TenantId, Timestamp, TraceId, SpanId, SpanKind, ServiceName, Duration, StatusCode)
    SELECT %(tenant)s, toDateTime64(%(at)s, 9, 'UTC') + toIntervalMillisecond(number * %(step_ms)s), 't',
        toString(number), %(kind)s, %(service)s, %(ms)s * 1000000, if(number %% %(one_in)s = 0, 'Error', 'Ok')
    FROM numbers(%(count)s)
"""


class Spans:
    """Writes spans of one tenant, as the trace consumer would."""

    def __init__(self, url: str, tenant: str) -> None:
        self.clickhouse = ClickHouse(url)
        self.tenant = tenant
        self.names = {name: unique(name) for name in ("cart", "calm", "orders", "frontend")}

    def write(
        self,
        service: str,
        at: datetime,
        count: int,
        ms: int = 50,
        one_in: int = 1_000_000,
        kind: str = "Server",
        step_ms: int = 0,
    ) -> None:
        """Write `count` spans from an instant on; one in so many is an error, the first among them."""
        self.clickhouse.execute(SPANS, {
            "tenant": self.tenant, "at": f"{at:%Y-%m-%d %H:%M:%S.%f}", "step_ms": step_ms, "kind": kind,
            "service": service, "ms": ms, "one_in": one_in, "count": count,
        })  # fmt: skip

    def history(self, service: str) -> None:
        """Write an ordinary hour, 25 requests a minute: too few for their end to be a drop while the tests run."""
        self.write(service, datetime.now(UTC) - timedelta(minutes=64), 25 * 64, one_in=200, step_ms=2400)


@pytest.fixture(scope="module")
def spans(stack: Any) -> Iterator[Spans]:
    migrate_clickhouse(stack.clickhouse_url, ROOT / "infra/clickhouse")
    create(stack.kafka_bootstrap)
    made = Spans(stack.clickhouse_url, unique("anomaly-test"))
    for name in made.names.values():
        made.history(name)
    yield made
    made.clickhouse.close()


@pytest.fixture(scope="module")
def detector(stack: Any, spans: Spans, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("anomaly_detector")
    environment = environment_of(stack, spans.tenant, folder)
    with running("anomaly_detector", environment, folder) as process:
        yield process


def environment_of(stack: Any, tenant: str, folder: Path) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        "CLICKHOUSE_URL": stack.clickhouse_url,
        "INCIDENTSCOPE_TENANTS_FILE": str(write_tenants(folder, tenant)),
        "ANOMALY_RULES_FILE": str(quick_rules(folder)),
    }


def quick_rules(folder: Path) -> Path:
    text = resources.files("services.anomaly_detector").joinpath("rules.toml").read_text()
    for written, quicker in QUICK.items():
        text = text.replace(written, quicker)
    file = folder / "rules.toml"
    file.write_text(text)
    assert load_rules(file).every == timedelta(seconds=1)
    return file


def alerts_of(bootstrap: str, service: str, count: int, timeout_s: float = 30) -> list[alert_pb2.Alert]:
    def wanted(message: Any) -> bool:
        return dict(message.headers() or ()).get("ce_source") == b"/services/anomaly_detector"

    deadline = time.monotonic() + timeout_s
    while True:
        events = [decode(headers_of(m), m.value()) for m in read(bootstrap, "alerts.events", wanted, 0, 5, 0.5)]
        found = [e.data.alert for e in events if e.data.alert.service == service]  # type: ignore[attr-defined]
        if len(found) >= count or time.monotonic() > deadline:
            return found


def anomalies_of(bootstrap: str, service: str, count: int, timeout_s: float = 30) -> list[CloudEvent]:
    deadline = time.monotonic() + timeout_s
    while True:
        events = [
            decode(headers_of(m), m.value()) for m in read(bootstrap, "anomalies.events", lambda _: True, 0, 5, 0.5)
        ]
        found = [e for e in events if e.subject == service]
        if len(found) >= count or time.monotonic() > deadline:
            return found


def wait_for_room_in_the_minute() -> None:
    """The test's spans must stay inside the two minutes looked at."""
    time.sleep(max(0, 5 - datetime.now(UTC).second))


@pytest.mark.usefixtures("detector")
def test_an_outage_in_the_rollups_becomes_an_alert_and_its_end_resolves_it(stack: Any, spans: Spans) -> None:
    service, innocent = spans.names["cart"], spans.names["calm"]
    assert alerts_of(stack.kafka_bootstrap, service, 1, timeout_s=4) == []
    wait_for_room_in_the_minute()
    began = datetime.now(UTC)
    spans.write(service, began, 40, one_in=2)
    spans.write(innocent, began, 40)
    (fired,) = alerts_of(stack.kafka_bootstrap, service, 1)
    assert (fired.status, fired.name, fired.severity) == (FIRING, "HighErrorRate", alert_pb2.SEVERITY_CRITICAL)
    assert fired.tenant_id == spans.tenant
    assert fired.labels["source"] == fired.source == "anomaly_detector"
    assert fired.generator_url == f"/services/{service}"
    assert "of requests failed" in fired.annotations["summary"]
    assert fired.annotations["usual"] == "0.5%"
    assert fired.ends_at.seconds - fired.starts_at.seconds >= 180
    spans.write(service, datetime.now(UTC), 2000)
    resolved = alerts_of(stack.kafka_bootstrap, service, 2)[-1]
    assert (resolved.status, resolved.fingerprint) == (RESOLVED, fired.fingerprint)
    assert resolved.starts_at == fired.starts_at
    assert alerts_of(stack.kafka_bootstrap, innocent, 1, timeout_s=1) == []
    start, end = anomalies_of(stack.kafka_bootstrap, service, 2)
    assert isinstance(start.data, anomaly_events_pb2.AnomalyDetected)
    assert isinstance(end.data, anomaly_events_pb2.AnomalyEnded)
    began_as, ended_as = start.data.anomaly, end.data.anomaly
    assert (start.tenant, began_as.kind, began_as.unit) == (spans.tenant, anomaly_pb2.ANOMALY_KIND_ERROR_RATIO, "1")
    assert began_as.usual == pytest.approx(0.005, abs=0.001)
    assert began_as.observed > began_as.limit
    assert end.data.ending == anomaly_events_pb2.ANOMALY_ENDING_RECOVERED
    assert began_as.id == ended_as.id == fired.annotations["anomaly_id"] == resolved.annotations["anomaly_id"]
    assert began_as.alert_fingerprint == fired.fingerprint
    assert not began_as.HasField("ends_at")
    assert ended_as.ends_at == resolved.ends_at


@pytest.mark.usefixtures("detector")
def test_a_service_nobody_asks_any_more_fires_while_others_are_asked(stack: Any, spans: Spans) -> None:
    service = unique("deserted")
    now = datetime.now(UTC)
    spans.write(service, now - timedelta(minutes=64), 60 * 60, step_ms=1000)
    spans.write(spans.names["calm"], now - timedelta(minutes=4), 100, step_ms=3000)
    (fired,) = alerts_of(stack.kafka_bootstrap, service, 1, timeout_s=90)
    (told,) = anomalies_of(stack.kafka_bootstrap, service, 1)
    assert (fired.name, fired.severity) == ("TrafficDrop", alert_pb2.SEVERITY_WARNING)
    assert isinstance(told.data, anomaly_events_pb2.AnomalyDetected)
    found = told.data.anomaly
    assert (found.kind, found.unit) == (anomaly_pb2.ANOMALY_KIND_TRAFFIC_DROP, "/min")
    assert (found.observed, found.usual) == (0, 60)


@pytest.mark.usefixtures("detector")
def test_slow_requests_fire_and_slow_calls_to_others_do_not(stack: Any, spans: Spans) -> None:
    service, caller = spans.names["orders"], spans.names["frontend"]
    wait_for_room_in_the_minute()
    spans.write(service, datetime.now(UTC), 120, ms=900)
    spans.write(caller, datetime.now(UTC), 120, ms=900, one_in=2, kind="Client")
    (fired,) = alerts_of(stack.kafka_bootstrap, service, 1)
    assert (fired.name, fired.severity) == ("HighLatency", alert_pb2.SEVERITY_WARNING)
    assert alerts_of(stack.kafka_bootstrap, caller, 1, timeout_s=1) == []


async def rollups(spans: Spans, *services: str) -> dict[str, tuple[Traffic, int]]:
    adapter = ClickHouseRollups(spans.clickhouse)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    windows = await adapter.since({spans.tenant}, now - timedelta(minutes=10))
    minutes = await adapter.minutes({spans.tenant}, now - timedelta(minutes=10), now)
    return {s: (windows[Target(spans.tenant, s)], len(minutes[Target(spans.tenant, s)])) for s in services}


def test_rollups_are_read_as_counts_and_a_quantile_of_server_spans_only(spans: Spans) -> None:
    service = unique("exact")
    five_minutes_ago = datetime.now(UTC) - timedelta(minutes=5)
    spans.write(service, five_minutes_ago, 100, ms=80, one_in=10)
    spans.write(service, five_minutes_ago, 10, ms=80, kind="Consumer")
    spans.write(service, five_minutes_ago, 500, ms=5000, one_in=1, kind="Client")
    traffic, minutes = asyncio.run(rollups(spans, service))[service]
    assert (traffic.requests, traffic.errors, minutes) == (110, 11, 1)
    assert traffic.p95_ms == pytest.approx(80, rel=0.011)


def test_requests_are_read_by_minute_and_spans_of_any_kind_show_that_telemetry_came(spans: Spans) -> None:
    service, start = unique("counted"), datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    tenant = spans.tenant
    spans.write(service, start, 7)
    spans.write(service, start + timedelta(minutes=1), 3, kind="Internal")
    adapter = ClickHouseRollups(spans.clickhouse)
    found = asyncio.run(adapter.requests({tenant}, start, start + timedelta(minutes=5)))[tenant]
    first = int(start.timestamp()) // 60
    assert found.of(service, range(first, first + 5)) == [7, 0]
    assert asyncio.run(adapter.requests({tenant}, start + timedelta(minutes=3), start + timedelta(minutes=5))) == {}


def test_the_detector_is_ready_and_counts_its_rounds(detector: ServiceProcess) -> None:
    page = httpx.get(f"{detector.url}/metrics", trust_env=False).text
    assert "incidentscope_anomaly_detector_evaluations_total" in page
    assert "incidentscope_anomaly_detector_failed_rounds_total 0.0" in page


@pytest.mark.usefixtures("spans")
def test_an_anomaly_that_is_over_after_a_crash_is_told_to_have_ended(stack: Any, tmp_path: Path) -> None:
    own = Spans(stack.clickhouse_url, unique("crash-test"))
    service = own.names["cart"]
    environment = environment_of(stack, own.tenant, tmp_path)
    own.history(service)
    wait_for_room_in_the_minute()
    process = ServiceProcess("anomaly_detector", environment, tmp_path / "first.log")
    process.start()
    own.write(service, datetime.now(UTC), 40, one_in=2)
    (start,) = anomalies_of(stack.kafka_bootstrap, service, 1)
    process.kill()
    own.write(service, datetime.now(UTC), 2000)
    with running("anomaly_detector", environment, tmp_path):
        _, end = anomalies_of(stack.kafka_bootstrap, service, 2)
    own.clickhouse.close()
    assert isinstance(start.data, anomaly_events_pb2.AnomalyDetected)
    assert isinstance(end.data, anomaly_events_pb2.AnomalyEnded)
    assert start.data.anomaly.id == end.data.anomaly.id


def test_wrong_rules_end_the_start_with_one_sentence(stack: Any, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[evaluation]\nevery_seconds = 0\n")
    environment = {"ANOMALY_RULES_FILE": str(rules), "INCIDENTSCOPE_TENANTS_FILE": str(write_tenants(tmp_path, "a"))}
    process = ServiceProcess("anomaly_detector", environment, tmp_path / "log")
    with pytest.raises(AssertionError, match=r"evaluation\.every_seconds"):
        process.start()
