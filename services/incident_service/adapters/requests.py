"""Checks of gRPC requests: each names the field that is wrong."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.incident.v1 import incident_service_pb2 as rpc

from libs.kernel.errors import InvalidInput
from services.incident_service.adapters.encode import SEVERITIES, STATUSES
from services.incident_service.domain.lifecycle import NewIncident
from services.incident_service.domain.model import TITLE_CHARS, Severity, Status

NAME_CHARS = 200
TEXT_CHARS = 10_000
MOST_SERVICES = 100
CLOCK_SKEW = timedelta(minutes=5)  # how far a caller's clock may run ahead

_STATUS_BY_NUMBER: dict[int, Status] = {number: status for status, number in STATUSES.items()}
_SEVERITY_BY_NUMBER: dict[int, Severity] = {number: severity for severity, number in SEVERITIES.items()}


def new_incident(request: rpc.OpenIncidentRequest, now: datetime) -> NewIncident:
    """Return what an OpenIncidentRequest asks for; raises InvalidInput."""
    return NewIncident(
        title=text("title", request.title, TITLE_CHARS),
        severity=severity(request.severity),
        services=services(request.services),
        started_at=started_at(request.started_at if request.HasField("started_at") else None, now),
        actor=text("actor", request.actor, NAME_CHARS),
    )


def text(field: str, value: str, most: int, required: bool = True) -> str:
    """Return a text without surrounding white space; raises InvalidInput when missing, too long or not storable."""
    stripped = value.strip()
    if required and not stripped:
        raise InvalidInput(field, f"{field} is required")
    if len(stripped) > most:
        raise InvalidInput(field, f"{field} has {len(stripped)} characters, at most {most} are allowed")
    if "\x00" in stripped:
        raise InvalidInput(field, f"{field} contains a NUL character")
    return stripped


def incident_id(value: str) -> str:
    """Return an id in its canonical form; raises InvalidInput."""
    try:
        return str(UUID(value))
    except ValueError as exc:
        raise InvalidInput("id", "id is not a UUID" if value else "id is required") from exc


def severity(number: int) -> Severity:
    """Return a severity; raises InvalidInput."""
    if number not in _SEVERITY_BY_NUMBER:
        raise InvalidInput("severity", f"severity {number} is not known")
    return _SEVERITY_BY_NUMBER[number]


def statuses(numbers: Sequence[int]) -> list[Status]:
    """Return statuses to filter by; raises InvalidInput."""
    unknown = [n for n in numbers if n not in _STATUS_BY_NUMBER]
    if unknown:
        raise InvalidInput("statuses", f"statuses contains {unknown[0]}, which is not a status")
    return sorted({_STATUS_BY_NUMBER[n] for n in numbers})


def services(names: Sequence[str]) -> list[str]:
    """Return service names; raises InvalidInput."""
    if len(names) > MOST_SERVICES:
        raise InvalidInput("services", f"services has {len(names)} names, at most {MOST_SERVICES} are allowed")
    return [text(f"services[{i}]", name, NAME_CHARS) for i, name in enumerate(names)]


def started_at(stamp: Timestamp | None, now: datetime) -> datetime:
    """Return when the trouble began, now when unset; raises InvalidInput for impossible and future instants."""
    if stamp is None:
        return now
    try:
        instant = stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidInput("started_at", f"started_at is not a valid timestamp: {exc}") from exc
    if instant > now + CLOCK_SKEW:
        raise InvalidInput("started_at", f"started_at lies in the future: {instant.isoformat()}")
    return instant


def expected_version(value: int) -> int | None:
    """Return the version the caller has seen, None when not given; raises InvalidInput."""
    if value < 0:
        raise InvalidInput("expected_version", f"expected_version must not be negative: {value}")
    return value or None


def page_size(value: int, most: int, usual: int) -> int:
    """Return how many to list; raises InvalidInput."""
    if not 0 <= value <= most:
        raise InvalidInput("page_size", f"page_size must be 1 to {most}, or 0 for {usual}: {value}")
    return value or usual


def page_token(scope: str, position: str) -> str:
    """Return an opaque token for a position in one listing; `scope` names the listing and its filter."""
    return base64.urlsafe_b64encode(f"{scope}\n{position}".encode()).decode().rstrip("=")


def position(scope: str, token: str) -> str | None:
    """Return the position in a token, None for the first page; raises InvalidInput for another listing's token."""
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as exc:
        raise InvalidInput("page_token", "page_token was not given out by this service") from exc
    found, _, place = raw.partition("\n")
    if found != scope:
        raise InvalidInput("page_token", "page_token belongs to another listing or filter")
    return place


def incident_position(scope: str, token: str) -> str | None:
    """Return the incident id a page starts behind; raises InvalidInput."""
    place = position(scope, token)
    try:
        return None if place is None else str(UUID(place))
    except ValueError as exc:
        raise InvalidInput("page_token", "page_token was not given out by this service") from exc


def number_position(scope: str, token: str) -> int:
    """Return the timeline number a page starts behind, 0 for the first; raises InvalidInput."""
    place = position(scope, token)
    if place is None:
        return 0
    if not (place.isascii() and place.isdigit() and len(place) <= 18):
        raise InvalidInput("page_token", "page_token was not given out by this service")
    return int(place)
