"""The gRPC door: DeployService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.deploy.v1 import deploy_service_pb2 as pb
from incidentscope.deploy.v1 import deploy_service_pb2_grpc as pb_grpc

from libs.kernel.errors import InvalidInput, Unavailable
from libs.kernel.search import words
from libs.kernel.timewindow import TimeWindow
from libs.runtime.grpc_server import current_tenant
from services.deploy_normalizer.adapters.messages import KINDS, STATUSES, to_message
from services.deploy_normalizer.domain.deploy import Kind, Status
from services.deploy_normalizer.domain.fields import NAME_CHARS
from services.deploy_normalizer.domain.query import DeployFilter, DeployQuery, place_after
from services.deploy_normalizer.handlers.live import LiveDeploys, WatchEnded
from services.deploy_normalizer.handlers.lookup import DeployLookup

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["DeployService"].full_name
DEFAULT_PAGE = 100
MAX_PAGE = 1000
MAX_SERVICES = 1000
MAX_ID_CHARS = 64
Word = TypeVar("Word", Kind, Status)


class DeployServicer(pb_grpc.DeployServiceServicer):
    """Answers DeployService for the tenant of the call."""

    def __init__(self, lookup: DeployLookup, live: LiveDeploys, tenant: Callable[[], str] = current_tenant) -> None:
        self._lookup = lookup
        self._live = live
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

    async def WatchDeploys(
        self, request: pb.WatchDeploysRequest, context: Any
    ) -> AsyncIterator[pb.WatchDeploysResponse]:
        """Send deploys as they appear and move on, until the caller leaves."""
        try:
            services, only = _services(request), _filter(request)
            async with self._live.watch(self._tenant(), services, only) as changes:
                await context.send_initial_metadata(())  # from here on nothing is missed
                async for deploy in changes:
                    yield pb.WatchDeploysResponse(deploy=to_message(deploy))
        except InvalidInput as exc:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(exc))
        except WatchEnded as exc:
            code = grpc.StatusCode.RESOURCE_EXHAUSTED if exc.too_slow else grpc.StatusCode.UNAVAILABLE
            await _abort(context, code, str(exc))


async def _abort(context: Any, code: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(code, message)
    raise AssertionError("grpc's abort always raises")


def read_query(request: pb.ListDeploysRequest) -> tuple[DeployQuery, int]:
    """Return the query and its page size; raises InvalidInput naming the field."""
    size = request.page_size or DEFAULT_PAGE
    if not 1 <= size <= MAX_PAGE:
        raise InvalidInput("page_size", f"page_size must lie between 1 and {MAX_PAGE}, or be 0 for {DEFAULT_PAGE}")
    only = replace(_filter(request), words=words(request.q))
    query = DeployQuery(_services(request), _window(request), None, only)
    if request.page_token:
        query = replace(query, after=place_after(query, request.page_token))
    return query, size


def _services(request: pb.ListDeploysRequest | pb.WatchDeploysRequest) -> tuple[str, ...]:
    return _names("services", request.services)


def _filter(request: pb.ListDeploysRequest | pb.WatchDeploysRequest) -> DeployFilter:
    return DeployFilter(
        _names("environments", request.environments),
        _words("kinds", request.kinds, KINDS),
        _words("statuses", request.statuses, STATUSES),
    )


def _names(field: str, names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > MAX_SERVICES:
        raise InvalidInput(field, f"{field} may name at most {MAX_SERVICES}")
    if not all(0 < len(name) <= NAME_CHARS and "\x00" not in name for name in names):
        raise InvalidInput(field, f"{field} must each have 1 to {NAME_CHARS} characters, none of them NUL")
    return tuple(names)


def _words(field: str, numbers: Sequence[int], known: Mapping[Word, int]) -> tuple[Word, ...]:
    named = {number: word for word, number in known.items()}
    unknown = sorted(set(numbers) - set(named))
    if unknown:
        raise InvalidInput(field, f"{field} has the unknown value {unknown[0]}; known are {', '.join(map(str, named))}")
    return tuple(named[number] for number in dict.fromkeys(numbers))


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
