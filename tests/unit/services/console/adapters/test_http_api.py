from __future__ import annotations

import json
import re
from typing import Any

import pytest
from google.protobuf import json_format
from incidentscope.incident.v1 import incident_service_pb2 as contract

from services.console.adapters.http_problems import problem_of
from services.console.ports import RefusalReason, Refused
from tests.unit.services.console.client import Client
from tests.unit.services.console.world import World

UNKNOWN = "01920000-0000-7000-8000-000000000000"
API = "/api/v1/incidents"


def one(world: World) -> str:
    return f"{API}/{world.main.id}"


def test_a_list_is_the_contract_in_json(client: Client, world: World) -> None:
    answer = client.get(API)
    listed = json_format.Parse(answer.text, contract.ListIncidentsResponse())
    assert listed.incidents[0].id == world.main.id
    first = answer.json()["incidents"][0]
    assert first["status"] == "INCIDENT_STATUS_OPEN"
    assert first["startedAt"].endswith("Z")
    assert first["version"] == "1"  # 64-bit numbers are text in protobuf's JSON


def test_a_list_is_filtered_and_paged(client: Client) -> None:
    assert len(client.get(f"{API}?statuses=INCIDENT_STATUS_RESOLVED").json()["incidents"]) == 2
    page = client.get(f"{API}?pageSize=3").json()
    assert (len(page["incidents"]), page["nextPageToken"]) == (3, "second")
    assert len(client.get(f"{API}?pageSize=3&pageToken=second").json()["incidents"]) == 1


def test_an_incident_is_opened_read_moved_and_noted(client: Client) -> None:
    body = {"title": "by hand", "severity": "INCIDENT_SEVERITY_MINOR", "services": ["a"], "actor": "Ana"}
    opened = client.post(API, json=body)
    assert opened.status_code == 201
    path = f"{API}/{opened.json()['incident']['id']}"
    assert client.get(path).json()["incident"]["title"] == "by hand"
    taken = client.post(f"{path}:acknowledge", json={"actor": "Ana", "expectedVersion": "1"})
    assert taken.json()["incident"]["acknowledgedBy"] == "Ana"
    noted = client.post(f"{path}/notes", json={"actor": "Ana", "text": "hello"})
    assert (noted.status_code, noted.json()["entry"]["text"]) == (201, "hello")
    assert client.post(f"{path}:resolve", json={"actor": "Ana"}).status_code == 200
    kinds = [e["kind"] for e in client.get(f"{path}/timeline").json()["entries"]]
    assert kinds.count("TIMELINE_KIND_STATE_CHANGE") == 3


def test_hypotheses_are_the_contract_and_missing_before_the_first(client: Client, world: World) -> None:
    analysis = client.get(f"{one(world)}/hypotheses").json()["analysis"]
    assert analysis["verdict"] == "VERDICT_CAUSE_NAMED"
    world.incidents.no_analysis = True
    assert client.get(f"{one(world)}/hypotheses").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        ("GET", "/{unknown}", {}, 404, "NOT_FOUND"),
        ("GET", "/nonsense", {}, 400, "BAD_ID"),
        ("GET", "/nonsense/timeline", {}, 400, "BAD_ID"),
        ("GET", "?pageSize=many", {}, 400, "BAD_REQUEST"),
        ("GET", "?pageSize=99999999999", {}, 400, "BAD_REQUEST"),
        ("GET", "?statuses=OPEN", {}, 400, "BAD_REQUEST"),
        ("GET", "?page=2", {}, 400, "BAD_REQUEST"),
        ("GET", "/{id}/timeline?id=x", {}, 400, "BAD_REQUEST"),
        ("GET", "?pageToken=zzz", {}, 400, "INVALID_ARGUMENT"),
        ("POST", "", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, "BAD_REQUEST"),
        ("POST", "", {"content": b"\xff\xfe", "headers": {"content-type": "application/json"}}, 400, "BAD_REQUEST"),
        ("POST", "", {"content": b"[" * 9000, "headers": {"content-type": "application/json"}}, 400, "BAD_REQUEST"),
        ("POST", "", {"json": {"nothing": 1}}, 400, "BAD_REQUEST"),
        ("POST", "", {"json": []}, 400, "BAD_REQUEST"),
        ("POST", "", {"json": {}}, 400, "INVALID_ARGUMENT"),
        ("POST", "", {"data": {"title": "x"}}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "", {"json": {}, "headers": {"sec-fetch-site": "cross-site"}}, 403, "FORBIDDEN"),
        ("POST", "/{id}:resolve", {"json": {"id": UNKNOWN, "actor": "A"}}, 400, "BAD_REQUEST"),
        ("POST", "/{id}:resolve", {"json": {"actor": "A", "expectedVersion": 9}}, 409, "ABORTED"),
        ("POST", "/{id}/notes", {"content": b"x" * 300_000}, 413, ""),
        ("DELETE", "/{id}", {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/{id}/nothing", {}, 404, "NOT_FOUND"),
    ],
)
def test_every_refusal_is_a_problem_with_a_stable_code(
    client: Client, world: World, method: str, path: str, more: dict[str, Any], status: int, code: str
) -> None:
    answer = client.request(method, API + path.format(id=world.main.id, unknown=UNKNOWN), **more)
    assert answer.status_code == status, answer.text
    if code:
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["code"], answer.json()["status"]) == (code, status)


