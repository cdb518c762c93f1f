"""REST of the rarer rpcs, streams, and the status page for machines."""

from __future__ import annotations

import json
from xml.etree import ElementTree as XML

import pytest
from incidentscope.incident.v1 import incident_pb2
from incidentscope.incident.v1 import incident_service_pb2 as contract

from tests.unit.services.console.client import Client
from tests.unit.services.console.world import World

API = "/api/v1/incidents"
UNKNOWN = "01920000-0000-7000-8000-000000000000"


def one(world: World) -> str:
    return f"{API}/{world.main.id}"


def test_an_incident_is_led_to_its_end_over_rest(client: Client, world: World) -> None:
    path = one(world)
    role = {"actor": "Ana", "role": "INCIDENT_ROLE_COMMANDER", "person": "Ana"}
    assert client.post(f"{path}/roles", json=role).json()["incident"]["commander"] == "Ana"
    facts = {"actor": "Ana", "incident": {"priority": "INCIDENT_PRIORITY_P1", "public": True}}
    changed = client.request("PATCH", path, json=facts | {"updateMask": "priority,public"})
    assert changed.json()["incident"]["priority"] == "INCIDENT_PRIORITY_P1"
    made = client.post(f"{path}/tasks", json={"actor": "Ana", "title": "look", "dueAt": "2026-12-01T00:00:00Z"})
    assert made.status_code == 201
    task = made.json()["task"]["id"]
    done = {"actor": "Ana", "task": {"status": "TASK_STATUS_DONE"}, "updateMask": "status"}
    assert client.request("PATCH", f"{path}/tasks/{task}", json=done).json()["task"]["status"] == "TASK_STATUS_DONE"
    assert len(client.get(f"{path}/tasks").json()["tasks"]) == 1
    assert client.post(f"{path}:mitigate", json={"actor": "Ana", "mitigation": "rolled back"}).status_code == 200
    assert client.post(f"{path}:resolve", json={"actor": "Ana"}).status_code == 200
    assert client.post(f"{path}/postmortem", json={"actor": "Ana"}).status_code == 201
    refused = client.post(f"{path}/postmortem:publish", json={"actor": "Ana"})
    assert (refused.status_code, refused.json()["code"]) == (409, "FAILED_PRECONDITION")
    edit = {"actor": "Ana", "postmortem": {"cause": "a deploy"}, "updateMask": "cause"}
    assert client.request("PATCH", f"{path}/postmortem", json=edit).status_code == 200
    published = client.post(f"{path}/postmortem:publish", json={"actor": "Ana"}).json()["postmortem"]
    assert published["status"] == "POSTMORTEM_STATUS_PUBLISHED"
    assert client.post(f"{path}:close", json={"actor": "Ana"}).json()["incident"]["closedBy"] == "Ana"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("PATCH", "/{id}/tasks/nope", {"actor": "A"}, 400, "BAD_ID"),
        ("PATCH", "/{id}/tasks/{unknown}", {"actor": "A", "taskId": "{other}"}, 400, "BAD_REQUEST"),
        ("PATCH", "/{id}", {"actor": "A", "updateMask": 7}, 400, "BAD_REQUEST"),
        ("POST", "/{id}/entries", {"actor": "A", "occurredAt": "yesterday"}, 400, "BAD_REQUEST"),
        ("GET", "/{id}/postmortem", None, 404, "NOT_FOUND"),
        ("GET", "/{id}/tasks?overdue=perhaps", None, 400, "BAD_REQUEST"),
        ("GET", "/{unknown}:watch", None, 404, "NOT_FOUND"),
        ("GET", "/nonsense:watch", None, 400, "BAD_ID"),
    ],
)
def test_what_is_wrong_is_a_problem_with_a_stable_code(
    client: Client, world: World, method: str, path: str, body: object, status: int, code: str
) -> None:
    more = {} if body is None else {"json": json.loads(json.dumps(body).replace("{other}", world.main.id))}
    answer = client.request(method, API + path.format(id=world.main.id, unknown=UNKNOWN), **more)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_an_idempotency_key_goes_along_with_a_write(client: Client, world: World) -> None:
    client.post(f"{one(world)}/notes", json={"actor": "A", "text": "x"}, headers={"idempotency-key": "k1"})
    assert world.incidents.keys == ["k1"]
    too_long = client.post(f"{one(world)}/notes", json={"actor": "A"}, headers={"idempotency-key": "k" * 256})
    assert (too_long.status_code, too_long.json()["code"]) == (400, "BAD_IDEMPOTENCY_KEY")


def test_a_watch_is_a_stream_of_events_that_says_when_it_ends(client: Client, world: World) -> None:
    world.incidents.streamed = [contract.WatchIncidentResponse(incident=world.main, event="IncidentUpdated")]
    answer = client.get(f"{one(world)}:watch")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line for line in answer.text.splitlines() if line.startswith("event: ")]
    assert events == ["event: incident", "event: incident", "event: end"]
    data = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert [d["event"] for d in data] == ["", "IncidentUpdated"]


