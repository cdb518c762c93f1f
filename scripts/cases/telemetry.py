"""Telemetry that strangers send: by OTLP/HTTP, and by Kafka as a collector writes it, without a content type.

All cases are sent before anything is compared: what came of them is known once the consumers have read to the end.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import confluent_kafka as ck
import httpx

from infra.local.ports import Ports
from libs.access.tenants import TENANT_HEADER
from libs.kernel.errors import Unavailable
from libs.messaging.kafka import read_topic
from libs.otlp.logs import TABLE as LOGS
from libs.otlp.metrics import TABLE as METRICS
from libs.otlp.spans import TABLE as SPANS
from libs.storage.clickhouse import ClickHouse
from scripts.cases.frame import Case, Problems
from scripts.ingest.rig import Consumer, Rig, RigFailed, running

SIGNALS: Final = {
    "logs": ("log_consumer", "otel.logs", LOGS),
    "metrics": ("metric_consumer", "otel.metrics", METRICS),
    "traces": ("trace_consumer", "otel.traces", SPANS),
}
SETTLE_SECONDS: Final = 180.0
SEND_SECONDS: Final = 60.0
LARGEST_BYTES: Final = 64 * 1024 * 1024  # of a message before it is compressed
HTTP, KAFKA = "http", "kafka"


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a case: the status over HTTP, rows by door, dead letters of what was produced to Kafka."""

    http: int | str
    rows: Mapping[str, int]
    dlq: int


class Telemetry:
    """Cases with a `signal`."""

    def takes(self, case: Case) -> bool:
        """Return whether a case is one of telemetry."""
        return case.entry.get("signal") in SIGNALS

    def run(self, cases: Sequence[Case]) -> Problems:
        """Send the cases; raises RigFailed when the servers do not come up or the consumers do not come to an end."""
        tenants = {case.name: f"case{number}" for number, case in enumerate(cases)}
        with tempfile.TemporaryDirectory(prefix="cases-") as folder:
            file = Path(folder, "tenants.json")
            names = [_tenant(one, door) for one in tenants.values() for door in (HTTP, KAFKA)]
            file.write_text(json.dumps({"tenants": [_listed(name) for name in names]}))
            settings = {
                "INCIDENTSCOPE_TENANTS_FILE": str(file), "INCIDENTSCOPE_ANONYMOUS_TENANT": "", "LOG_LEVEL": "warning",
                "OTLP_GRPC_PORT": str(Ports.free()["otlp_grpc"]), "INGEST_BATCH_SECONDS": "0.2",
            }  # fmt: skip
            with running(settings) as rig:
                return _Sending(rig, tenants).run(cases)


