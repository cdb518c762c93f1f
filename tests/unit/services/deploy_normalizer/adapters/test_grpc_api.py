"""The gRPC door: every bad request is refused with the name of its field."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.deploy.v1 import deploy_service_pb2 as pb

from libs.kernel.errors import InvalidInput, Unavailable
from services.deploy_normalizer.adapters.grpc_api import DEFAULT_PAGE, DeployServicer, read_query
from services.deploy_normalizer.domain.deploy import Deploy, Kind, Status, combine
from services.deploy_normalizer.domain.query import DeployFilter, DeployQuery
from services.deploy_normalizer.handlers.live import WAITING, LiveDeploys
from services.deploy_normalizer.handlers.lookup import DeployLookup
from services.deploy_normalizer.ports import DeployStore
from tests.unit.services.deploy_normalizer.deploy_store_suite import deploys_at
from tests.unit.services.deploy_normalizer.world import MemoryDeploys, minutes, report


def request(**changes: Any) -> pb.ListDeploysRequest:
    """Return a request for the hour after noon."""
    start, end = Timestamp(), Timestamp()
    start.FromDatetime(minutes(0))
    end.FromDatetime(minutes(60))
    return pb.ListDeploysRequest(**({"start_time": start, "end_time": end} | changes))


class Aborted(Exception):
    """What grpc raises when a handler aborts."""


class Context:
    """The part of grpc's context a handler uses."""

    async def send_initial_metadata(self, metadata: Any) -> None:
        """Send the header of a stream."""

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        """End the call."""
        raise Aborted(code.name, details)


def call(store: DeployStore, act: Callable[[DeployServicer], Awaitable[Any]], tenant: str = "acme") -> Any:
    async def run() -> Any:
        return await act(DeployServicer(DeployLookup(store), LiveDeploys(), lambda: tenant))

    return asyncio.run(run())


def test_a_request_is_read_with_its_defaults() -> None:
    query, size = read_query(request(services=["a", "b"]))
    assert (query.services, query.window.start, query.window.end) == (("a", "b"), minutes(0), minutes(60))
    assert (query.after, size, query.only) == (None, DEFAULT_PAGE, DeployFilter())


def test_filters_are_read() -> None:
    query, _ = read_query(request(environments=["production"], kinds=[1, 5, 1], statuses=[3]))
    assert query.only == DeployFilter(("production",), (Kind.DEPLOY, Kind.CONFIGURATION), (Status.SUCCEEDED,))
    searched, _ = read_query(request(q=" v2.31  mara "))
    assert searched.only == DeployFilter(words=("mara", "v2.31"))


def test_a_page_token_belongs_to_its_filters() -> None:
    store = MemoryDeploys()
    asyncio.run(deploys_at(store, [("a", n, n + 1) for n in range(3)]))
    token = call(store, lambda s: s.ListDeploys(request(page_size=1), Context())).next_page_token
    with pytest.raises(InvalidInput, match="page_token"):
        read_query(request(page_token=token, kinds=[1]))
    with pytest.raises(InvalidInput, match="page_token"):
        read_query(request(page_token=token, q="a"))


def watched(act: Callable[[LiveDeploys], None], count: int, **asked: Any) -> list[str]:
    """Return the services of the changes a watcher of tenant acme is sent while `act` announces."""

    async def run() -> list[str]:
        live = LiveDeploys()
        live.set_connected(True)
        stream = DeployServicer(DeployLookup(MemoryDeploys()), live, lambda: "acme").WatchDeploys(
            pb.WatchDeploysRequest(**asked), Context()
        )
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        act(live)
        found = [await first]
        found += [await anext(stream) for _ in range(count - 1)]
        return [answer.deploy.service for answer in found]

    return asyncio.run(asyncio.wait_for(run(), 5))


def test_a_watcher_is_sent_the_changes_it_asked_for() -> None:
    def act(live: LiveDeploys) -> None:
        live.announce(combine("other", [report(Status.PENDING, service="foreign")]))
        live.announce(combine("acme", [report(Status.PENDING, service="pending")]))
        live.announce(combine("acme", [report(Status.SUCCEEDED, service="staged", environment="staging")]))
        live.announce(combine("acme", [report(Status.SUCCEEDED, service="built", kind=Kind.CI_OUTCOME)]))
        live.announce(combine("acme", [report(Status.SUCCEEDED, service="checkout")]))
        live.announce(combine("acme", [report(Status.FAILED, service="cart")]))

    assert watched(act, 2, environments=["production"], kinds=[1], statuses=[3, 4]) == ["checkout", "cart"]
    assert watched(act, 1, services=["cart"]) == ["cart"]


