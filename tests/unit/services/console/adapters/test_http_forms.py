"""The forms of the incident page and of its postmortem."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from incidentscope.incident.v1 import incident_pb2

from services.console.adapters.http_security import most_bytes
from tests.unit.services.console.client import Client
from tests.unit.services.console.markup import Form, Markup
from tests.unit.services.console.stamps import stamp
from tests.unit.services.console.world import World

SAME = {"origin": "http://testserver"}


def send(client: Client, world: World, action: str, **fields: str) -> tuple[int, str]:
    form = {"actor": "Ana", **fields}
    answer = client.post(f"/incidents/{world.main.id}/{action}", data=form, headers=SAME)
    return answer.status_code, answer.headers.get("location", answer.text)


def page(client: Client, world: World, more: str = "") -> str:
    return client.get(f"/incidents/{world.main.id}{more}").text


@pytest.mark.parametrize(
    ("action", "fields", "shows"),
    [
        ("mitigate", {"text": "rolled back", "version": "1"}, "mitigated by Ana"),
        ("command", {}, "Commander <b>Ana</b>"),
        ("role", {"role": "scribe", "person": "Bo"}, "Scribe <b>Bo</b>"),
        ("task", {"title": "look at logs", "owner": "Bo", "due": "2026-12-24"}, "look at logs"),
        ("task", {"title": "add an alert", "kind": "action item"}, "action item"),
        ("link", {"url": "https://grafana.example/d/1", "title": "dashboard"}, "https://grafana.example/d/1"),
        ("facts", {"severity": "minor", "priority": "P2", "bridge": "https://call.example/1"}, "Join the call"),
        ("facts", {"severity": "minor", "public": "yes", "bridge": "https://c.example"}, "on the status page"),
        ("update", {"message": "We know.", "status": "identified"}, "checkout"),
        ("notes", {"text": "hello"}, "hello"),
        ("confirm", {"judged": "2.1", "text": "rolled back, gone"}, "✓ confirmed by Ana"),
        ("reject", {"judged": "2.2"}, "✗ rejected by Ana"),
        ("cause", {"about": "2.1", "cause": "a zone expired", "cause_service": "dns"}, "Real cause, named by Ana"),
        ("cause", {"about": "1.0", "cause": "somebody <pulled> a cable"}, "somebody &lt;pulled&gt; a cable"),
    ],
)
def test_a_form_does_what_it_says_and_the_page_shows_it(
    client: Client, world: World, action: str, fields: dict[str, str], shows: str
) -> None:
    status, where = send(client, world, action, **fields)
    assert (status, where) == (303, f"/incidents/{world.main.id}?done={action}")
    assert shows in page(client, world)


@pytest.mark.parametrize(
    ("action", "fields", "status", "says"),
    [
        ("reopen", {}, 422, "Say in the note why"),
        ("role", {"role": "king"}, 422, "There is no such role"),
        ("task", {"title": " "}, 422, "Say what there is to do."),
        ("task", {"title": "x", "due": "soon"}, 422, "Not a date"),
        ("update", {"message": ""}, 422, "The update is empty"),
        ("link", {"url": "javascript:alert(1)"}, 400, "url must be"),
        ("confirm", {}, 422, "reload the page"),
        ("confirm", {"judged": "2"}, 422, "reload the page"),
        ("reject", {"judged": "two.one"}, 422, "reload the page"),
        ("confirm", {"judged": "2.9"}, 400, "no such hypothesis"),
        ("confirm", {"judged": "2.1", "text": "x" * 10_001}, 422, "at most 10,000 are kept"),
        ("confirm", {"judged": "2.1", "actor": " "}, 422, "Say who you are"),
        ("cause", {"about": "2.1", "cause": " "}, 422, "The cause is empty"),
        ("cause", {"about": "2.1", "cause": "x" * 2_001}, 422, "at most 2,000 are kept"),
        ("cause", {"about": "2.1", "cause": "x", "cause_service": "s" * 201}, 422, "at most 200"),
        ("cause", {"about": "", "cause": "x"}, 422, "Nothing was analysed yet"),
        ("merge", {"into": "nonsense"}, 422, "An incident id is a UUID"),
        ("merge", {"into": "01920000-0000-7000-8000-000000000000"}, 404, "<strong>Not done.</strong> "),
        ("done", {"task": "x"}, 422, "An incident id is a UUID"),
        ("mitigate", {"version": "9"}, 409, "Somebody changed this meanwhile."),
        ("mitigate", {"actor": ""}, 422, "Say who you are"),
        ("mitigate", {"version": "x"}, 422, "reload the page"),
    ],
)
def test_a_refused_form_shows_the_page_again_with_the_reason_and_what_was_typed(
    client: Client, world: World, action: str, fields: dict[str, str], status: int, says: str
) -> None:
    answered, text = send(client, world, action, **fields)
    assert (answered, says in text) == (status, True), text[:500]
    for name in ("title", "url"):
        if fields.get(name, "").strip():
            assert f'value="{fields[name]}"' in text


@pytest.mark.parametrize("path", ["explode", "postmortem/explode"])
def test_an_unknown_action_is_not_found(client: Client, world: World, path: str) -> None:
    assert send(client, world, path)[0] == 404


@pytest.mark.parametrize("path", ["mitigate", "task", "postmortem/draft", "postmortem/publish"])
def test_a_form_of_another_site_is_refused(client: Client, world: World, path: str) -> None:
    answer = client.post(f"/incidents/{world.main.id}/{path}", data={"actor": "A"}, headers={"origin": "http://evil"})
    assert answer.status_code == 403
    assert world.main.version == 1


def test_a_task_is_done_by_its_button(client: Client, world: World) -> None:
    send(client, world, "task", title="look")
    (task,) = world.incidents.tasks.values()
    assert f'value="{task.id}"' in page(client, world)
    assert send(client, world, "done", task=task.id)[0] == 303
    assert f'value="{task.id}"' not in page(client, world)


def test_an_incident_is_merged_by_the_address_of_the_other(client: Client, world: World) -> None:
    other = next(i for i in world.incidents.kept.values() if i.id != world.main.id)
    assert send(client, world, "merge", into=f"http://testserver/incidents/{other.id}")[0] == 303
    assert f"/incidents/{other.id}" in page(client, world)
    assert ">Reopen<" not in page(client, world)


def test_buttons_follow_the_status(client: Client, world: World) -> None:
    expected = {
        incident_pb2.INCIDENT_STATUS_OPEN: {"Acknowledge", "Mitigate", "Resolve"},
        incident_pb2.INCIDENT_STATUS_ACKNOWLEDGED: {"Mitigate", "Resolve"},
        incident_pb2.INCIDENT_STATUS_MITIGATED: {"Resolve", "Reopen"},
        incident_pb2.INCIDENT_STATUS_RESOLVED: {"Close", "Reopen"},
        incident_pb2.INCIDENT_STATUS_CLOSED: {"Reopen"},
    }
    for status, buttons in expected.items():
        world.main.status = status
        text = page(client, world)
        verbs = ("Acknowledge", "Mitigate", "Resolve", "Close", "Reopen")
        assert {v for v in verbs if f">{v}</button>" in text} == buttons


def test_a_postmortem_is_drafted_saved_published_and_archived(client: Client, world: World) -> None:
    assert "Draft from the timeline" in page(client, world, "/postmortem")
    assert send(client, world, "postmortem/draft")[0] == 303
    assert "It broke." in page(client, world, "/postmortem")
    status, text = send(client, world, "postmortem/publish", what_happened="It broke.", version="1", impact="many")
    assert (status, "these sections are empty: cause" in text) == (409, True)
    assert ">many</textarea>" in text, "what was typed is kept"
    sections = {"what_happened": "It broke.", "cause": "a deploy", "impact": "many", "mitigations": "none"}
    assert send(client, world, "postmortem/save", version="2", **sections)[0] == 303
    stale = send(client, world, "postmortem/save", version="1", **sections)
    assert (stale[0], "Somebody changed this" in stale[1]) == (409, True)
    assert send(client, world, "postmortem/publish", version="3", **sections)[0] == 303
    shown = page(client, world, "/postmortem?done=publish")
    assert "The postmortem is published." in shown
    assert "<textarea" not in shown
    assert send(client, world, "postmortem/archive")[0] == 303


def test_the_postmortem_of_no_incident_is_not_found(client: Client) -> None:
    assert client.get("/incidents/nonsense/postmortem").status_code == 404
    assert client.get("/incidents/01920000-0000-7000-8000-000000000000/postmortem").status_code == 404


def test_a_wrong_version_or_incident_of_a_judgement_is_not_found(client: Client, world: World) -> None:
    assert send(client, world, "confirm", judged="7.1")[0] == 404
    form = {"actor": "Ana", "judged": "2.1"}
    unknown = "/incidents/01920000-0000-7000-8000-000000000000/confirm"
    assert client.post(unknown, data=form, headers=SAME).status_code == 404
    assert client.post("/incidents/42/confirm", data=form, headers=SAME).status_code == 404
    assert world.incidents.feedback == []


def test_the_page_tells_story_checks_history_and_similar_incidents(client: Client, world: World) -> None:
    shown = page(client, world)
    for part in ("change", "first sign", "who suffers"):
        assert f'<span class="kind">{part}</span>' in shown
    assert "<b>Against it:</b> The trouble of payments began before the deploy reached it" in shown
    assert "WHERE TenantId = &#39;shop&#39;" in shown
    assert f'href="/incidents/{world.main.id}/analyses/1"' in shown
    assert "✓ cause confirmed by Ana" in shown
    assert "Resolved by Ana: rolled payments back to v2.28.0" in shown


def test_each_number_is_told_once_the_onset_to_the_minute_and_confidence_in_one_way(
    client: Client, world: World
) -> None:
    causes = page(client, world).partition('id="causes"')[2].partition("</section>")[0]
    shown = causes.partition("What would confirm")[0]
    read = re.sub(r"<[^>]*>", "", shown)
    for statement in ("31 % of 2210 requests to payments failed", "payments was deployed to v2.31.0", "812 ms"):
        assert read.count(statement) == 1, statement
    assert re.findall(r"\d[\d.]* % <span class=\"quiet\">confident", shown) == ['87 % <span class="quiet">confident']
    onset = f"{world.onset:%H:%M} UTC"
    assert re.findall(r"Onset <time[^>]*>([^<]*)</time>", shown) == [onset]
    sign = shown.partition("first sign</span>")[2].partition("</li>")[0]
    assert re.findall(r"<time[^>]*>([^<]*)</time>", sign) == [onset]
    lead = page(client, world).partition('<p class="state">')[2].partition("</p>")[0]
    assert f'began <time datetime="{world.onset:%Y-%m-%dT%H:%M:%SZ}"' in lead


def test_the_minutes_behind_a_chart_are_told_as_minutes(client: Client, world: World) -> None:
    table = page(client, world).partition("Numbers of payments</summary>")[2].partition("</table>")[0]
    told = re.findall(r"<time[^>]*>([^<]*)</time>", table)
    assert len(told) > 10
    assert [text for text in told if not re.fullmatch(r"\d\d:\d\d", text)] == []


def test_a_reopened_incident_is_told_from_its_first_alert_and_charted_around_its_latest_onset(
    client: Client, world: World
) -> None:
    world.main.started_at.CopyFrom(stamp(world.onset - timedelta(hours=9)))
    shown = page(client, world)
    lead = shown.partition('<p class="state">')[2].partition("</p>")[0]
    assert f'began <time datetime="{world.onset - timedelta(hours=9):%Y-%m-%dT%H:%M:%SZ}"' in lead
    assert "lasts 9 h 19 min" in lead
    charted = shown.partition('Around onset <span class="quiet"><time datetime="')[2]
    assert charted.startswith(f"{world.onset - timedelta(minutes=30):%Y-%m-%dT%H:%M}")


def test_an_older_analysis_has_a_page_and_one_that_is_not_there_none(client: Client, world: World) -> None:
    shown = page(client, world, "/analyses/1")
    assert "Not enough evidence to name a cause." in shown
    assert "The first analysis names no cause." in shown
    assert "This is the cause" not in shown
    for missing in ("3", "0", "99999999999"):
        assert client.get(f"/incidents/{world.main.id}/analyses/{missing}").status_code == 404, missing
    assert client.get("/incidents/01920000-0000-7000-8000-000000000000/analyses/1").status_code == 404
    assert client.get("/incidents/42/analyses/1").status_code == 404


def test_links_of_evidence_story_and_checks_lead_to_pages_with_the_part_they_name(client: Client, world: World) -> None:
    analysis = world.incidents.analyses[world.main.id]
    first = next(h for h in analysis.hypotheses if h.rank == 1)
    links = [e.url for e in first.evidence] + [s.url for s in first.story] + [c.url for c in first.checks]
    assert len(links) > 8
    for link in links:
        address, _, part = link.partition("#")
        answer = client.get(address)
        assert (answer.status_code, f'id="{part or "charts-h"}"' in answer.text) == (200, True), link


@pytest.mark.parametrize("path", ["notes", "resolve", "postmortem/save"])
def test_the_address_of_a_form_leads_back_to_its_page_and_that_of_none_nowhere(
    client: Client, world: World, path: str
) -> None:
    answer = client.get(f"/incidents/{world.main.id}/{path}?x=1")
    parent = f"/incidents/{world.main.id}{'/postmortem' if '/' in path else ''}"
    assert (answer.status_code, answer.headers["location"]) == (303, parent)
    assert client.get(f"/incidents/{world.main.id}/{path}s").status_code == 404
    for nothing in ("nonsense", "01920000-0000-7000-8000-000000000000"):
        assert client.get(f"/incidents/{nothing}/{path}").status_code == 404


def test_a_refused_forms_page_is_not_read_again_without_script_and_with_script_at_its_own_address(
    client: Client, world: World
) -> None:
    own = f'data-page="/incidents/{world.main.id}"'
    status, refused = send(client, world, "resolve", text="precious", version="9")
    assert (status, "precious</textarea>" in refused, own in refused) == (409, True, True)
    assert "http-equiv" not in refused
    assert own in page(client, world, "?done=notes")
    assert f'content="60; url=/incidents/{world.main.id}"' in page(client, world, "?done=notes")
    assert 'data-page="/?q=a&amp;status=open"' in client.get("/?q=a&status=open").text


def respond(text: str) -> Form:
    """Return the form of an incident's page."""
    return next(form for form in Markup(text).forms if form.action.endswith("/notes"))


