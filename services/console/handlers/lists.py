"""Lists of incidents: what filters ask of the incident service, and what it answers."""

from __future__ import annotations

from datetime import timedelta

from incidentscope.incident.v1 import incident_service_pb2 as contract

from libs.kernel.errors import InvalidInput
from services.console import decode
from services.console.domain import windows
from services.console.domain.filters import GOING_ON, OVER, Filters
from services.console.domain.models import Incident
from services.console.ports import Incidents, RefusalReason, Refused

PAGE_SIZE = 50
OF_SERVICE = 10  # incidents named on a service's page, of those that go on and of those that are over
RECENT = timedelta(days=30)


def request_of(filters: Filters, page_token: str) -> contract.ListIncidentsRequest:
    """Return the request for a page of a list; raises InvalidInput for what cannot be had."""
    filters.check()
    asked = contract.ListIncidentsRequest(
        q=filters.value("q"),
        services=filters.values("service"),
        severities=[decode.severity_number(word) for word in filters.values("severity")],
        statuses=[decode.status_number(word) for word in filters.values("status")],
        sort=decode.sort_number(filters.sort),
        order=contract.SORT_ORDER_ASC if filters.ascending else contract.SORT_ORDER_DESC,
        page_size=PAGE_SIZE,
        page_token=page_token,
    )
    for name, stamp in (("since", asked.since), ("until", asked.until)):
        if (at := filters.instant(name)) is not None:
            stamp.FromDatetime(at)
    if filters.value("last"):
        asked.last.FromTimedelta(windows.span("last", filters.value("last")))
    return asked


async def listed(
    source: Incidents, tenant: str, request: contract.ListIncidentsRequest
) -> contract.ListIncidentsResponse:
    """Return a page of a list; raises InvalidInput with reason `bad_page` for a token that is not of this list."""
    try:
        return await source.list(tenant, request)
    except Refused as exc:
        if exc.reason is RefusalReason.INVALID_ARGUMENT and request.page_token:
            message = "This page belongs to another list, or is none at all; go back to the first."
            raise InvalidInput("bad_page", message) from exc
        raise


async def of_service(source: Incidents, tenant: str, service: str) -> list[Incident]:
    """Return the incidents that touch a service: those that go on, then the latest of the last 30 days."""
    found: list[Incident] = []
    for words, last in ((GOING_ON, None), (OVER, RECENT)):
        statuses = [decode.status_number(word) for word in words]
        request = contract.ListIncidentsRequest(services=[service], statuses=statuses, page_size=OF_SERVICE)
        if last is not None:
            request.last.FromTimedelta(last)
        found += [decode.incident(i) for i in (await source.list(tenant, request)).incidents]
    return found
