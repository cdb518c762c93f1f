"""What messages say: the product's own templates, and the facts every template can name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from services.incident_service.domain.model import Incident, Priority, Severity, Status
from services.incident_service.domain.response import public_status

SUBJECT_CHARS = 300
TEMPLATE_CHARS = 20_000
BODY_CHARS = 40_000  # what Slack takes; longer is cut nowhere, but refused


class Channel(StrEnum):
    """Where a message goes."""

    SLACK = "slack"
    EMAIL = "email"
    STATUS_PAGE = "status_page"


@dataclass(frozen=True, slots=True)
class Template:
    """What messages of a channel are made from; `updated_at` is None for the product's own."""

    channel: Channel
    subject: str
    body: str
    updated_by: str = ""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as it can be sent."""

    subject: str
    body: str


_SLACK = """\
{% set marks = {"critical": ":red_circle:", "major": ":large_orange_circle:", "minor": ":large_yellow_circle:"} -%}
{{ marks.get(incident.severity, ":white_circle:") }} *{{ incident.title }}*
*Status:* {{ incident.status }}  *Severity:* {{ incident.severity }}{% if incident.priority %}  *Priority:* \
{{ incident.priority }}{% endif %}
{% if incident.services %}*Services:* {{ incident.services | join(", ") }}
{% endif %}{% if incident.commander %}*Commander:* {{ incident.commander }}
{% endif %}{% if incident.bridge_url %}*Call:* {{ incident.bridge_url }}
{% endif %}{% if message %}
{{ message }}
{% elif incident.summary %}
{{ incident.summary }}
{% endif %}<{{ incident.url }}|Open the incident>"""

_EMAIL_SUBJECT = "[{{ incident.severity }}] {{ incident.title }}: {{ incident.status }}"
_EMAIL = """\
{{ incident.title }}

Status:    {{ incident.status }}
Severity:  {{ incident.severity }}
{% if incident.services %}Services:  {{ incident.services | join(", ") }}
{% endif %}{% if incident.commander %}Commander: {{ incident.commander }}
{% endif %}{% if incident.bridge_url %}Call:      {{ incident.bridge_url }}
{% endif %}Alerts fired from {{ incident.started_at }}.

{{ message or incident.summary or "There is no news yet." }}

{{ incident.url }}
"""

_STATUS_PAGE_SUBJECT = "{{ incident.public_title }}"
_STATUS_PAGE = """\
{% if message %}{{ message }}{% elif incident.public_status == "investigating" %}We are investigating a problem\
{% if incident.services %} with {{ incident.services | join(", ") }}{% endif %}.{% elif incident.public_status == \
"identified" %}We have found the cause and are working on a fix.{% elif incident.public_status == "monitoring" %}\
A fix is in place and we are watching the results.{% else %}This incident has been resolved.{% endif %}"""

DEFAULTS: Mapping[Channel, Template] = {
    Channel.SLACK: Template(Channel.SLACK, "", _SLACK),
    Channel.EMAIL: Template(Channel.EMAIL, _EMAIL_SUBJECT, _EMAIL),
    Channel.STATUS_PAGE: Template(Channel.STATUS_PAGE, _STATUS_PAGE_SUBJECT, _STATUS_PAGE),
}


def facts(incident: Incident, message: str, console_url: str) -> dict[str, object]:
    """Return what a template can name: plain strings and lists, nothing with methods of ours."""
    severity = "not judged" if incident.severity is Severity.UNSPECIFIED else incident.severity.name.lower()
    told: dict[str, object] = {
        "id": incident.id,
        "url": f"{console_url.rstrip('/')}/incidents/{incident.id}",
        "title": incident.title,
        "public_title": incident.public_title or incident.title,
        "status": incident.status.value,
        "public_status": public_status(incident, None).value,
        "severity": severity,
        "priority": "" if incident.priority is Priority.UNSPECIFIED else incident.priority.name,
        "services": list(incident.services),
        "summary": incident.summary,
        "bridge_url": incident.bridge_url,
        "commander": incident.commander,
        "scribe": incident.scribe,
        "communications": incident.communications,
        "started_at": _instant(incident.started_at),
        "opened_at": _instant(incident.opened_at),
        "acknowledged_at": _instant(incident.acknowledged_at),
        "mitigated_at": _instant(incident.mitigated_at),
        "resolved_at": _instant(incident.resolved_at),
    }
    return {"incident": told, "message": message}


def sample(now: datetime) -> Incident:
    """Return an incident to try a template on."""
    return Incident(
        id="00000000-0000-7000-8000-000000000000", tenant="sample", title="checkout: error rate 28 %",
        status=Status.OPEN, severity=Severity.CRITICAL, services=("checkout", "payments"), group_key="",
        started_at=now, opened_at=now, summary="Payments fail since the last deploy.", commander="Ana",
        bridge_url="https://call.example/1",
    )  # fmt: skip


def _instant(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else ""
