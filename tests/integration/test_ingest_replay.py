"""Dead letters replayed: rows under their original coordinates, once, however often."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m

from libs.access.tenants import TENANT_HEADER
from libs.messaging.kafka import KafkaProducer
from libs.messaging.ports import OutgoingRecord
from libs.messaging.topics import MAX_DEAD_LETTER_BYTES
from scripts.create_topics import widen
from tests.integration.alert_world import ROOT, free_port, read, unique
from tests.integration.ingest_world import IngestWorld, new_trace, running_ingest, span
from tests.unit.libs.otlp.requests import logs, metrics, spans, value

MIB = 1024 * 1024
SERVICES = ("log_consumer", "metric_consumer", "trace_consumer")
SIGNALS = {
    "logs": ("log_consumer", "logs_raw", "SELECT sum(Count) FROM log_signatures_1m"),
    "metrics": ("metric_consumer", "metrics_timeseries", "SELECT sum(ValueCount) FROM gauges_1m"),
    "traces": ("trace_consumer", "spans_raw", "SELECT sum(Total) FROM error_rate_1m"),
}


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IngestWorld]:
    with running_ingest(stack, tmp_path_factory.mktemp("replay"), SERVICES) as running:
        yield running


def an_export(signal: str, rows: int) -> bytes:
    """Return an export of that many rows of now."""
    now = time.time_ns()
    if signal == "logs":
        return logs(*(LogRecord(time_unix_nano=now, body=value(f"line {n}")) for n in range(rows))).SerializeToString()
    if signal == "traces":
        return spans(*(span(new_trace(), n + 1) for n in range(rows))).SerializeToString()
    points = [m.NumberDataPoint(time_unix_nano=now, as_double=n) for n in range(rows)]
    return metrics(m.Metric(name="level", gauge=m.Gauge(data_points=points))).SerializeToString()


def replay(world: IngestWorld, service: str, *arguments: str, **environment: str) -> tuple[int, dict[str, str], str]:
    """Run a replay; return its exit code, what its last line says and what it told on the way."""
    ended = subprocess.run(
        [sys.executable, "-m", f"services.{service}", "replay", *arguments],
        cwd=ROOT, env={**os.environ, **world.environment, **environment}, capture_output=True, text=True, timeout=90,
        check=False,
    )  # fmt: skip
    lines = ended.stdout.splitlines()
    said = dict(pair.split("=") for pair in lines[-1].split()[1:]) if lines else {}
    return ended.returncode, said, ended.stderr


def tenants_with(world: IngestWorld, tenant: str, folder: Path) -> str:
    """Return a tenants file that knows one more tenant."""
    known = json.loads(Path(world.environment["INCIDENTSCOPE_TENANTS_FILE"]).read_text())
    known["tenants"].append({"id": tenant, "api_keys_sha256": []})
    file = folder / "more-tenants.json"
    file.write_text(json.dumps(known))
    return str(file)


@pytest.mark.parametrize("signal", SIGNALS)
def test_letters_of_a_tenant_that_has_become_known_go_in_once(world: IngestWorld, signal: str, tmp_path: Path) -> None:
    service, table, rolled = SIGNALS[signal]
    topic, stranger = world.topics[signal], unique("stranger")
    exports = [an_export(signal, rows) for rows in (3, 4, 5)]
    world.produce(signal, exports, x_tenant_id=stranger)
    places = {
        (int(headers["dlq_partition"]), int(headers["dlq_offset"]))
        for export in exports
        for headers in world.letters(signal, export)
    }
    arguments = ("--topic", f"{topic}.dlq", "--reason", "unknown_tenant")
    code, said, told = replay(world, service, *arguments)
    assert (code, said["rows"], "still refused: 3 unknown_tenant" in told) == (3, "0", True)
    more = {"INCIDENTSCOPE_TENANTS_FILE": tenants_with(world, stranger, tmp_path)}
    code, said, _ = replay(world, service, *arguments, "--dry-run", **more)
    assert (code, said["rows"], said["added"], world.count(table, stranger)) == (0, "12", "0", 0)
    for added in ("12", "0"):
        code, said, _ = replay(world, service, *arguments, **more)
        assert (code, said["letters"], said["rows"], said["added"], said["refused"]) == (0, "3", "12", added, "0")
    found = world.query(
        f"SELECT IngestTopic, IngestPartition, IngestOffset, count(), uniqExact(IngestIndex), max(IngestIndex) + 1 "
        f"FROM {table} WHERE TenantId = %(t)s GROUP BY ALL", t=stranger,
    )  # fmt: skip
    assert {(partition, offset) for _, partition, offset, *_ in found} == places
    assert all(row[0] == topic and row[3] == row[4] == row[5] for row in found)
    assert world.query(f"{rolled} WHERE TenantId = %(t)s", t=stranger) == [(12,)]


def test_a_poison_part_stays_refused_and_is_counted_and_limit_and_reason_choose(world: IngestWorld) -> None:
    tenant, topic = world.new_tenant(), f"{world.topics['logs']}.dlq"
    poison = LogRecord(time_unix_nano=2**63, event_name=unique("poison"))
    good = LogRecord(time_unix_nano=time.time_ns(), body=value("good"))
    undecodable = b"\xff" + unique("undecodable").encode()
    world.produce("logs", [undecodable, logs(good, poison, good).SerializeToString()], x_tenant_id=tenant)
    assert world.letters("logs", undecodable)
    (letter,) = world.letters("logs", logs(poison).SerializeToString())
    assert letter["dlq_index"] == "1"
    code, said, told = replay(world, "log_consumer", "--reason", "timestamp_out_of_range")
    assert (code, said["letters"], said["refused"], "timestamp_out_of_range" in told) == (3, "1", "1", True)
    assert int(said["skipped"]) > 0
    everything = len(read(world.bootstrap, topic, lambda _: True, 1))
    code, said, _ = replay(world, "log_consumer", "--limit", "1", "--dry-run")
    assert (said["letters"], everything > 1) == ("1", True)
    assert world.count("logs_raw", tenant) == 2


def send_compressed(world: IngestWorld, value: bytes, tenant: str) -> None:
    """Write to the logs topic what a collector with zstd writes there, whatever it measures unpacked."""
    sender = KafkaProducer(world.bootstrap, **{"compression.type": "zstd", "message.max.bytes": 128 * MIB})
    sender.send([OutgoingRecord(world.topics["logs"], b"one partition", value, ((TENANT_HEADER, tenant.encode()),))])
    sender.close()


@pytest.mark.parametrize(
    ("pad", "reason"),
    [(b"\xff" * 17 * MIB, "message_too_large"), (os.urandom(5 * MIB - 2000), "undecodable")],
    ids=["17 MiB of zstd", "random"],
)
def test_a_message_as_large_as_its_topic_takes_is_a_whole_letter_and_its_partition_goes_on(
    world: IngestWorld, pad: bytes, reason: str
) -> None:
    tenant, large = world.new_tenant(), unique("large").encode() + pad
    send_compressed(world, large, tenant)
    send_compressed(world, an_export("logs", 2), tenant)
    world.wait_for_rows("logs_raw", tenant, 2, timeout_s=20)
    (letter,) = world.letters("logs", large)
    assert (letter["dlq_reason"], "dlq_omitted" in letter) == (reason, False)


def test_a_message_too_large_for_the_dead_letters_leaves_its_body_behind_and_a_replay_says_so(
    world: IngestWorld,
) -> None:
    tenant, topic = world.new_tenant(), f"{world.topics['logs']}.dlq"
    large = b"\xff" + os.urandom(2 * MIB)
    set_room(world, topic, MIB)
    try:
        send_compressed(world, large, tenant)
        send_compressed(world, an_export("logs", 2), tenant)
        world.wait_for_rows("logs_raw", tenant, 2, timeout_s=20)
    finally:
        set_room(world, topic, MAX_DEAD_LETTER_BYTES)
    (letter,) = read(world.bootstrap, topic, is_stripped, 1)
    about = {name: raw.decode() for name, raw in letter.headers()}
    assert (about["dlq_body_bytes"], about["dlq_body_sha256"]) == (str(len(large)), sha256(large).hexdigest())
    code, said, told = replay(world, "log_consumer", "--dry-run", "--reason", "undecodable")
    place = f"partition {about['dlq_partition']}, offset {about['dlq_offset']}"
    assert (code, int(said["refused"]) > 0) == (3, True)
    assert "without its body" in told
    assert place in told
    assert "still refused: 1 body_omitted" in told


def test_a_message_that_unpacks_to_more_than_the_client_takes_is_stepped_over_and_named(world: IngestWorld) -> None:
    tenant, topic = world.new_tenant(), f"{world.topics['logs']}.dlq"
    send_compressed(world, an_export("logs", 1), tenant)
    send_compressed(world, bytes(110 * MIB), tenant)
    send_compressed(world, an_export("logs", 2), tenant)
    world.wait_for_rows("logs_raw", tenant, 3, timeout_s=30)
    (letter,) = read(world.bootstrap, topic, lambda m: b"unreadable" in dict(m.headers()).values(), 1)
    assert dict(letter.headers())["dlq_omitted"] == b"its body, key and headers"
    code, said, told = replay(world, "log_consumer", "--dry-run", "--reason", "unreadable")
    assert (code, said["letters"], said["refused"]) == (3, "1", "1")
    assert "could not be unpacked" in told


def is_stripped(message: Any) -> bool:
    """Return whether a dead letter had to leave its body behind."""
    return any(name == "dlq_body_sha256" for name, _ in message.headers())


def set_room(world: IngestWorld, topic: str, size: int) -> None:
    """Say how large the messages of a topic may be."""
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    admin.incremental_alter_configs([resource])[resource].result(30)


def test_topics_that_an_older_release_created_are_given_room(world: IngestWorld) -> None:
    set_room(world, "otel.logs.dlq", 5 * MIB)
    set_room(world, "otel.traces.dlq", 2 * MAX_DEAD_LETTER_BYTES)
    assert widen(world.bootstrap) == ["otel.logs.dlq"]
    assert widen(world.bootstrap) == []


@pytest.mark.parametrize(
    ("arguments", "changed", "code", "text"),
    [
        (["--topic", "otel.other.dlq"], {}, 2, "not otel.other.dlq"),
        (["--limit", "none"], {}, 2, "not a positive whole number"),
        ([], {"OTEL_LOGS_TOPIC": "no.such.topic"}, 1, "no.such.topic.dlq"),
        ([], {"KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}"}, 1, "cannot read"),
    ],
    ids=["foreign topic", "bad number", "missing topic", "no broker"],
)
def test_a_replay_that_can_not_be_says_why(
    world: IngestWorld, arguments: list[str], changed: dict[str, str], code: int, text: str
) -> None:
    ended, said, told = replay(world, "log_consumer", *arguments, **changed)
    assert (ended, said, text in told) == (code, {}, True), told