def test_a_watcher_that_falls_behind_is_told_so_after_what_it_has_waiting() -> None:
    def act(live: LiveDeploys) -> None:
        for _ in range(WAITING + 5):
            live.announce(combine("acme", [report(Status.PENDING)]))

    assert len(watched(act, WAITING)) == WAITING
    with pytest.raises(Aborted, match="RESOURCE_EXHAUSTED"):
        watched(act, WAITING + 1)


def test_a_stream_that_may_miss_changes_ends() -> None:
    with pytest.raises(Aborted, match="UNAVAILABLE"):
        watched(lambda live: live.set_connected(False), 1)


def test_a_stream_does_not_begin_while_no_changes_arrive() -> None:
    async def begin(servicer: DeployServicer) -> None:
        await anext(servicer.WatchDeploys(pb.WatchDeploysRequest(), Context()))

    with pytest.raises(Aborted, match="UNAVAILABLE"):
        call(MemoryDeploys(), begin)


def test_a_bad_watch_is_refused_with_the_name_of_the_field() -> None:
    with pytest.raises(Aborted, match=r"INVALID_ARGUMENT.*kinds"):
        watched(lambda _: None, 1, kinds=[77])


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("start_time", pb.ListDeploysRequest(end_time=Timestamp(seconds=1))),
        ("end_time", pb.ListDeploysRequest(start_time=Timestamp(seconds=1))),
        ("end_time", pb.ListDeploysRequest(start_time=Timestamp(seconds=1), end_time=Timestamp(seconds=1))),
        ("start_time", request(start_time=Timestamp(seconds=2**60))),
        ("end_time", request(end_time=Timestamp(seconds=1, nanos=-5))),
        ("page_size", request(page_size=-1)),
        ("page_size", request(page_size=1001)),
        ("services", request(services=[""])),
        ("services", request(services=["x" * 256])),
        ("services", request(services=["a\x00"])),
        ("services", request(services=["a"] * 1001)),
        ("page_token", request(page_token="forged")),
        ("environments", request(environments=[""])),
        ("kinds", request(kinds=[0])),
        ("kinds", request(kinds=[99])),
        ("statuses", request(statuses=[0])),
        ("q", request(q="w " * 11)),
        ("q", request(q="a\x00")),
    ],
)
def test_a_bad_request_is_refused_with_the_name_of_the_field(field: str, bad: pb.ListDeploysRequest) -> None:
    with pytest.raises(InvalidInput, match=field) as refused:
        read_query(bad)
    assert refused.value.reason == field
    with pytest.raises(Aborted, match="INVALID_ARGUMENT"):
        call(MemoryDeploys(), lambda servicer: servicer.ListDeploys(bad, Context()))


def test_pages_follow_each_other_to_the_end() -> None:
    async def walk(servicer: DeployServicer) -> list[int]:
        sizes, token = [], ""
        while True:
            answer = await servicer.ListDeploys(request(page_size=2, page_token=token), Context())
            sizes.append(len(answer.deploys))
            token = answer.next_page_token
            if not token:
                return sizes

    store = MemoryDeploys()
    asyncio.run(deploys_at(store, [("a", n, n + 1) for n in range(5)]))
    assert call(store, walk) == [2, 2, 1]


def test_a_deploy_is_given_to_its_own_tenant_only() -> None:
    store = MemoryDeploys()
    asyncio.run(store.record("acme", report(Status.PENDING), ""))
    [deploy] = store.announced
    found = call(store, lambda s: s.GetDeploy(pb.GetDeployRequest(id=deploy.id), Context()))
    assert (found.deploy.id, found.deploy.tenant_id) == (deploy.id, "acme")
    with pytest.raises(Aborted, match="NOT_FOUND"):
        call(store, lambda s: s.GetDeploy(pb.GetDeployRequest(id=deploy.id), Context()), tenant="other")


@pytest.mark.parametrize("bad", ["", "x" * 65, "a\x00"])
def test_a_bad_id_is_refused(bad: str) -> None:
    with pytest.raises(Aborted, match=r"INVALID_ARGUMENT.*id must"):
        call(MemoryDeploys(), lambda s: s.GetDeploy(pb.GetDeployRequest(id=bad), Context()))


def test_a_store_that_does_not_answer_is_unavailable() -> None:
    class Down(MemoryDeploys):
        async def find(self, tenant: str, deploy_id: str) -> Deploy | None:  # noqa: ARG002
            raise Unavailable("Postgres does not answer")

        async def touching(self, tenant: str, query: DeployQuery, limit: int) -> list[Deploy]:  # noqa: ARG002
            raise Unavailable("Postgres does not answer")

    for act in (
        lambda s: s.GetDeploy(pb.GetDeployRequest(id="a"), Context()),
        lambda s: s.ListDeploys(request(), Context()),
    ):
        with pytest.raises(Aborted, match="UNAVAILABLE"):
            call(Down(), act)