class _Sending:
    """One run against one rig."""

    def __init__(self, rig: Rig, tenants: Mapping[str, str]) -> None:
        self._rig = rig
        self._tenants = tenants

    def run(self, cases: Sequence[Case]) -> Problems:
        receiver, *consumers = [self._rig.consumer(s) for s in ("otlp_receiver", *(s for s, _, _ in SIGNALS.values()))]
        for one in (receiver, *consumers):
            one.start()
        for one in (receiver, *consumers):
            one.wait_ready()
        statuses = {case.name: self._post(receiver, case) for case in cases}
        self._produce(cases)
        self._settle(consumers)
        rows, letters = self._rows(), self._letters()
        return {case.name: judge(case, self._seen(case, statuses, rows, letters)) for case in cases}

    def _seen(
        self, case: Case, statuses: Mapping[str, int | str], rows: Mapping[str, int], letters: Mapping[str, int]
    ) -> Seen:
        by_http, by_kafka = (_tenant(self._tenants[case.name], door) for door in (HTTP, KAFKA))
        found = {HTTP: rows.get(by_http, 0), KAFKA: rows.get(by_kafka, 0)}
        return Seen(statuses[case.name], found, letters.get(by_kafka, 0))

    def _post(self, receiver: Consumer, case: Case) -> int | str:
        headers = {
            "content-type": str(case.entry["type"]),
            "x-api-key": _key(_tenant(self._tenants[case.name], HTTP)),
            **({"content-encoding": "gzip"} if case.entry.get("gzip") else {}),
        }
        url = f"http://127.0.0.1:{receiver.port}/v1/{case.entry['signal']}"
        try:
            answer = httpx.post(url, content=case.read(), headers=headers, timeout=SEND_SECONDS, trust_env=False)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        return answer.status_code

    def _produce(self, cases: Sequence[Case]) -> None:
        settings: dict[str, Any] = {
            "bootstrap.servers": self._rig.stack.kafka_bootstrap,
            "compression.codec": "zstd",
            "message.max.bytes": LARGEST_BYTES,
            "batch.num.messages": 1,
        }
        producer = ck.Producer(settings)
        failures: list[str] = []
        for case in cases:
            value = gzip.decompress(case.read()) if case.entry.get("gzip") else case.read()
            tenant = _tenant(self._tenants[case.name], KAFKA)
            producer.produce(
                SIGNALS[case.entry["signal"]][1],
                value,
                headers=[(TENANT_HEADER, tenant.encode())],
                on_delivery=lambda error, _, name=case.name: failures.append(f"{name}: {error}") if error else None,
            )
            producer.flush(SEND_SECONDS)
        if failures:
            raise RigFailed(f"Kafka did not take what was sent: {'; '.join(failures)}")

    def _settle(self, consumers: Sequence[Consumer]) -> None:
        """Return when the consumers have read and committed all there is; raises RigFailed."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while behind := [topic for service, topic, _ in SIGNALS.values() if not self._is_read(service, topic)]:
            dead = [one.service for one in consumers if not one.running]
            if dead or time.monotonic() > deadline:
                raise RigFailed(f"not read to the end: {', '.join(behind)}; died: {', '.join(dead) or 'none'}")
            time.sleep(0.5)

    def _is_read(self, group: str, topic: str) -> bool:
        consumer = ck.Consumer({"bootstrap.servers": self._rig.stack.kafka_bootstrap, "group.id": group})
        try:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            committed = consumer.committed([ck.TopicPartition(topic, number) for number in partitions], 10)
            return all(max(one.offset, 0) >= consumer.get_watermark_offsets(one, 10)[1] for one in committed)
        finally:
            consumer.close()

    def _rows(self) -> dict[str, int]:
        clickhouse = ClickHouse(self._rig.stack.clickhouse_url)
        try:
            counts: Counter[str] = Counter()
            for _, _, table in SIGNALS.values():
                counts.update(dict(clickhouse.query(f"SELECT TenantId, count() FROM {table} GROUP BY TenantId")))
            return dict(counts)
        except Unavailable as error:
            raise RigFailed(str(error)) from error
        finally:
            clickhouse.close()

    def _letters(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for _, topic, _ in SIGNALS.values():
            letters = read_topic(self._rig.stack.kafka_bootstrap, f"{topic}.dlq")
            counts.update(letter.header(TENANT_HEADER) or "" for letter in letters)
        return dict(counts)


def judge(case: Case, seen: Seen) -> list[str]:
    """Return what differs from what is right; a field that is absent is not compared."""
    wanted = case.entry
    problems = []
    if "http" in wanted and seen.http != wanted["http"]:
        problems.append(f"HTTP status {seen.http}, not {wanted['http']}")
    for door, rows in seen.rows.items() if "rows" in wanted else ():
        if rows != wanted["rows"]:
            problems.append(f"{rows} rows by {door}, not {wanted['rows']}")
    if "dlq" in wanted and seen.dlq != wanted["dlq"]:
        problems.append(f"{seen.dlq} dead letters, not {wanted['dlq']}")
    return problems


def _tenant(case: str, door: str) -> str:
    return f"{case}-{door}"


def _key(tenant: str) -> str:
    return f"the-key-of-{tenant}"


def _listed(tenant: str) -> dict[str, Any]:
    return {"id": tenant, "api_keys_sha256": [hashlib.sha256(_key(tenant).encode()).hexdigest()]}
