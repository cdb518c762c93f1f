from __future__ import annotations

import json
import re
from datetime import UTC
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
        ("POST", "/{id}/notes", {"json": {"text": "x" * 400_000}}, 413, "BODY_TOO_LARGE"),
        ("DELETE", "/{id}", {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/{id}/nothing", {}, 404, "NOT_FOUND"),
    ],
)
def test_every_refusal_is_a_problem_with_a_stable_code(
    client: Client, world: World, method: str, path: str, more: dict[str, Any], status: int, code: str
) -> None:
    answer = client.request(method, API + path.format(id=world.main.id, unknown=UNKNOWN), **more)
    assert answer.status_code == status, answer.text
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
    assert "begins with `/` is a path on this console" in document["info"]["description"]
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


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("status=open", ["checkout"]),
        ("status=resolved&statuses=INCIDENT_STATUS_OPEN", ["checkout", "<script>", "quotes"]),
        ("severity=critical&severity=unspecified", ["checkout", "quotes"]),
        ("severities=INCIDENT_SEVERITY_CRITICAL", ["checkout"]),
        ("service=cart&service=quotes", ["cart", "quotes"]),
        ("q=P95+cart", ["cart"]),
        ("last=24h", ["checkout", "cart"]),
        ("sort=severity&order=asc", ["quotes", "<script>", "cart", "checkout"]),
        ("sort=opened&order=asc&status=resolved", ["quotes", "<script>"]),
    ],
)
def test_a_list_is_asked_for_in_short_words(client: Client, query: str, titles: list[str]) -> None:
    answer = client.get(f"{API}?{query}")
    assert answer.status_code == 200, answer.text
    assert [re.split(r"[: >]", i["title"])[0].strip("<>") for i in answer.json()["incidents"]] == [
        t.strip("<>") for t in titles
    ]


def test_times_of_a_list_are_given_in_the_usual_ways(client: Client, world: World) -> None:
    opened = world.main.opened_at.ToDatetime(UTC)
    for since in (f"{opened:%Y-%m-%dT%H:%M:%SZ}", str(int(opened.timestamp())), f"{opened:%Y-%m-%dT%H:%M:%S}"):
        assert len(client.get(f"{API}?since={since}").json()["incidents"]) == 1
        assert len(client.get(f"{API}?until={since}").json()["incidents"]) == 3


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("status=broken", "status 'broken' is not known; there are unspecified, open, acknowledged, resolved"),
        ("severities=sev1", "severities 'sev1' is not known; there are unspecified, minor, major, critical."),
        ("sort=title", "sort 'title' is not known; there are unspecified, opened, updated, severity."),
        ("order=up", "order 'up' is not known; there are unspecified, desc, asc."),
        ("since=yesterday", "since is not a time: 'yesterday'. Use RFC 3339"),
        ("last=1y", "last is not a length of time: '1y'. Use a whole number with s, m, h, d or w"),
        ("services=x&state=open", "state"),
        ("pageSize=many", "pageSize"),
    ],
)
def test_a_list_that_cannot_be_had_is_refused_with_the_name_and_what_can(client: Client, query: str, says: str) -> None:
    answer = client.get(f"{API}?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert says in answer.json()["detail"]


def test_a_token_of_another_list_is_refused(client: Client) -> None:
    assert client.get(f"{API}?pageSize=3&status=open&status=resolved").json()["nextPageToken"] == ""
    assert client.get(f"{API}?pageSize=3").json()["nextPageToken"] == "second"
    answer = client.get(f"{API}?pageSize=3&pageToken=second&sort=severity")
    assert (answer.status_code, answer.json()["detail"]) == (400, "page_token belongs to another listing or filter")


def test_the_document_has_the_filters_in_both_ways_they_can_be_said(client: Client) -> None:
    listing = client.get("/api/openapi.json").json()["paths"]["/api/v1/incidents"]["get"]["parameters"]
    schemas = {p["name"]: p["schema"] for p in listing}
    assert {"q", "service", "severity", "status", "since", "until", "last", "sort", "order"} <= schemas.keys()
    assert schemas["status"] == schemas["statuses"]
    assert schemas["severity"]["items"]["enum"][3:5] == ["critical", "INCIDENT_SEVERITY_UNSPECIFIED"]
    assert schemas["sort"]["enum"][:4] == ["unspecified", "opened", "updated", "severity"]
    assert re.fullmatch(schemas["last"]["pattern"], "24h")