def filled(form: Form) -> dict[str, str]:
    """Return the fields of a form, each with another value than it came with."""
    typed = {}
    for name, field in form.fields.items():
        if field.kind == "hidden":
            typed[name] = field.value or ""
        elif field.kind == "checkbox":
            typed |= {} if field.value else {name: "yes"}
        elif field.kind == "select":
            typed[name] = next(value for value in field.options if value != field.value)
        else:
            typed[name] = "2026-12-24" if field.kind == "date" else f"<typed> into {name}"
    return typed


BOXES = {
    "cause": "real-cause", "task": "add-task", "role": "hand-over", "facts": "change-facts", "update": "tell",
    "link": "add-link", "merge": "merge",
}  # fmt: skip
REFUSED = {
    "cause": {"cause": " "}, "task": {"title": ""}, "role": {"role": "king"}, "facts": {"version": "9"},
    "update": {"message": ""}, "link": {"url": "javascript:1"}, "merge": {"into": ""}, "resolve": {"version": "9"},
    "notes": {"text": ""},
}  # fmt: skip


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("action", REFUSED)
def test_a_refused_form_restores_every_field_and_opens_the_box_it_was_sent_from(
    client: Client, world: World, action: str, public: bool
) -> None:
    world.main.public = public
    typed = filled(respond(page(client, world))) | REFUSED[action]
    assert len(typed) > 15
    again = Markup(send(client, world, action, **typed)[1])
    (form,) = [form for form in again.forms if form.action.endswith("/notes")]
    known = {n: v for n, v in typed.items() if n != "version" and (n, v) != ("role", "king")}
    assert {name: value.strip() for name, value in form.values.items() if name in known} == {
        name: value.strip() for name, value in known.items()
    }
    assert ("public" in form.values) is not public
    assert again.open == ([BOXES[action]] if action in BOXES else [])
    assert "facts" not in again.live
    assert "facts" in Markup(page(client, world)).live


