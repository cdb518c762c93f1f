"""Checks of gRPC requests: each names the field that is wrong."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.incident.v1 import incident_service_pb2 as rpc

from libs.kernel import starts
from libs.kernel.errors import InvalidInput
from services.incident_service.adapters.encode import SEVERITIES, STATUSES
from services.incident_service.domain.lifecycle import NewIncident
from services.incident_service.domain.model import TITLE_CHARS, Severity, Status

T = TypeVar("T")
M = TypeVar("M", bound=Message)
NAME_CHARS = 200
URL_CHARS = 2000
KEY_CHARS = 255
TEXT_CHARS = 10_000
MOST_SERVICES = 100
CLOCK_SKEW = timedelta(minutes=5)  # how far a caller's clock may run ahead


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


def incident_id(value: str, field: str = "id") -> str:
    """Return an id in its canonical form; raises InvalidInput."""
    try:
        return str(UUID(value))
    except ValueError as exc:
        raise InvalidInput(field, f"{field} is not a UUID" if value else f"{field} is required") from exc


def actor(value: str) -> str:
    """Return who does it; raises InvalidInput."""
    return text("actor", value, NAME_CHARS)


def severity(number: int) -> Severity:
    """Return a severity; raises InvalidInput."""
    return one_of("severity", number, SEVERITIES)


def one_of(field: str, number: int, values: Mapping[T, int]) -> T:
    """Return the value a number stands for; raises InvalidInput."""
    found = next((value for value, known in values.items() if known == number), None)
    if found is None:
        said = f"{field} {number} is not known" if number else f"{field} is required"
        raise InvalidInput(field, f"{said}: {_known(values)}")
    return found


def some_of(field: str, numbers: Sequence[int], values: Mapping[T, int]) -> list[T]:
    """Return values to filter by, each once; raises InvalidInput."""
    known = {number: value for value, number in values.items()}
    unknown = [n for n in numbers if n not in known]
    if unknown:
        raise InvalidInput(field, f"{field} contains {unknown[0]}, which is not known: {_known(values)}")
    return [known[n] for n in sorted(set(numbers))]


def _known(values: Mapping[T, int]) -> str:
    named = sorted((number, str(getattr(value, "name", value))) for value, number in values.items())
    return "there are " + ", ".join(f"{number} ({name})" for number, name in named)


def statuses(numbers: Sequence[int]) -> list[Status]:
    """Return statuses to filter by; raises InvalidInput."""
    return some_of("statuses", numbers, STATUSES)


def url(field: str, value: str, required: bool = True) -> str:
    """Return an http(s) address; raises InvalidInput."""
    address = text(field, value, URL_CHARS, required)
    if not address:
        return ""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and address.isprintable()
    except ValueError:
        usable = False
    if not usable or " " in address:
        raise InvalidInput(field, f"{field} must be an http or https address")
    return address


def moment(field: str, stamp: Timestamp) -> datetime:
    """Return an instant; raises InvalidInput for impossible ones."""
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidInput(field, f"{field} is not a valid timestamp: {exc}") from exc


def paths(mask: FieldMask, allowed: Sequence[str]) -> list[str]:
    """Return what an update mask names, each once; raises InvalidInput for nothing and for what cannot be changed."""
    named = list(dict.fromkeys(mask.paths))
    if not named:
        raise InvalidInput("update_mask", f"update_mask is required: of {', '.join(allowed)}")
    wrong = [path for path in named if path not in allowed]
    if wrong:
        raise InvalidInput("update_mask", f"update_mask cannot name {wrong[0][:50]!r}: only {', '.join(allowed)}")
    return named


def read_mask(mask: FieldMask, message: type[Message]) -> FieldMask:
    """Return a read mask; raises InvalidInput when it names what the message does not have."""
    wrong = [path for path in mask.paths if path not in message.DESCRIPTOR.fields_by_name]
    if wrong:
        raise InvalidInput("read_mask", f"read_mask names {wrong[0][:50]!r}, which the message does not have")
    return mask


def masked(mask: FieldMask, message: M) -> M:
    """Return only the fields that a read mask names, all when it is empty."""
    if not mask.paths:
        return message
    kept = type(message)()
    mask.MergeMessage(message, kept)
    return kept


def idempotency_key(value: str) -> str:
    """Return a key; raises InvalidInput for what is not 1 to 255 printable ASCII characters."""
    if not (0 < len(value) <= KEY_CHARS and value.isascii() and value.isprintable()):
        raise InvalidInput("idempotency_key", f"idempotency-key must be 1 to {KEY_CHARS} printable ASCII characters")
    return value


def services(names: Sequence[str]) -> list[str]:
    """Return service names; raises InvalidInput."""
    if len(names) > MOST_SERVICES:
        raise InvalidInput("services", f"services has {len(names)} names, at most {MOST_SERVICES} are allowed")
    return [text(f"services[{i}]", name, NAME_CHARS) for i, name in enumerate(names)]


def started_at(stamp: Timestamp | None, now: datetime, field: str = "started_at") -> datetime:
    """Return when something began, now when unset; raises InvalidInput for what is impossible, to come, or too old."""
    if stamp is None:
        return now
    instant = moment(field, stamp)
    if instant > now + CLOCK_SKEW:
        raise InvalidInput(field, f"{field} lies in the future: {instant.isoformat()}")
    if instant < now - starts.LONGEST:
        raise InvalidInput(field, f"{field} lies more than {starts.LONGEST.days} days back: {instant.isoformat()}")
    return min(instant, now)


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
