"""Our own events, read back from the topic, for those who watch."""

from __future__ import annotations

from prometheus_client import Counter

from libs.messaging.cloudevents import CloudEvent
from libs.messaging.tail import Tail
from libs.messaging.topics import INCIDENTS_EVENTS
from services.incident_service.handlers.watch import Told, Watches

EVENTS = Counter("incidentscope_incident_live_events", "Events read for watchers", ["outcome"])


class LiveEvents(Tail):
    """Reads `incidents.events` in its own thread until stopped."""

    def __init__(self, bootstrap: str, watches: Watches) -> None:
        super().__init__(bootstrap, (INCIDENTS_EVENTS.name,))
        self._watches = watches

    def wanted(self) -> bool:
        """Tell whether anybody watches."""
        return self._watches.watched

    def heard(self, _topic: str, event: CloudEvent) -> None:
        """Tell watchers of an event."""
        EVENTS.labels("ok").inc()
        incident = getattr(event.data, "incident", None)
        if incident is not None:
            kind = event.type.rpartition(".")[2]
            self._watches.tell_from_thread(Told(event.tenant, incident.id, incident.version, kind, event.data))

    def spoiled(self, _topic: str, reason: str) -> None:
        """Count what is no event."""
        EVENTS.labels(reason).inc()

    def set_connected(self, connected: bool) -> None:
        """Let watches begin, or not."""
        self._watches.connected = connected
