"""The gRPC door: DeployService."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.deploy.v1 import deploy_service_pb2 as pb
from incidentscope.deploy.v1 import deploy_service_pb2_grpc as pb_grpc

from libs.kernel.errors import InvalidInput, Unavailable
from libs.kernel.timewindow import TimeWindow
from libs.runtime.grpc_server import current_tenant
from services.deploy_normalizer.adapters.messages import to_message
from services.deploy_normalizer.domain.fields import NAME_CHARS
from services.deploy_normalizer.domain.query import DeployQuery, place_after
from services.deploy_normalizer.handlers import DeployLookup

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["DeployService"].full_name
DEFAULT_PAGE = 100
MAX_PAGE = 1000
MAX_SERVICES = 1000
MAX_ID_CHARS = 64


class DeployServicer(pb_grpc.DeployServiceServicer):
    """Answers DeployService for the tenant of the call."""

    def __init__(self, lookup: DeployLookup, tenant: Callable[[], str] = current_tenant) -> None:
        self._lookup = lookup
        self._tenant = tenant

    async def ListDeploys(self, request: pb.ListDeploysRequest, context: Any) -> pb.ListDeploysResponse:
        """Return a page of deploys that touched the window."""
        try:
            query, size = read_query(request)
            deploys, token = await self._lookup.page(self._tenant(), query, size)
        except InvalidInput as exc:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(exc))
        except Unavailable as exc:
            await _abort(context, grpc.StatusCode.UNAVAILABLE, str(exc))
        return pb.ListDeploysResponse(deploys=[to_message(d) for d in deploys], next_page_token=token)

    async def GetDeploy(self, request: pb.GetDeployRequest, context: Any) -> pb.GetDeployResponse:
        """Return one deploy."""
        if not request.id or len(request.id) > MAX_ID_CHARS or "\x00" in request.id:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"id must have 1 to {MAX_ID_CHARS} characters")
        try:
            deploy = await self._lookup.find(self._tenant(), request.id)
        except Unavailable as exc:
            await _abort(context, grpc.StatusCode.UNAVAILABLE, str(exc))
        if deploy is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, f"no deploy has the id {request.id!r}")
        return pb.GetDeployResponse(deploy=to_message(deploy))


async def _abort(context: Any, code: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(code, message)
    raise AssertionError("grpc's abort always raises")


def read_query(request: pb.ListDeploysRequest) -> tuple[DeployQuery, int]:
    """Return the query and its page size; raises InvalidInput naming the field."""
    size = request.page_size or DEFAULT_PAGE
    if not 1 <= size <= MAX_PAGE:
        raise InvalidInput("page_size", f"page_size must lie between 1 and {MAX_PAGE}, or be 0 for {DEFAULT_PAGE}")
    query = DeployQuery(_services(request), _window(request))
    if request.page_token:
        query = DeployQuery(query.services, query.window, place_after(query, request.page_token))
    return query, size


def _services(request: pb.ListDeploysRequest) -> tuple[str, ...]:
    if len(request.services) > MAX_SERVICES:
        raise InvalidInput("services", f"services may name at most {MAX_SERVICES}")
    if not all(0 < len(name) <= NAME_CHARS and "\x00" not in name for name in request.services):
        raise InvalidInput("services", f"services must each have 1 to {NAME_CHARS} characters, none of them NUL")
    return tuple(request.services)


def _window(request: pb.ListDeploysRequest) -> TimeWindow:
    for name in ("start_time", "end_time"):
        if not request.HasField(name):
            raise InvalidInput(name, f"{name} is required")
    start, end = _instant("start_time", request.start_time), _instant("end_time", request.end_time)
    if end <= start:
        raise InvalidInput("end_time", "end_time must be after start_time")
    return TimeWindow(start, end)


def _instant(name: str, value: Timestamp) -> datetime:
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidInput(name, f"{name} is not a valid timestamp: {exc}") from exc
