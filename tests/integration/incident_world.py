"""A running incident service on a real database and broker, and short ways to talk to it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import grpc
from confluent_kafka import Consumer, Producer, TopicPartition
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.alert.v1 import alert_events_pb2, alert_pb2
from incidentscope.correlation.v1 import correlation_events_pb2, correlation_pb2
from incidentscope.incident.v1 import incident_pb2, incident_service_pb2, incident_service_pb2_grpc

from libs.messaging import cloudevents
from libs.messaging.cloudevents import CloudEvent
from libs.messaging.topics import ALERTS_NOTIFICATIONS, CORRELATION_HYPOTHESES, Topic

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IncidentWorld:
    """The service's address and the servers it stands on."""

    postgres_url: str
    bootstrap: str
    pid: int
    target: str
    channel: grpc.Channel
    producer: Producer

    @property
    def stub(self) -> incident_service_pb2_grpc.IncidentServiceStub:
        """Return a client."""
        return incident_service_pb2_grpc.IncidentServiceStub(self.channel)

    def publish(self, topic: Topic, key: str, event: CloudEvent) -> None:
        """Publish an event as its producer would."""
        record = cloudevents.record(topic, key, event)
        self.producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
        assert self.producer.flush(10) == 0

    def publish_group(self, group: alert_events_pb2.AlertGroupNotified, event_id: str = "") -> str:
        """Publish a flush and return its event id."""
        event = cloud_event(group.group_key, group.tenant_id, group, event_id)
        self.publish(ALERTS_NOTIFICATIONS, group.group_key, event)
        return event.id

    def publish_analysis(self, analysis: correlation_events_pb2.HypothesesPublished) -> None:
        """Publish an analysis."""
        event = cloud_event(analysis.incident_id, analysis.tenant_id, analysis)
        self.publish(CORRELATION_HYPOTHESES, analysis.incident_id, event)

    def incidents(self, tenant: str) -> list[incident_pb2.Incident]:
        """Return the tenant's incidents, newest first."""
        request = incident_service_pb2.ListIncidentsRequest(page_size=500)
        return list(self.stub.ListIncidents(request, metadata=as_tenant(tenant), timeout=10).incidents)

    def of_group(self, tenant: str, group_key: str) -> list[incident_pb2.Incident]:
        """Return the incidents an alert group has opened, newest first."""
        return [i for i in self.incidents(tenant) if i.group_key == group_key]

    def timeline(self, tenant: str, incident_id: str) -> list[incident_pb2.TimelineEntry]:
        """Return an incident's timeline."""
        request = incident_service_pb2.ListTimelineRequest(id=incident_id, page_size=1000)
        return list(self.stub.ListTimeline(request, metadata=as_tenant(tenant), timeout=10).entries)

    def events_of(self, topic: str, wanted: Callable[[Any], bool], count: int, timeout_s: float = 20) -> list[Any]:
        """Return committed messages of a topic that are wanted, waiting for `count` of them and a moment for more."""
        config = {
            "bootstrap.servers": self.bootstrap, "group.id": uuid.uuid4().hex, "isolation.level": "read_committed",
            "auto.offset.reset": "earliest", "enable.auto.commit": False,
        }  # fmt: skip
        consumer = Consumer(config)
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        found: list[Any] = []
        deadline = time.monotonic() + timeout_s
        quiet = 0
        while time.monotonic() < deadline and quiet < 3:
            messages = consumer.consume(500, 0.3)
            quiet = quiet + 1 if len(found) >= count and not messages else 0
            found += [m for m in messages if wanted(m)]
        consumer.close()
        return found


def cloud_event(subject: str, tenant: str, data: Message, event_id: str = "") -> CloudEvent:
    """Return an event as another service would make it."""
    return CloudEvent(event_id or str(uuid.uuid4()), "/test", datetime.now(UTC), subject, tenant, data)


def as_tenant(tenant: str) -> tuple[tuple[str, str], ...]:
    """Return call metadata that names a tenant."""
    return (("x-tenant-id", tenant),)


