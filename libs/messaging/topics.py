"""The one catalogue of topics.

Topics are created from it (`make topics`); the README table is generated from it and a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.message import Message
from incidentscope.alert.v1 import alert_events_pb2 as alert
from incidentscope.anomaly.v1 import anomaly_events_pb2 as anomaly
from incidentscope.catalog.v1 import catalog_events_pb2 as catalog
from incidentscope.correlation.v1 import correlation_events_pb2 as correlation
from incidentscope.deploy.v1 import deploy_events_pb2 as deploy
from incidentscope.incident.v1 import incident_events_pb2 as incident

MAX_MESSAGE_BYTES = 5 * 1024 * 1024  # what collectors configured for 5 MiB send (DESIGN section 4)
MAX_DEAD_LETTER_BYTES = 16 * 1024 * 1024  # a message, its place and reason, and what another compressor makes of it


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic: what is on it, how it is laid out, who writes and who reads it.

    `messages` are the CloudEvents data types; empty on OTLP topics, whose values are `Export*ServiceRequest` bytes.
    """

    name: str
    description: str
    key: str
    producer: str
    consumers: tuple[str, ...]
    messages: tuple[type[Message], ...] = ()
    partitions: int = 6
    retention: timedelta = timedelta(days=7)
    cleanup_policy: str = "delete"
    dead_letters: bool = True
    max_message_bytes: int = MAX_MESSAGE_BYTES  # as the broker stores it, compressed

    @property
    def dlq(self) -> str:
        """Return the name of its dead-letter topic."""
        return f"{self.name}.dlq"

    def config(self) -> dict[str, str]:
        """Return the broker's topic configuration."""
        config = {"cleanup.policy": self.cleanup_policy, "max.message.bytes": str(self.max_message_bytes)}
        if self.cleanup_policy == "delete":
            config["retention.ms"] = str(int(self.retention.total_seconds() * 1000))
        return config


OTEL_LOGS = Topic(
    "otel.logs", "OTLP logs as received", "none, or as the collector sets it",
    "otlp_receiver, OpenTelemetry Collector", ("log_consumer",), retention=timedelta(days=1),
)  # fmt: skip
OTEL_METRICS = Topic(
    "otel.metrics", "OTLP metrics as received", "none, or as the collector sets it",
    "otlp_receiver, OpenTelemetry Collector", ("metric_consumer",), retention=timedelta(days=1),
)  # fmt: skip
OTEL_TRACES = Topic(
    "otel.traces", "OTLP spans as received", "none, or as the collector sets it",
    "otlp_receiver, OpenTelemetry Collector", ("trace_consumer",), retention=timedelta(days=1),
)  # fmt: skip
ALERTS_EVENTS = Topic(
    "alerts.events", "every alert, normalized", "fingerprint",
    "alert_router (webhooks), anomaly_detector", ("alert_router",), (alert.AlertReceived,),
)  # fmt: skip
ALERTS_NOTIFICATIONS = Topic(
    "alerts.notifications", "a routed group's flush", "group key",
    "alert_router", ("incident_service",), (alert.AlertGroupNotified,),
)  # fmt: skip
ANOMALIES_EVENTS = Topic(
    "anomalies.events", "services that leave what is usual for them, and return", "fingerprint of the alert",
    "anomaly_detector", (), (anomaly.AnomalyDetected, anomaly.AnomalyEnded, anomaly.AnomalyNoData),
    dead_letters=False,
)  # fmt: skip
DEPLOYS_EVENTS = Topic(
    "deploys.events", "deploys as they move", "service",
    "deploy_normalizer", ("console", "deploy_normalizer"), (deploy.DeployChanged,), retention=timedelta(days=90),
)  # fmt: skip
CATALOG_EVENTS = Topic(
    "catalog.events", "services and dependencies discovered", "service",
    "catalog (contract only)", (), (catalog.ServiceDiscovered, catalog.DependencyDiscovered),
    partitions=3, dead_letters=False,
)  # fmt: skip
INCIDENTS_EVENTS = Topic(
    "incidents.events", "incidents as they change, exactly once", "incident id",
    "incident_service", ("correlation_engine", "console", "incident_service"),
    (
        incident.IncidentOpened, incident.IncidentUpdated, incident.IncidentAcknowledged, incident.IncidentMitigated,
        incident.IncidentResolved, incident.IncidentClosed, incident.IncidentReopened, incident.IncidentMerged,
        incident.TaskOverdue, incident.PostmortemOverdue, incident.PostmortemPublished,
    ),
    retention=timedelta(days=90),
)  # fmt: skip
CORRELATION_HYPOTHESES = Topic(
    "correlation.hypotheses", "ranked causes of an incident", "incident id",
    "correlation_engine", ("incident_service", "console"), (correlation.HypothesesPublished,),
    retention=timedelta(days=90),
)  # fmt: skip
OUTBOX_POSITIONS = Topic(
    "outbox.positions", "how far each outbox lane has been published", "outbox and lane",
    "alert_router, deploy_normalizer, incident_service", (), partitions=1, cleanup_policy="compact",
    dead_letters=False,
)  # fmt: skip

CATALOGUE: tuple[Topic, ...] = (
    OTEL_LOGS, OTEL_METRICS, OTEL_TRACES, ALERTS_EVENTS, ALERTS_NOTIFICATIONS, ANOMALIES_EVENTS, DEPLOYS_EVENTS,
    CATALOG_EVENTS, INCIDENTS_EVENTS, CORRELATION_HYPOTHESES, OUTBOX_POSITIONS,
)  # fmt: skip
WRITTEN_IN_TRANSACTIONS = (ALERTS_NOTIFICATIONS, DEPLOYS_EVENTS, INCIDENTS_EVENTS, OUTBOX_POSITIONS)  # by outboxes


def all_topics() -> Iterator[Topic]:
    """Yield every topic to create: the catalogue, and one dead-letter topic for each that is consumed."""
    for topic in CATALOGUE:
        yield topic
        if topic.dead_letters:
            yield Topic(
                topic.dlq, f"what could not be read from {topic.name}, original bytes", "as received",
                ", ".join(topic.consumers), (), partitions=1, retention=timedelta(days=14), dead_letters=False,
                max_message_bytes=MAX_DEAD_LETTER_BYTES,
            )  # fmt: skip


def message_type(name: str) -> type[Message] | None:
    """Return the message type of a CloudEvents `type` (the protobuf full name), or None when no topic carries it."""
    for topic in CATALOGUE:
        for message in topic.messages:
            if message.DESCRIPTOR.full_name == name:
                return message
    return None
