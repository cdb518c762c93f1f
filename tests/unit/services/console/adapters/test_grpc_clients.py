from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from incidentscope.deploy.v1 import deploy_service_pb2 as deploy
from incidentscope.deploy.v1 import deploy_service_pb2_grpc as deploy_grpc
from incidentscope.incident.v1 import incident_service_pb2 as incident
from incidentscope.incident.v1 import incident_service_pb2_grpc as incident_grpc

from libs.kernel.errors import Unavailable
from services.console.adapters.grpc_clients import GrpcDeploys, GrpcIncidents
from services.console.ports import RefusalReason, Refused


class Servicer:
    """Answers each method with the tenant it was called for where the answer has room for it, or fails as told."""

    def __init__(self, code: grpc.StatusCode | None = None, wait_s: float = 0) -> None:
        self.code, self.wait_s = code, wait_s

    def __getattr__(self, name: str) -> Any:
        module = deploy if name in ("ListDeploys", "GetDeploy") else incident

        async def method(_request: Any, context: Any) -> Any:
            await asyncio.sleep(self.wait_s)
            if self.code is not None:
                await context.abort(self.code, "because")
            answer = getattr(module, f"{name}Response")()
            if name in ("ListDeploys", "ListIncidents"):
                answer.next_page_token = dict(context.invocation_metadata())["x-tenant-id"]
            return answer

        return method


Call = Callable[[GrpcIncidents, GrpcDeploys], Awaitable[Any]]


def called(servicer: Any, call: Call, timeout_s: float = 5) -> Any:
    async def scene() -> Any:
        server = grpc.aio.server()
        incident_grpc.add_IncidentServiceServicer_to_server(servicer, server)
        deploy_grpc.add_DeployServiceServicer_to_server(servicer, server)
        target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        incidents, deploys = GrpcIncidents(target, timeout_s), GrpcDeploys(target, timeout_s)
        try:
            return await call(incidents, deploys)
        finally:
            await incidents.close()
            await deploys.close()
            await server.stop(None)

    return asyncio.run(scene())


def test_every_call_carries_the_tenant() -> None:
    request = incident.ListIncidentsRequest()
    assert called(Servicer(), lambda i, _: i.list("shop", request)).next_page_token == "shop"
    assert called(Servicer(), lambda _, d: d.list("shop", deploy.ListDeploysRequest())).next_page_token == "shop"


def test_every_operation_reaches_its_method() -> None:
    async def all_of_them(i: GrpcIncidents, _: GrpcDeploys) -> list[str]:
        answers = [
            await i.open("t", incident.OpenIncidentRequest()),
            await i.get("t", incident.GetIncidentRequest()),
            await i.acknowledge("t", incident.AcknowledgeIncidentRequest()),
            await i.resolve("t", incident.ResolveIncidentRequest()),
            await i.add_note("t", incident.AddNoteRequest()),
            await i.timeline("t", incident.ListTimelineRequest()),
            await i.hypotheses("t", incident.GetHypothesesRequest()),
        ]
        return [type(a).__name__ for a in answers]

    assert called(Servicer(), all_of_them) == [
        "OpenIncidentResponse", "GetIncidentResponse", "AcknowledgeIncidentResponse", "ResolveIncidentResponse",
        "AddNoteResponse", "ListTimelineResponse", "GetHypothesesResponse",
    ]  # fmt: skip


@pytest.mark.parametrize("reason", list(RefusalReason))
def test_a_no_keeps_its_reason_and_words(reason: RefusalReason) -> None:
    servicer = Servicer(grpc.StatusCode[reason.name])
    with pytest.raises(Refused, match="because") as refused:
        called(servicer, lambda i, _: i.get("shop", incident.GetIncidentRequest()))
    assert refused.value.reason is reason


def test_an_unforeseen_code_is_an_internal_failure() -> None:
    with pytest.raises(Refused) as refused:
        called(Servicer(grpc.StatusCode.DATA_LOSS), lambda i, _: i.get("shop", incident.GetIncidentRequest()))
    assert refused.value.reason is RefusalReason.INTERNAL


def test_no_answer_in_time_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        called(Servicer(wait_s=3), lambda i, _: i.get("shop", incident.GetIncidentRequest()), timeout_s=0.2)


def test_nobody_there_is_unavailable() -> None:
    async def scene() -> None:
        incidents = GrpcIncidents("127.0.0.1:1", 1)
        try:
            await incidents.get("shop", incident.GetIncidentRequest())
        finally:
            await incidents.close()

    with pytest.raises(Unavailable):
        asyncio.run(scene())
