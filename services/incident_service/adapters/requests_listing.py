"""Checks of what a list of incidents is asked for, and its page tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from incidentscope.incident.v1 import incident_service_pb2 as rpc

from libs.kernel.errors import InvalidInput
from libs.kernel.search import words
from services.incident_service.adapters import requests as check
from services.incident_service.adapters.encode import SEVERITIES
from services.incident_service.domain.listing import Listing, Place, Sort
from services.incident_service.domain.model import Severity

SORTS = {
    Sort.OPENED: rpc.INCIDENT_SORT_OPENED,
    Sort.UPDATED: rpc.INCIDENT_SORT_UPDATED,
    Sort.SEVERITY: rpc.INCIDENT_SORT_SEVERITY,
}
ORDERS = {"DESC": rpc.SORT_ORDER_DESC, "ASC": rpc.SORT_ORDER_ASC}
LONGEST_AGO = timedelta(days=3660)


def listing(request: rpc.ListIncidentsRequest) -> Listing:
    """Return what a ListIncidentsRequest asks for; raises InvalidInput naming the field."""
    since = check.moment("since", request.since) if request.HasField("since") else None
    until = check.moment("until", request.until) if request.HasField("until") else None
    last = ago("last", request.last) if request.HasField("last") else None
    if last is not None and (since or until):
        raise InvalidInput("last", "last cannot be combined with since or until: give one or the other")
    if since is not None and until is not None and until <= since:
        raise InvalidInput("until", "until must lie after since")
    return Listing(
        statuses=tuple(check.statuses(request.statuses)),
        severities=severities(request.severities),
        services=services(request.services),
        words=words(request.q),
        since=since,
        until=until,
        last=last,
        sort=check.one_of("sort", request.sort or rpc.INCIDENT_SORT_OPENED, SORTS),
        ascending=check.one_of("order", request.order or rpc.SORT_ORDER_DESC, ORDERS) == "ASC",
    )


def severities(numbers: Sequence[int]) -> tuple[Severity, ...]:
    """Return severities to filter by; raises InvalidInput."""
    return tuple(check.some_of("severities", numbers, SEVERITIES))


def services(names: Sequence[str]) -> tuple[str, ...]:
    """Return services to filter by, each once; raises InvalidInput."""
    return tuple(sorted(set(check.services(names))))


def ago(field: str, span: Duration) -> timedelta:
    """Return how far to look back; raises InvalidInput for nothing, for the future, and for more than ten years."""
    seconds = span.seconds + span.nanos / 1e9
    if not 0 < seconds <= LONGEST_AGO.total_seconds():
        raise InvalidInput(field, f"{field} must be more than nothing and at most {LONGEST_AGO.days} days")
    return timedelta(seconds=seconds)


def token(wanted: Listing, place: Place) -> str:
    """Return the token of the page behind a place; it is good for this listing only."""
    key = place.key.isoformat() if isinstance(place.key, datetime) else str(int(place.key))
    return check.page_token(wanted.scope, f"{key} {place.id}")


def place(wanted: Listing, page_token: str) -> Place | None:
    """Return the place a page starts behind, None for the first; raises InvalidInput."""
    text = check.position(wanted.scope, page_token)
    if text is None:
        return None
    key, _, incident_id = text.rpartition(" ")
    try:
        by_number = wanted.sort is Sort.SEVERITY
        return Place(Severity(int(key)) if by_number else _aware(key), str(UUID(incident_id)))
    except ValueError as exc:
        raise InvalidInput("page_token", "page_token was not given out by this service") from exc


def _aware(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("no time zone")
    return at