@pytest.mark.parametrize("more", ["", "/postmortem"])
def test_a_form_with_every_field_full_is_not_too_large(client: Client, world: World, more: str) -> None:
    send(client, world, "postmortem/draft")
    form = next(form for form in Markup(page(client, world, more)).forms if "save" in form.action or not more)
    full = {f.name: "\N{GRINNING FACE}" * f.longest if f.longest else f.value or "" for f in form.fields.values()}
    assert len(full) > 5
    for address in form.actions:
        body = urlencode(full).encode()
        assert len(body) < most_bytes(address)
        answer = client.post(
            address, content=body, headers=SAME | {"content-type": "application/x-www-form-urlencoded"}
        )
        assert answer.status_code != 413, address


def test_a_postmortem_of_five_full_sections_is_saved(client: Client, world: World) -> None:
    send(client, world, "postmortem/draft")
    sections = dict.fromkeys(("what_happened", "cause", "impact", "mitigations", "follow_ups"), "障" * 50_000)
    assert send(client, world, "postmortem/save", version="1", **sections)[0] == 303
    assert page(client, world, "/postmortem").count("障" * 50_000) == 5
    body = {"actor": "Ana", "postmortem": {"cause": "\N{GRINNING FACE}" * 50_000}, "updateMask": "cause"}
    path = f"/api/v1/incidents/{world.main.id}/postmortem"
    assert client.request("PATCH", path, json=body).status_code == 200


def test_a_refused_postmortem_restores_every_section(client: Client, world: World) -> None:
    send(client, world, "postmortem/draft")
    (form,) = Markup(page(client, world, "/postmortem")).forms
    typed = filled(form) | {"version": "9"}
    assert len(typed) == 7
    (again,) = Markup(send(client, world, "postmortem/save", **typed)[1]).forms
    assert again.values == {**typed, "version": "1"}
