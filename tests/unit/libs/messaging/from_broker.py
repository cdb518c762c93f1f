"""Messages as the Kafka client library hands them over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import KafkaError

Headers = Iterable[tuple[str, bytes]]


@dataclass(frozen=True)
class FromBroker:
    """One message, or an error in its place."""

    topic_name: str = "incidents.events"
    body: bytes | None = None
    sent: Headers | None = None
    failure: KafkaError | None = None

    def error(self) -> KafkaError | None:
        """Return the error."""
        return self.failure

    def topic(self) -> str:
        """Return the topic."""
        return self.topic_name

    def value(self) -> bytes | None:
        """Return the value."""
        return self.body

    def headers(self) -> list[tuple[str, bytes]] | None:
        """Return the headers."""
        return None if self.sent is None else list(self.sent)