def eventually(read: Callable[[], T], wanted: Callable[[T], bool], timeout_s: float = 20) -> T:
    """Read until the value is the wanted one and return it; the last value is shown when it never is."""
    deadline = time.monotonic() + timeout_s
    while not wanted(value := read()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s, last saw: {value!r}"
        time.sleep(0.1)
    return value


def alert(
    name: str, service: str, severity: alert_pb2.Severity.ValueType = alert_pb2.SEVERITY_CRITICAL, firing: bool = True
) -> alert_pb2.Alert:
    """Return an alert as the router sends it."""
    status = alert_pb2.ALERT_STATUS_FIRING if firing else alert_pb2.ALERT_STATUS_RESOLVED
    return alert_pb2.Alert(
        fingerprint=f"{name}-{service}", tenant_id="default", status=status, name=name, service=service,
        severity=severity, annotations={"summary": f"{name} of {service}"}, starts_at=instant(datetime.now(UTC)),
        generator_url="http://prometheus.example/graph", source="alertmanager",
    )  # fmt: skip


def group(
    key: str, alerts: Sequence[alert_pb2.Alert], reason: alert_events_pb2.FlushReason.ValueType, tenant: str = "default"
) -> alert_events_pb2.AlertGroupNotified:
    """Return a flush of a group."""
    firing = any(a.status == alert_pb2.ALERT_STATUS_FIRING for a in alerts)
    return alert_events_pb2.AlertGroupNotified(
        tenant_id=tenant, group_key=key, group_labels={"service": alerts[0].service}, alerts=alerts, reason=reason,
        status=alert_pb2.ALERT_STATUS_FIRING if firing else alert_pb2.ALERT_STATUS_RESOLVED, receiver="default",
        flushed_at=instant(datetime.now(UTC)),
    )  # fmt: skip


def analysis(incident_id: str, version: int, cause: str = "") -> correlation_events_pb2.HypothesesPublished:
    """Return an analysis that names a cause, or none."""
    published = correlation_events_pb2.HypothesesPublished(
        tenant_id="default", incident_id=incident_id, version=version, analysed_at=instant(datetime.now(UTC)),
        verdict=correlation_pb2.VERDICT_NOT_ENOUGH_EVIDENCE, reason="every service is within its own noise",
    )  # fmt: skip
    if cause:
        published.verdict = correlation_pb2.VERDICT_CAUSE_NAMED
        published.hypotheses.add(
            rank=1, service=cause, cause_kind=correlation_pb2.CAUSE_KIND_DEPLOY, confidence=0.83,
            statement="deploy v42 raised its error rate from 0 to 31 %", impacted_services=["checkout", "frontend"],
        )  # fmt: skip
    return published


def instant(moment: datetime) -> Timestamp:
    """Return a protobuf timestamp."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


@contextmanager
def incident_service(
    postgres_url: str, bootstrap: str, folder: Path, service_url: str = "", **settings: str
) -> Iterator[IncidentWorld]:
    """Run the service as its own process, connecting as services do, until the block ends.

    `settings` are further ones, by name in the environment.
    """
    tenants = folder / "tenants.json"
    tenants.write_text(
        json.dumps({"tenants": [{"id": name} for name in ("default", "other", "third", "repeated", "quiet")]})
    )
    grpc_port, health_port = free_port(), free_port()
    environment = os.environ | {
        "POSTGRES_URL": service_url or postgres_url, "KAFKA_BOOTSTRAP": bootstrap, "HEALTH_PORT": str(health_port),
        "INCIDENT_GRPC_PORT": str(grpc_port), "INCIDENTSCOPE_TENANTS_FILE": str(tenants),
        "INCIDENTSCOPE_TRUST_TENANT_HEADER": "true", "INCIDENTSCOPE_ANONYMOUS_TENANT": "",
    } | settings  # fmt: skip
    log = (folder / "incident_service.log").open("wb")
    command = [sys.executable, "-m", "services.incident_service"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
    try:
        wait_until_ready(process, health_port, Path(log.name))
        target = f"127.0.0.1:{grpc_port}"
        with grpc.insecure_channel(target) as channel:
            yield IncidentWorld(postgres_url, bootstrap, process.pid, target, channel, producer)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()
        log.close()


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for /readyz; shows the log when the process ends or time runs out."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            assert answer.status == 200
            return
        time.sleep(0.2)
    raise AssertionError(f"the incident service did not become ready:\n{log.read_text()[-4000:]}")


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