def test_a_resolved_incident_cannot_be_acknowledged(client: Client, world: World) -> None:
    client.post(f"{one(world)}:resolve", json={"actor": "A"})
    answer = client.post(f"{one(world)}:acknowledge", json={"actor": "A"})
    assert (answer.status_code, answer.json()["code"]) == (409, "FAILED_PRECONDITION")


def test_a_silent_incident_service_is_503_with_a_time_to_retry(client: Client, world: World) -> None:
    world.incidents.down = True
    answer = client.get(API)
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "5", "UNAVAILABLE")


def test_rest_resolves_tenants_as_pages_do(client: Client, world: World) -> None:
    assert client.get(one(world), headers={"x-tenant-id": "other"}).status_code == 404
    answer = client.get(API, headers={"x-api-key": "wrong"})
    assert (answer.status_code, answer.json()["code"]) == (401, "UNKNOWN_API_KEY")


def test_every_refusal_reason_has_a_status() -> None:
    statuses = {reason: problem_of(Refused(reason, "x")).status.value for reason in RefusalReason}
    assert all(400 <= s < 600 for s in statuses.values())
    assert statuses[RefusalReason.INTERNAL] == 502  # the console is well; what it asked is not


def test_the_openapi_document_is_complete(client: Client) -> None:
    document = client.get("/api/openapi.json").json()
    operations = [o for p in document["paths"].values() for o in p.values()]
    named = {o["operationId"] for o in operations}
    methods = {m.name for m in contract.DESCRIPTOR.services_by_name["IncidentService"].methods}
    assert methods <= named, "every rpc has its route"
    assert len(named) == len(operations)
    names = set(document["components"]["schemas"])
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert referred <= names
    incident = document["components"]["schemas"]["incidentscope.incident.v1.Incident"]["properties"]
    assert incident["version"] == {"type": "string", "format": "int64"}
    assert incident["startedAt"] == {"type": "string", "format": "date-time"}
    assert "422" not in {code for o in operations for code in o["responses"]}


def test_feedback_is_given_and_listed_and_versions_are_read(client: Client, world: World) -> None:
    body = {"actor": "Ana", "analysisVersion": 2, "rank": 1, "verdict": "FEEDBACK_VERDICT_CONFIRMED"}
    given = client.post(f"{one(world)}/hypotheses/feedback", json=body)
    assert (given.status_code, given.json()["feedback"]["service"]) == (201, "payments")
    listed = client.get(f"{one(world)}/hypotheses/feedback").json()["feedback"]
    assert [f["actor"] for f in listed] == ["Ana"]
    versions = client.get(f"{one(world)}/hypotheses/versions").json()["versions"]
    assert [v["version"] for v in versions] == [2, 1]
    assert client.get(f"{one(world)}/hypotheses?version=1").json()["analysis"]["version"] == 1
    similar = client.get(f"{one(world)}/similar").json()["incidents"]
    assert similar[0]["standing"] == "CAUSE_STANDING_CONFIRMED"


def test_feedback_on_what_is_not_there_is_a_problem(client: Client, world: World) -> None:
    path = f"{one(world)}/hypotheses/feedback"
    body = {"actor": "Ana", "analysisVersion": 9, "rank": 1, "verdict": "FEEDBACK_VERDICT_CONFIRMED"}
    assert client.post(path, json=body).status_code == 404
    assert client.post(path, json=body | {"analysisVersion": 2, "rank": 7}).status_code == 400
    assert client.post(path, json=body | {"verdict": "MAYBE"}).status_code == 400
    assert client.post(f"{API}/{UNKNOWN}/hypotheses/feedback", json=body).status_code == 404
    assert client.get(f"{one(world)}/hypotheses?version=9").status_code == 404
