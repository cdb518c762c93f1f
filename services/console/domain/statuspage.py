"""A status page in the JSON shape of Statuspage's API version 2, and as an Atom feed.

https://metastatuspage.com/api describes the shape; what it has and we have not (subscribers, maintenances) is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as XML

from services.console.domain.models import PublicIncident, PublicUpdate, Severity

Json = dict[str, Any]
ATOM = "http://www.w3.org/2005/Atom"
MOST_INCIDENTS = 50
_IMPACT = {Severity.UNKNOWN: "none", Severity.MINOR: "minor", Severity.MAJOR: "major", Severity.CRITICAL: "critical"}
_WORST = ("none", "minor", "major", "critical")
_COMPONENT = {
    "none": "operational",
    "minor": "degraded_performance",
    "major": "partial_outage",
    "critical": "major_outage",
}
_DESCRIPTION = {
    "none": "All Systems Operational",
    "minor": "Minor Service Outage",
    "major": "Partial System Outage",
    "critical": "Major Service Outage",
}


@dataclass(frozen=True, slots=True)
class StatusPage:
    """What is shown of one tenant. `url` is its own address, `console` that of the console, neither ends in a slash."""

    tenant: str
    url: str
    incidents: Sequence[PublicIncident]
    now: datetime
    console: str

    @property
    def unresolved(self) -> list[PublicIncident]:
        """Return the incidents that go on."""
        return [i for i in self.incidents if i.status != "resolved"]

    def summary(self) -> Json:
        """Return summary.json."""
        return {
            "page": self._page(),
            "components": self._components(),
            "incidents": [self._incident(i) for i in self.unresolved],
            "scheduled_maintenances": [],
            "status": self._status(),
        }

    def status(self) -> Json:
        """Return status.json."""
        return {"page": self._page(), "status": self._status()}

    def components(self) -> Json:
        """Return components.json."""
        return {"page": self._page(), "components": self._components()}

    def history(self) -> Json:
        """Return incidents.json: the latest 50."""
        return {"page": self._page(), "incidents": [self._incident(i) for i in self.incidents[:MOST_INCIDENTS]]}

    def going_on(self) -> Json:
        """Return incidents/unresolved.json."""
        return {"page": self._page(), "incidents": [self._incident(i) for i in self.unresolved]}

    def atom(self) -> bytes:
        """Return the history as an Atom feed (RFC 4287)."""
        XML.register_namespace("", ATOM)
        feed = XML.Element(f"{{{ATOM}}}feed")
        _text(feed, "id", self.url)
        _text(feed, "title", f"{self.tenant} status: incident history")
        _text(feed, "updated", _iso(self._updated_at()))
        author = XML.SubElement(feed, f"{{{ATOM}}}author")
        _text(author, "name", self.tenant)
        XML.SubElement(feed, f"{{{ATOM}}}link", rel="self", href=f"{self.url}/history.atom")
        for incident in self.incidents[:MOST_INCIDENTS]:
            self._entry(feed, incident)
        encoded: bytes = XML.tostring(feed, "utf-8", xml_declaration=True)
        return encoded

    def _entry(self, feed: XML.Element, shown: PublicIncident) -> None:
        entry = XML.SubElement(feed, f"{{{ATOM}}}entry")
        _text(entry, "id", f"urn:uuid:{shown.incident.id}")
        _text(entry, "title", _printable(shown.incident.title))
        _text(entry, "published", _iso(shown.incident.opened_at))
        _text(entry, "updated", _iso(shown.updated_at))
        told = (f"{u.status.capitalize()} ({_iso(u.posted_at)}): {u.message}" for u in _updates(shown))
        content = _text(entry, "content", _printable("\n\n".join(told)))
        content.set("type", "text")
        XML.SubElement(entry, f"{{{ATOM}}}link", rel="alternate", type="text/html", href=self._link(shown))

    def _link(self, shown: PublicIncident) -> str:
        """Return the address of an incident's page."""
        return f"{self.console}/incidents/{shown.incident.id}"

    def _page(self) -> Json:
        return {
            "id": self.tenant,
            "name": self.tenant,
            "url": self.url,
            "time_zone": "Etc/UTC",
            "updated_at": _iso(self._updated_at()),
        }

    def _updated_at(self) -> datetime:
        return max((i.updated_at for i in self.incidents), default=datetime(1970, 1, 1, tzinfo=UTC))

    def _status(self) -> Json:
        worst = _worst(_impact(i) for i in self.unresolved)
        return {"indicator": worst, "description": _DESCRIPTION[worst]}

    def _components(self) -> list[Json]:
        """Return the services that public incidents have named, each as bad as the worst that goes on."""
        names = sorted({name for i in self.incidents for name in i.incident.services})
        return [self._component(name, position) for position, name in enumerate(names, start=1)]

    def _component(self, name: str, position: int) -> Json:
        naming = [i for i in self.incidents if name in i.incident.services]
        worst = _worst(_impact(i) for i in naming if i.status != "resolved")
        return {
            "id": name,
            "name": name,
            "status": _COMPONENT[worst],
            "created_at": _iso(min(i.incident.opened_at for i in naming)),
            "updated_at": _iso(max(i.updated_at for i in naming)),
            "position": position,
            "description": None,
            "showcase": False,
            "start_date": None,
            "group_id": None,
            "page_id": self.tenant,
            "group": False,
            "only_show_if_degraded": False,
        }

    def _incident(self, shown: PublicIncident) -> Json:
        incident = shown.incident
        return {
            "id": incident.id,
            "name": incident.title,
            "status": shown.status,
            "created_at": _iso(incident.opened_at),
            "updated_at": _iso(shown.updated_at),
            "monitoring_at": _iso(incident.mitigated_at) if incident.mitigated_at else None,
            "resolved_at": _iso(incident.resolved_at) if incident.resolved_at else None,
            "impact": _impact(shown),
            "shortlink": self._link(shown),
            "started_at": _iso(incident.started_at),
            "page_id": self.tenant,
            "incident_updates": [_update(incident.id, u) for u in _updates(shown)],
            "components": [self._component(name, n) for n, name in enumerate(incident.services, start=1)],
            "reminder_intervals": None,
        }


