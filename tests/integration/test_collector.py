"""A real Collector of the release that docker-compose.yml pins, with our configuration and our databases behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.alert_world import KEY, eventually, unique
from tests.integration.clickhouse_gateway.world import Gateway
from tests.integration.collector_world import Collector, running_collector, validate
from tests.integration.ingest_world import IngestWorld, running_ingest

pytestmark = pytest.mark.toolchains
ROOT = Path(__file__).resolve().parents[2]
SHIPPED = str(ROOT / "infra" / "otel-collector" / "config.yaml")
SERVICES = ("otlp_receiver", "log_consumer", "metric_consumer", "trace_consumer")
SIGNALS = ("logs", "metrics", "traces")
ROWS = {"spans_raw": 2, "logs_raw": 1, "metrics_timeseries": 2}  # of sdk_program.py
# Into a ClickHouse as its own exporter does it
CLICKHOUSE = """
extensions: {health_check: {}}
receivers: {otlp: {protocols: {grpc: {}, http: {}}}}
exporters: {clickhouse: {endpoint: "${env:ENDPOINT}", database: otel, create_schema: true}}
service:
  extensions: [health_check]
  pipelines:
    logs: {receivers: [otlp], exporters: [clickhouse]}
    metrics: {receivers: [otlp], exporters: [clickhouse]}
    traces: {receivers: [otlp], exporters: [clickhouse]}
"""


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IngestWorld]:
    with running_ingest(stack, tmp_path_factory.mktemp("ingest"), SERVICES) as running:
        yield running


def _readme_exporter() -> str:
    """Return the README's exporter to the receiver, as it stands there."""
    found = re.search(r"```yaml\n(exporters:\n  otlp:\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_shipped_configuration_is_valid() -> None:
    checked = validate(SHIPPED)
    assert checked.returncode == 0, checked.stderr


def test_a_configuration_of_another_release_is_noticed() -> None:
    checked = validate(SHIPPED, "yaml:exporters::kafka::record_headers: {x-tenant-id: default}")
    assert checked.returncode != 0
    assert "record_headers" in checked.stderr


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_every_signal_reaches_our_tables_through_kafka_and_through_the_receiver(
    world: IngestWorld, tmp_path: Path, protocol: str
) -> None:
    by_kafka, by_otlp = world.new_tenant(), world.new_tenant()
    topics = [f"yaml:exporters::kafka::{signal}::topic: {world.topics[signal]}" for signal in SIGNALS]
    second = tmp_path / "otlp.yaml"
    second.write_text(_readme_exporter().replace("127.0.0.1:4317", f"127.0.0.1:{world.grpc_port}"))
    both = [f"yaml:service::pipelines::{signal}::exporters: [kafka, otlp]" for signal in SIGNALS]
    environment = {
        "KAFKA_BOOTSTRAP": world.bootstrap,
        "INCIDENTSCOPE_TENANT": by_kafka,
        "INCIDENTSCOPE_API_KEY": f"{KEY}-{by_otlp}",
    }
    with running_collector(tmp_path, SHIPPED, str(second), *topics, *both, environment=environment) as collector:
        trace_id = collector.feed(protocol, unique("shop"))
        for tenant in (by_kafka, by_otlp):
            for table, rows in ROWS.items():
                world.wait_for_rows(table, tenant, rows, 20)
    for tenant in (by_kafka, by_otlp):
        spans = world.query("SELECT SpanName, TraceId FROM spans_raw WHERE TenantId = %(t)s ORDER BY 1", t=tenant)
        assert spans == [("GET /cart", trace_id), ("charge", trace_id)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    started = Gateway(tmp_path_factory.mktemp("gateway") / "data").start()
    yield started
    assert started.stop() == 0, started.log()


@pytest.mark.parametrize("protocol", ["native", "http"])
def test_the_collector_s_own_clickhouse_exporter_works_on_the_gateway(
    gateway: Gateway, tmp_path: Path, protocol: str
) -> None:
    configuration = tmp_path / "clickhouse.yaml"
    configuration.write_text(CLICKHOUSE)
    port, scheme = (gateway.native_port, "clickhouse") if protocol == "native" else (gateway.http_port, "http")
    environment = {"ENDPOINT": f"{scheme}://127.0.0.1:{port}?compress=lz4"}
    with running_collector(tmp_path, str(configuration), environment=environment) as collector:
        service = unique("shop")
        trace_id = collector.feed("grpc", service)
        _stored(gateway, collector, service, trace_id)


def _stored(gateway: Gateway, collector: Collector, service: str, trace_id: str) -> None:
    client = gateway.client(database="otel")
    for table, rows in (("otel_traces", 2), ("otel_logs", 1), ("otel_metrics_sum", 1), ("otel_metrics_gauge", 1)):
        sql = f"SELECT count() FROM {table} WHERE ServiceName = %(service)s"
        eventually(partial(client.execute, sql, {"service": service}), [(rows,)].__eq__)
    named = "SELECT SpanName FROM otel_traces WHERE TraceId = %(trace)s ORDER BY 1"
    assert client.execute(named, {"trace": trace_id}) == [("GET /cart",), ("charge",)]
    assert "error" not in collector.log.read_text().lower()
