"""Kafka -> live feed: a page that opens later reads the present by itself."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message
from prometheus_client import Counter

from libs.messaging.cloudevents import CloudEvent
from libs.messaging.tail import Tail
from libs.messaging.topics import CORRELATION_HYPOTHESES, DEPLOYS_EVENTS, INCIDENTS_EVENTS
from services.console.handlers.live import Change, LiveFeed

TOPICS = tuple(t.name for t in (INCIDENTS_EVENTS, CORRELATION_HYPOTHESES, DEPLOYS_EVENTS))
EVENTS = Counter("incidentscope_console_live_events", "Events read for open pages", ["topic", "outcome"])


class LiveKafka(Tail):
    """Reads events in its own thread until stopped; survives a broker that is away."""

    def __init__(self, bootstrap: str, feed: LiveFeed, topics: Sequence[str] = TOPICS) -> None:
        super().__init__(bootstrap, topics)
        self._feed = feed

    def heard(self, topic: str, event: CloudEvent) -> None:
        """Announce an event to the pages of its tenant."""
        EVENTS.labels(topic, "ok").inc()
        kind = event.type.rpartition(".")[2]
        self._feed.announce_from_thread(Change(event.tenant, topic, kind, _subject(event.data) or event.subject))

    def spoiled(self, topic: str, reason: str) -> None:
        """Count what is no event."""
        EVENTS.labels(topic, reason).inc()

    def set_connected(self, connected: bool) -> None:
        """Show on the pages whether changes arrive."""
        self._feed.set_connected(connected)


def _subject(data: Message) -> str:
    """Return the incident or service an event is about."""
    incident = getattr(data, "incident", None)
    deploy = getattr(data, "deploy", None)
    if incident is not None:
        return str(incident.id)
    return str(deploy.service) if deploy is not None else str(getattr(data, "incident_id", ""))
