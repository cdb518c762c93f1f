"""The receiver from outside: what it takes, and what it says about what it does not take."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cramjam
import grpc
import httpx
import pytest
import zstandard
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from libs.runtime.grpc_front import TOLD
from tests.integration.alert_world import KEY, free_port, unique
from tests.integration.ingest_world import (
    FRESH_SECONDS,
    IngestWorld,
    new_process,
    running_ingest,
)
from tests.unit.libs.otlp.requests import logs, value
from tests.unit.libs.runtime.test_grpc_front import BEGIN, request

SERVICES = ("otlp_receiver", "log_consumer", "metric_consumer", "trace_consumer")
PROGRAM = Path(__file__).with_name("sdk_program.py")
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IngestWorld]:
    with running_ingest(stack, tmp_path_factory.mktemp("ingest"), SERVICES) as running:
        yield running


@pytest.fixture
def tenant(world: IngestWorld) -> str:
    return world.new_tenant()


def an_export(text: str = "hello") -> ExportLogsServiceRequest:
    """Return an export of one log record of now."""
    return logs(LogRecord(time_unix_nano=time.time_ns(), body=value(text)))


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_program_with_the_opentelemetry_sdk_is_readable_within_five_seconds(
    world: IngestWorld, tenant: str, protocol: str
) -> None:
    endpoint = f"http://127.0.0.1:{world.grpc_port}" if protocol == "grpc" else world.url("")
    service = unique("shop")
    command = [sys.executable, str(PROGRAM), protocol, endpoint, f"{KEY}-{tenant}", service]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    trace_id = done.stdout.strip()
    for table, rows in (("spans_raw", 2), ("logs_raw", 1), ("metrics_timeseries", 2)):
        world.wait_for_rows(table, tenant, rows)
    seen = world.query(
        "SELECT Timestamp, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, "
        "ResourceAttributes, ScopeName, ScopeVersion, SpanAttributes, Duration, StatusCode, StatusMessage, "
        "Events.Timestamp, Events.Name, Events.Attributes, Links.TraceId FROM otel_traces WHERE TraceId = %(trace)s",
        trace=trace_id,
    )
    by_name = {row[5]: row for row in seen}
    assert set(by_name) == {"GET /cart", "charge"}
    parent, child = by_name["GET /cart"], by_name["charge"]
    assert (parent[6], child[6], child[3], parent[7]) == ("Server", "Client", parent[2], service)
    assert (child[13], child[14], child[11]["peer.service"]) == ("Error", "card refused", "payment")
    assert child[16] == ["exception"]
    log = world.query("SELECT Body, SeverityText, TraceId, ServiceName FROM otel_logs WHERE TenantId = %(t)s", t=tenant)
    assert log == [("card 42 refused", "WARN", trace_id, service)]
    gauge = world.query("SELECT MetricName, Value FROM otel_metrics_gauge WHERE TenantId = %(t)s", t=tenant)
    assert gauge == [("container.cpu.utilization", 0.25)]
    total = world.query("SELECT MetricName, Value, IsMonotonic FROM otel_metrics_sum WHERE TenantId = %(t)s", t=tenant)
    assert total == [("orders", 3.0, True)]


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd", "deflate", "zlib", "snappy", "x-snappy-framed", "lz4"])
def test_http_takes_protobuf_in_every_content_encoding(world: IngestWorld, tenant: str, encoding: str) -> None:
    import zlib

    body = an_export().SerializeToString()
    packed = {
        "": body, "gzip": gzip.compress(body), "zstd": zstandard.compress(body), "deflate": zlib.compress(body),
        "zlib": zlib.compress(body), "snappy": bytes(cramjam.snappy.compress_raw(body)),
        "x-snappy-framed": bytes(cramjam.snappy.compress(body)), "lz4": bytes(cramjam.lz4.compress(body)),
    }[encoding]  # fmt: skip
    answer = world.post("logs", packed, tenant, content_encoding=encoding)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    world.wait_for_rows("logs_raw", tenant, 1)


def test_http_takes_json_and_answers_in_json(world: IngestWorld, tenant: str) -> None:
    record = {"timeUnixNano": str(time.time_ns()), "body": {"stringValue": "as json"}, "traceId": "AB" * 16}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    answer = world.post("logs", body, tenant, "application/json; charset=utf-8")
    assert (answer.status_code, answer.json()) == (200, {})
    world.wait_for_rows("logs_raw", tenant, 1)
    rows = world.query("SELECT Body, TraceId FROM logs_raw WHERE TenantId = %(t)s", t=tenant)
    assert rows == [("as json", "ab" * 16)]


def test_json_too_large_to_be_looked_into_at_once_is_taken_too(world: IngestWorld, tenant: str) -> None:
    records = [{"timeUnixNano": str(time.time_ns()), "body": {"stringValue": f"line {n}"}} for n in range(2000)]
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()
    answer = world.post("logs", gzip.compress(body), tenant, "application/json", content_encoding="gzip")
    assert (answer.status_code, answer.json()) == (200, {})
    world.wait_for_rows("logs_raw", tenant, 2000)


@pytest.mark.parametrize(("content_type", "body"), [("application/x-protobuf", b""), ("application/json", b"{}")])
def test_an_empty_export_is_fine(world: IngestWorld, tenant: str, content_type: str, body: bytes) -> None:
    assert world.post("logs", body, tenant, content_type).status_code == 200
    assert world.call("logs", b"", tenant) == b""


LARGE_WINDOW = b"\x28\xb5\x2f\xfd\x00" + bytes([17 << 3]) + b"\x01\x00\x00"  # zstd, and nothing in it
DENSE_JSON = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + b"{}," * MIB + b"{}]}]}]}"
BAD_REQUESTS = [
    ("truncated protobuf", an_export().SerializeToString()[:-3], {}, 400, "undecodable"),
    ("random bytes", b"\xff\x00\xfe" * 100, {}, 400, "undecodable"),
    ("malformed JSON", b'{"resourceLogs": [', {"content_type": "application/json"}, 400, "malformed_json"),
    ("JSON of another shape", b'{"resourceLogs": 5}', {"content_type": "application/json"}, 400, "resourceLogs"),
    ("wrong content type", b"x", {"content_type": "text/plain"}, 415, "application/x-protobuf or application/json"),
    ("no content type", b"x", {"content_type": ""}, 415, "is not OTLP"),
    ("unknown encoding", b"x", {"content_encoding": "br"}, 415, "br"),
    ("broken gzip", b"x" * 50, {"content_encoding": "gzip"}, 400, "not gzip"),
    ("cut gzip", gzip.compress(b"abc" * 100)[:-9], {"content_encoding": "gzip"}, 400, "ends too early"),
    ("broken zstd", b"x" * 50, {"content_encoding": "zstd"}, 400, "not zstd"),
    ("half a zstd", zstandard.compress(bytes(99) + b"end")[:-9], {"content_encoding": "zstd"}, 400, "ends too early"),
    ("a window of 128 MiB", LARGE_WINDOW, {"content_encoding": "zstd"}, 413, "window"),
    ("10 MiB", bytes(10 * MIB), {}, 413, "larger than"),
    ("10 MiB in 10 KiB", gzip.compress(bytes(10 * MIB)), {"content_encoding": "gzip"}, 413, "larger than"),
    ("a million empty records", gzip.compress(DENSE_JSON),
     {"content_encoding": "gzip", "content_type": "application/json"}, 413, "smaller batches"),
    ("10 MiB in zstd", zstandard.compress(bytes(10 * MIB)), {"content_encoding": "zstd"}, 413, "larger than"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "how", "status", "reason"), [b[1:] for b in BAD_REQUESTS], ids=[b[0] for b in BAD_REQUESTS]
)
def test_a_bad_http_request_is_answered_with_its_reason(
    world: IngestWorld, tenant: str, body: bytes, how: dict[str, str], status: int, reason: str
) -> None:
    answer = world.post("logs", body, tenant, **how)
    assert answer.status_code == status
    assert reason in answer.text
    if how.get("content_type") == "application/json":
        assert set(answer.json()) == {"code", "message"}
    elif "content_type" not in how:
        assert answer.headers["content-type"] == "application/x-protobuf"
        assert answer.content[0] == 0x08  # google.rpc.Status.code
    assert world.post("logs", an_export(), tenant).status_code == 200


def test_an_export_of_another_signal_is_refused_and_what_is_not_otlp_is_told(world: IngestWorld, tenant: str) -> None:
    wrong = world.post("traces", an_export(), tenant)
    assert (wrong.status_code, b"wrong_wire_type" in wrong.content) == (400, True)
    foreign = world.post("logs", b'{"message": "plain", "level": "error"}', tenant, "application/json")
    assert foreign.status_code == 200
    assert foreign.json()["partialSuccess"]["errorMessage"].startswith("not_otlp")
    with pytest.raises(grpc.RpcError) as refused:
        world.call("traces", an_export().SerializeToString(), tenant)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "headers", [{"x_api_key": "wrong"}, {"x_api_key": ""}, {"x_api_key": "", "x_tenant_id": "acme"}]
)
def test_without_a_known_key_nothing_is_taken(world: IngestWorld, tenant: str, headers: dict[str, str]) -> None:
    answer = world.post("logs", an_export(), tenant, **headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "unknown_api_key" in answer.text or "missing_credentials" in answer.text


def test_wrong_methods_and_paths_are_told_what_is_right(world: IngestWorld) -> None:
    wrong_method = httpx.get(world.url("/v1/traces"), trust_env=False)
    wrong_path = httpx.post(world.url("/v1/spans"), trust_env=False)
    assert (wrong_method.status_code, wrong_method.headers["allow"]) == (405, "POST")
    assert (wrong_path.status_code, "/v1/traces" in wrong_path.text) == (404, True)


BAD_CALLS = [
    ("truncated protobuf", an_export().SerializeToString()[:-3], grpc.StatusCode.INVALID_ARGUMENT, "undecodable"),
    ("random bytes", b"\xff\x00\xfe" * 100, grpc.StatusCode.INVALID_ARGUMENT, "undecodable"),
    ("10 MiB", bytes(10 * MIB), grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
]


@pytest.mark.parametrize(("body", "code", "reason"), [b[1:] for b in BAD_CALLS], ids=[b[0] for b in BAD_CALLS])
def test_a_bad_grpc_call_is_answered_with_its_reason(
    world: IngestWorld, tenant: str, body: bytes, code: grpc.StatusCode, reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        world.call("logs", body, tenant)
    assert (refused.value.code(), reason in str(refused.value.details())) == (code, True)
    assert world.call("logs", an_export().SerializeToString(), tenant) == b""


@pytest.mark.parametrize("encoding", ["snappy", "zstd"])
def test_a_grpc_compression_that_is_not_taken_is_answered_with_those_that_are(
    world: IngestWorld, tenant: str, encoding: str
) -> None:
    with socket.create_connection(("127.0.0.1", world.grpc_port), timeout=10) as connection:
        connection.sendall(BEGIN + request(encoding, 1))
        came = b""
        while TOLD not in came:
            piece = connection.recv(65536)
            assert piece, came
            came += piece
    for known in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        assert world.call("logs", an_export().SerializeToString(), tenant, compression=known) == b""


def test_a_grpc_call_without_a_known_key_is_unauthenticated(world: IngestWorld) -> None:
    for key in ("", "wrong"):
        with pytest.raises(grpc.RpcError) as refused:
            world.call("traces", b"", key)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_grpc_takes_gzip(world: IngestWorld, tenant: str) -> None:
    body = an_export("x" * 10_000).SerializeToString()
    assert world.call("logs", body, tenant, compression=grpc.Compression.Gzip) == b""
    world.wait_for_rows("logs_raw", tenant, 1)


def test_gzip_that_would_burst_is_refused_over_grpc_too(world: IngestWorld, tenant: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        world.call("logs", bytes(64 * MIB), tenant, compression=grpc.Compression.Gzip)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_while_the_broker_is_away_senders_are_told_to_come_back(world: IngestWorld, tenant: str) -> None:
    grpc_port = free_port()
    nowhere = f"127.0.0.1:{free_port()}"
    process = new_process(
        world, "otlp_receiver", KAFKA_BOOTSTRAP=nowhere, OTLP_GRPC_PORT=str(grpc_port), OTLP_DELIVERY_SECONDS="1"
    )
    process._ready = lambda: _answers(process.url)  # type: ignore[method-assign]  # it never will be ready
    process.start()
    try:
        headers = {"content-type": "application/x-protobuf", "x-api-key": f"{KEY}-{tenant}"}
        body = an_export().SerializeToString()
        answer = httpx.post(f"{process.url}/v1/logs", content=body, headers=headers, timeout=20, trust_env=False)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "send it again" in answer.text
        readiness = httpx.get(f"{process.url}/readyz", trust_env=False)
        assert (readiness.status_code, "kafka" in readiness.json()["problems"]) == (503, True)
        with pytest.raises(grpc.RpcError) as refused:
            world.call("logs", body, tenant, port=grpc_port)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    finally:
        process.stop()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_exports_are_counted_by_how_they_ended(world: IngestWorld, tenant: str) -> None:
    world.post("metrics", b"\xff", tenant)
    exposed = httpx.get(world.url("/metrics"), trust_env=False).text
    assert 'exports_total{outcome="undecodable",protocol="http",signal="metrics"}' in exposed


def test_rows_are_readable_within_a_few_seconds(world: IngestWorld, tenant: str) -> None:
    for n in range(1, 4):
        assert world.post("logs", an_export(), tenant).status_code == 200
        assert world.wait_for_rows("logs_raw", tenant, n) < FRESH_SECONDS
