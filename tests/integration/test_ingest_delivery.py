"""From Kafka to ClickHouse: nothing lost, nothing twice, and what can not be read is kept aside."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from libs.otlp.batch import Message
from libs.otlp.reference import decode_spans
from libs.storage.clickhouse import Refused
from tests.integration.alert_world import ServiceProcess, eventually, free_port
from tests.integration.ingest_world import IngestWorld, new_process, new_trace, running_ingest, span
from tests.integration.test_ingest_receiver import _answers
from tests.unit.libs.otlp.requests import logs, spans, value

SERVICES = ("log_consumer", "trace_consumer")


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IngestWorld]:
    with running_ingest(stack, tmp_path_factory.mktemp("ingest"), SERVICES) as running:
        yield running


def an_export(*texts: str) -> bytes:
    """Return an export of log records of now."""
    return logs(*(LogRecord(time_unix_nano=time.time_ns(), body=value(t)) for t in texts)).SerializeToString()


def test_undecodable_messages_are_kept_with_their_reason_and_the_others_arrive(world: IngestWorld) -> None:
    tenant = world.new_tenant()
    garbage = b"\xff\xfe garbage " + os.urandom(8)
    cut = an_export("cut " * 20)[:-5]
    world.produce("logs", [an_export("before"), garbage, cut, an_export("after")], x_tenant_id=tenant, from_whom="me")
    world.wait_for_rows("logs_raw", tenant, 2)
    for bad in (garbage, cut):
        (letter,) = world.letters("logs", bad)
        assert (letter["dlq_topic"], letter["dlq_reason"]) == (world.topics["logs"], "undecodable")
        assert "ExportLogsServiceRequest" in letter["dlq_error"]
        assert letter["dlq_partition"].isdigit()
        assert letter["dlq_offset"].isdigit()
        assert letter["dlq_first_seen"].startswith("20")
        assert (letter["x-tenant-id"], letter["from-whom"]) == (tenant, "me")


def test_a_message_of_many_days_is_stored_whole_and_keeps_no_other_waiting(world: IngestWorld) -> None:
    tenant, other, day = world.new_tenant(), world.new_tenant(), 24 * 3600 * 10**9
    old = [LogRecord(time_unix_nano=time.time_ns() - n * day, body=value(f"{n} days ago")) for n in range(150)]
    many = logs(*old).SerializeToString()
    world.produce("logs", [many, an_export("of today"), many], x_tenant_id=tenant)
    world.produce("logs", [an_export("of another")], x_tenant_id=other)
    world.wait_for_rows("logs_raw", tenant, 301)
    world.wait_for_rows("logs_raw", other, 1)


def test_what_no_record_of_the_topic_can_come_from_is_kept_aside(world: IngestWorld) -> None:
    tenant, mark = world.new_tenant(), os.urandom(8).hex()
    plain, other = b'{"message": "%s"}' % mark.encode(), an_export("at the wrong topic", mark)
    world.produce("logs", [plain], x_tenant_id=tenant)
    world.produce("traces", [other], x_tenant_id=tenant)
    assert [letter["dlq_reason"] for letter in world.letters("logs", plain)] == ["not_otlp"]
    assert [letter["dlq_reason"] for letter in world.letters("traces", other)] == ["wrong_wire_type"]
    assert (world.count("logs_raw", tenant), world.count("spans_raw", tenant)) == (0, 0)


@pytest.mark.parametrize("headers", [{}, {"x_tenant_id": "nobody"}])
def test_a_message_of_no_known_tenant_is_not_given_to_another(world: IngestWorld, headers: dict[str, str]) -> None:
    message = an_export("whose am I", os.urandom(8).hex())
    world.produce("logs", [message], **headers)
    (letter,) = world.letters("logs", message)
    assert letter["dlq_reason"] == "unknown_tenant"


def test_what_collectors_write_as_json_without_a_content_type_is_read(world: IngestWorld) -> None:
    tenant = world.new_tenant()
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"j","startTimeUnixNano":"%d"}]}]}]}' % time.time_ns()
    world.produce("traces", [body], x_tenant_id=tenant)
    world.wait_for_rows("spans_raw", tenant, 1)


def test_a_poison_record_is_split_out_and_its_neighbours_are_kept(world: IngestWorld) -> None:
    tenant = world.new_tenant()
    in_ms = time.time_ns() // 1_000_000
    good, poison = LogRecord(time_unix_nano=time.time_ns(), body=value("good")), LogRecord(time_unix_nano=in_ms)
    poison.event_name = os.urandom(8).hex()
    world.produce("logs", [logs(good, poison, good).SerializeToString()], x_tenant_id=tenant)
    world.wait_for_rows("logs_raw", tenant, 2)
    (letter,) = world.letters("logs", logs(poison).SerializeToString())
    assert letter["dlq_reason"] == "timestamp_out_of_range"


def test_rows_that_clickhouse_refuses_are_found_and_the_rest_is_kept(world: IngestWorld) -> None:
    tenant, poison = world.new_tenant(), os.urandom(8).hex()
    refused = an_export("good beside it", poison)
    world.clickhouse.execute(f"ALTER TABLE logs_raw ADD CONSTRAINT c_{poison} CHECK Body != '{poison}'")
    try:
        world.produce("logs", [an_export("a"), refused, an_export("b")], x_tenant_id=tenant)
        world.wait_for_rows("logs_raw", tenant, 2, timeout_s=20)
        (letter,) = world.letters("logs", refused)
    finally:
        world.clickhouse.execute(f"ALTER TABLE logs_raw DROP CONSTRAINT c_{poison}")
    assert (letter["dlq_reason"], "constraint" in letter["dlq_error"].lower()) == ("clickhouse_refused", True)
    texts = world.query("SELECT Body FROM logs_raw WHERE TenantId = %(t)s ORDER BY Body", t=tenant)
    assert texts == [("a",), ("b",)]


def kill_between_insert_and_commit(world: IngestWorld, tenant: str, before: int, victim: ServiceProcess) -> None:
    """Kill a consumer as soon as rows of its can be seen: with luck before it has committed their offsets."""
    deadline = time.monotonic() + 30
    while world.count("logs_raw", tenant) <= before:
        assert time.monotonic() < deadline, "no rows came"
    victim.kill()


def test_after_kill_nine_in_mid_stream_every_row_is_there_once_in_raw_and_in_rollups(world: IngestWorld) -> None:
    tenant = world.new_tenant()
    messages, rows_each = 900, 20
    expected = messages * rows_each
    bodies = [an_export(*(f"m{n} r{r}" for r in range(rows_each))) for n in range(messages)]
    world.processes["log_consumer"].stop()
    world.produce("logs", bodies, x_tenant_id=tenant)
    for size in ("5", "7", "11"):  # small: inserting nearly all the time; different: each would cut other ranges
        before = world.count("logs_raw", tenant)
        victim = new_process(world, "log_consumer", INGEST_BATCH_SECONDS="0.05", INGEST_BATCH_MESSAGES=size)
        victim.start()
        kill_between_insert_and_commit(world, tenant, before, victim)
    assert world.count("logs_raw", tenant) < expected, "it was killed too late to prove anything"
    world.processes["log_consumer"].start()
    world.wait_for_rows("logs_raw", tenant, expected, timeout_s=60)
    time.sleep(1.5)
    ((rows, unique),) = world.query("SELECT count(), uniqExact(Body) FROM logs_raw WHERE TenantId = %(t)s", t=tenant)
    ((rolled,),) = world.query("SELECT sum(Count) FROM log_signatures_1m WHERE TenantId = %(t)s", t=tenant)
    assert (rows, unique, rolled) == (expected, expected, expected)
    assert any("plan_found" in log.read_text() for log in world.folder.glob("log_consumer-*.log"))


def test_a_consumer_without_clickhouse_says_so_and_catches_up_later(world: IngestWorld) -> None:
    tenant = world.new_tenant()
    world.processes["trace_consumer"].stop()
    away = f"clickhouse://default@127.0.0.1:{free_port()}/incidentscope?http_port={free_port()}"
    lost = new_process(world, "trace_consumer", CLICKHOUSE_URL=away)
    lost._ready = lambda: _answers(lost.url)  # type: ignore[method-assign]  # it never will be ready
    lost.start()
    try:
        readiness = eventually(
            lambda: httpx.get(f"{lost.url}/readyz", trust_env=False).json(),
            lambda r: "ClickHouse" in r["problems"].get("ingest", ""),
            20,
        )
        assert readiness
        world.produce("traces", [spans(span(new_trace(), 1)).SerializeToString()], x_tenant_id=tenant)
        time.sleep(1)
        assert world.count("spans_raw", tenant) == 0
    finally:
        lost.stop()
        world.processes["trace_consumer"].start()
    world.wait_for_rows("spans_raw", tenant, 1, timeout_s=20)


def test_a_second_insert_under_the_same_token_changes_neither_raw_rows_nor_rollups(world: IngestWorld) -> None:
    tenant = world.new_tenant()
    two_days = [span(new_trace(), n + 1, parent=9) for n in (0, 1)]
    two_days[1].start_time_unix_nano -= 86_400 * 1_000_000_000
    batch = decode_spans([Message(spans(*two_days).SerializeToString(), tenant, "t", 0, 1, 0)])
    for _ in range(3):
        world.clickhouse.insert_native("spans_raw", batch.columns, batch.body, f"token of {tenant}")
    counts = {
        table: world.query(f"SELECT {what} FROM {table} WHERE TenantId = %(t)s", t=tenant)[0][0]
        for table, what in {
            "spans_raw": "count()", "error_rate_1m": "sum(Total)", "service_half_edges": "count()",
            "trace_id_ranges": "count()", "latency_p95_1m": "count()",
        }.items()
    }  # fmt: skip
    assert counts == {
        "spans_raw": 2, "error_rate_1m": 2, "service_half_edges": 2, "trace_id_ranges": 2, "latency_p95_1m": 2
    }  # fmt: skip


def test_rows_of_a_table_that_does_not_exist_are_refused_not_lost(world: IngestWorld) -> None:
    with pytest.raises(Refused) as refused:
        world.clickhouse.insert_native("no_such_table", ["a"], b"\x00\x00", "t")
    assert refused.value.code == 60