def test_a_watch_of_a_tenant_without_incidents_begins_and_waits(client: Client) -> None:
    answer = client.get(f"{API}:watch")
    assert answer.status_code == 200
    assert answer.text.startswith(": watching")


def test_a_watch_of_the_list_takes_the_filters_of_the_list(client: Client, world: World) -> None:
    client.get(f"{API}:watch?status=open&service=cart&service=mail&severity=major")
    assert world.incidents.watched == [
        contract.WatchIncidentsRequest(
            statuses=[incident_pb2.INCIDENT_STATUS_OPEN], services=["cart", "mail"],
            severities=[incident_pb2.INCIDENT_SEVERITY_MAJOR],
        )
    ]  # fmt: skip
    answer = client.get(f"{API}:watch?severity=sev1")
    assert (answer.status_code, "there are unspecified, minor, major, critical" in answer.text) == (400, True)


def publish(client: Client, world: World) -> None:
    """Show the main incident on the status page, with one update."""
    facts = {"actor": "A", "incident": {"public": True}, "updateMask": "public"}
    client.request("PATCH", one(world), json=facts)
    update = {"actor": "A", "message": "We know <why>.", "public": True, "status": "PUBLIC_STATUS_IDENTIFIED"}
    assert client.post(f"{one(world)}/updates", json=update).status_code == 201


def test_the_status_page_has_statuspages_shape(client: Client, world: World) -> None:
    publish(client, world)
    summary = client.get("/status/api/v2/summary.json").json()
    assert set(summary) == {"page", "components", "incidents", "scheduled_maintenances", "status"}
    assert summary["status"] == {"indicator": "critical", "description": "Major Service Outage"}
    (incident,) = summary["incidents"]
    assert (incident["id"], incident["status"], incident["impact"]) == (world.main.id, "identified", "critical")
    assert incident["incident_updates"][0]["body"] == "We know <why>."
    assert {c["name"]: c["status"] for c in summary["components"]} == {
        "checkout": "major_outage", "frontend": "major_outage",
    }  # fmt: skip
    assert client.get("/status/api/v2/components.json").json()["components"] == summary["components"]
    assert client.get("/status/api/v2/status.json").json()["status"] == summary["status"]
    for name in ("incidents.json", "incidents/unresolved.json"):
        assert [i["id"] for i in client.get(f"/status/api/v2/{name}").json()["incidents"]] == [world.main.id]


def test_the_short_link_of_an_incident_opens_its_page(client: Client, world: World) -> None:
    publish(client, world)
    (incident,) = client.get("/status/api/v2/summary.json").json()["incidents"]
    assert incident["shortlink"] == f"http://testserver/incidents/{world.main.id}"
    page = client.get(incident["shortlink"])
    assert (page.status_code, "checkout" in page.text) == (200, True)
    feed = XML.fromstring(client.get("/status/history.atom").text)  # noqa: S314
    links = feed.findall("a:entry/a:link", {"a": "http://www.w3.org/2005/Atom"})
    assert [(link.get("rel"), link.get("href")) for link in links] == [("alternate", incident["shortlink"])]


def test_a_resolved_incident_leaves_the_page_but_not_its_history(client: Client, world: World) -> None:
    publish(client, world)
    client.post(f"{one(world)}:resolve", json={"actor": "A"})
    summary = client.get("/status/api/v2/summary.json").json()
    assert (summary["incidents"], summary["status"]["indicator"]) == ([], "none")
    (past,) = client.get("/status/api/v2/incidents.json").json()["incidents"]
    assert [u["status"] for u in past["incident_updates"]] == ["resolved", "identified"]


def test_without_public_incidents_all_systems_are_operational(client: Client) -> None:
    summary = client.get("/status/api/v2/summary.json").json()
    assert (summary["components"], summary["status"]["description"]) == ([], "All Systems Operational")


def test_the_history_is_an_atom_feed(client: Client, world: World) -> None:
    world.main.title = "bell \x07 & <b>"
    publish(client, world)
    answer = client.get("/status/history.atom")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = XML.fromstring(answer.text)  # noqa: S314
    names = {"a": "http://www.w3.org/2005/Atom"}
    assert feed.findtext("a:entry/a:title", "", names) == "bell  & <b>"
    assert "We know <why>." in feed.findtext("a:entry/a:content", "", names)
    for required in ("id", "title", "updated", "author/a:name"):
        assert feed.findtext(f"a:{required}", "", names)


def test_the_status_page_is_the_callers_own(client: Client, world: World) -> None:
    publish(client, world)
    other = client.get("/status/api/v2/summary.json", headers={"x-tenant-id": "other"}).json()
    assert other["incidents"] == []
    assert client.get("/status/api/v2/summary.json", headers={"x-api-key": "wrong"}).status_code == 401