def _updates(shown: PublicIncident) -> Sequence[PublicUpdate]:
    """Return what was said, newest first; before anything was said, that it is looked into."""
    incident = shown.incident
    first = PublicUpdate(incident.id, "investigating", "We are investigating.", incident.opened_at)
    told = shown.updates or (first,)
    if shown.status != "resolved" or incident.resolved_at is None or told[0].status == "resolved":
        return told
    text = "This incident has been resolved."
    return (PublicUpdate(f"{incident.id}-resolved", "resolved", text, incident.resolved_at), *told)


def _update(incident_id: str, update: PublicUpdate) -> Json:
    at = _iso(update.posted_at)
    return {
        "id": update.id,
        "status": update.status,
        "body": update.message,
        "incident_id": incident_id,
        "created_at": at,
        "updated_at": at,
        "display_at": at,
        "affected_components": None,
        "deliver_notifications": False,
        "custom_tweet": None,
        "tweet_id": None,
    }


def _impact(shown: PublicIncident) -> str:
    return _IMPACT[shown.incident.severity]


def _worst(impacts: Iterable[str]) -> str:
    return max(impacts, key=_WORST.index, default="none")


def _text(parent: XML.Element, name: str, text: str) -> XML.Element:
    child = XML.SubElement(parent, f"{{{ATOM}}}{name}")
    child.text = text
    return child


def _printable(text: str) -> str:
    """Return a text without the characters XML cannot hold."""
    return "".join(c for c in text if c in "\n\t" or (c >= " " and c not in "\ufffe\uffff"))


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
