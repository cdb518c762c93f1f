"""CloudEvents 1.0, Kafka protocol binding, binary mode: attributes in `ce_` headers, protobuf as the value.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.message import DecodeError, Message

from libs.kernel.errors import InvalidInput
from libs.messaging import topics
from libs.messaging.ports import Headers, OutgoingRecord

CONTENT_TYPE = "application/protobuf"


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event: its attributes and its data. `tenant` is the `tenantid` extension attribute."""

    id: str
    source: str
    time: datetime
    subject: str
    tenant: str
    data: Message
    traceparent: str = ""

    @property
    def type(self) -> str:
        """Return the CloudEvents type, the full name of the data's message type."""
        return self.data.DESCRIPTOR.full_name


def encode(event: CloudEvent) -> tuple[Headers, bytes]:
    """Return the Kafka headers and value of an event."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": event.id,
        "ce_source": event.source,
        "ce_type": event.type,
        "ce_time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "ce_subject": event.subject,
        "ce_tenantid": event.tenant,
        "content-type": CONTENT_TYPE,
    }
    if event.traceparent:
        attributes["traceparent"] = event.traceparent
    return tuple((k, v.encode()) for k, v in attributes.items()), event.data.SerializeToString()


def record(topic: topics.Topic, key: str, event: CloudEvent) -> OutgoingRecord:
    """Return the message that carries an event on a topic; raises ValueError when the topic does not carry its type."""
    if type(event.data) not in topic.messages:
        raise ValueError(f"topic {topic.name} does not carry {event.type}")
    headers, value = encode(event)
    return OutgoingRecord(topic.name, key.encode(), value, headers)


def decode(headers: Headers, value: bytes) -> CloudEvent:
    """Return the event in a message; raises InvalidInput, reason not_cloudevent, unknown_type, bad_time or bad_data."""
    attributes = {name: raw.decode("utf-8", "replace") for name, raw in headers}
    missing = [n for n in ("ce_id", "ce_source", "ce_type", "ce_tenantid", "ce_time") if not attributes.get(n)]
    if missing or attributes.get("ce_specversion") != "1.0":
        raise InvalidInput("not_cloudevent", f"not a CloudEvents 1.0 message, missing: {missing or 'ce_specversion'}")
    return CloudEvent(
        id=attributes["ce_id"],
        source=attributes["ce_source"],
        time=_instant(attributes["ce_time"]),
        subject=attributes.get("ce_subject", ""),
        tenant=attributes["ce_tenantid"],
        data=_data(attributes["ce_type"], value),
        traceparent=attributes.get("traceparent", ""),
    )


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as exc:
        raise InvalidInput("bad_time", f"ce_time is not an RFC 3339 instant: {text!r}") from exc
    if instant.tzinfo is None:
        raise InvalidInput("bad_time", f"ce_time has no zone: {text!r}")
    return instant


def _data(type_name: str, value: bytes) -> Message:
    kind = topics.message_type(type_name)
    if kind is None:
        raise InvalidInput("unknown_type", f"no topic carries the event type {type_name!r}")
    data = kind()
    try:
        data.ParseFromString(value)
    except DecodeError as exc:
        raise InvalidInput("bad_data", f"the value is not a {type_name}: {exc}") from exc
    return data
