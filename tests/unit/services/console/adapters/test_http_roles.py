"""What a page offers to whom, and what becomes of a form that is refused."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from libs.access.directory import Directory
from libs.kernel.errors import Unavailable
from tests.access_world import MINE, OTHER, registry
from tests.unit.services.console.adapters.test_http_session import OWN, console, sign_in
from tests.unit.services.console.client import Client
from tests.unit.services.console.markup import Markup
from tests.unit.services.console.memory_services import TENANT
from tests.unit.services.console.world import World

NOTE = "rolled back, <waiting>"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.tenants = registry(tmp_path, MINE, OTHER)
    return made


def signed_in(world: World, key: str) -> Client:
    client = console(world)
    assert sign_in(client, key).status_code == 303
    return client


@pytest.mark.parametrize("page", ["", "/postmortem"])
def test_a_viewer_reads_everything_and_is_offered_nothing_to_write(world: World, page: str) -> None:
    address = f"/incidents/{world.main.id}{page}"
    theirs, ours = (signed_in(world, key).get(address).text for key in ("shop-viewer", "shop-responder"))
    forms = [part.partition(">")[0] for part in theirs.split("<form")[1:]]
    assert [form for form in forms if "sign-out" not in form] == []
    assert 'form="respond"' not in theirs
    assert "To write takes the role responder; yours is viewer." in theirs
    assert f"/sign-in?next={quote(address, safe='')}" in theirs
    assert ours.count("<form") == 2
    assert "yours is" not in ours


def test_a_viewers_page_tells_tasks_and_links_like_a_responders(world: World) -> None:
    responder = signed_in(world, "shop-responder")
    for action, form in (
        ("task", {"title": "look at logs"}),
        ("link", {"url": "https://grafana.test/d", "title": "CPU"}),
    ):
        sent = responder.post(f"/incidents/{world.main.id}/{action}", data={"actor": "Ana", **form}, headers=OWN)
        assert sent.status_code == 303
    page = signed_in(world, "shop-viewer").get(f"/incidents/{world.main.id}").text
    assert "look at logs" in page
    assert 'href="https://grafana.test/d"' in page
    assert "Done: look at logs" not in page


def refused(client: Client, world: World, **headers: str) -> httpx.Response:
    form = {"actor": "Ana", "text": NOTE, "version": "1"}
    return client.post(f"/incidents/{world.main.id}/notes", data=form, headers=headers or OWN)


def test_what_a_viewer_typed_is_kept_to_be_copied_and_not_offered_to_be_sent(world: World) -> None:
    answer = refused(signed_in(world, "shop-viewer"), world)
    assert answer.status_code == 403
    assert "<dd>rolled back, &lt;waiting&gt;</dd>" in answer.text
    assert "Send again" not in answer.text
    assert [form.action for form in Markup(answer.text).forms] == ["/sign-out"]
    assert f"/sign-in?next=%2Fincidents%2F{world.main.id}" in answer.text


def test_what_a_responder_typed_is_kept_to_be_sent_again_and_what_was_chosen_goes_along(world: World) -> None:
    client = signed_in(world, "shop-responder")
    world.incidents.down = True
    typed = {"actor": "Ana", "text": NOTE, "version": "1", "severity": "minor", "public": "yes", "bridge": "call"}
    path = f"/incidents/{world.main.id}/facts"
    answer = client.post(path, data=typed, headers=OWN)
    (form,) = (form for form in Markup(answer.text).forms if form.action == path)
    assert (answer.status_code, form.values) == (503, typed)
    assert {field.name for field in form.fields.values() if field.kind == "textarea"} == {"text", "bridge"}


@pytest.mark.parametrize("path", ["/nope", "/services?page=x", "/deploys?last=x", "/sign-out", "/services/x?from=y"])
def test_a_page_about_an_error_tells_the_tenant_and_lets_one_sign_out(world: World, path: str) -> None:
    shown = signed_in(world, "shop-viewer").get(path).text
    assert f'<p class="tenant"><span class="sr">Tenant </span>{TENANT}</p>' in shown
    assert "Sign out viewer" in shown
    assert "Sign out" not in console(world).get(path).text


def test_a_refusal_at_the_door_tells_the_tenant_and_lets_one_sign_out(world: World) -> None:
    shown = refused(signed_in(world, "shop-viewer"), world).text
    assert f'<p class="tenant"><span class="sr">Tenant </span>{TENANT}</p>' in shown
    assert "Sign out viewer" in shown


def test_a_revoked_session_is_nobodys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(world, "shop-viewer")
    monkeypatch.setattr(world.tenants._source, "directory", lambda: Directory.of({MINE, OTHER}, []))
    shown = client.get("/")
    assert (shown.status_code, "Sign out" in shown.text, TENANT in shown.text) == (401, False, False)


def test_what_was_typed_outlives_the_session(world: World) -> None:
    client = signed_in(world, "shop-responder")
    client.cookies.clear()
    answer = refused(client, world)
    assert answer.status_code == 401
    assert "&lt;waiting&gt;</textarea>" in answer.text
    assert sign_in(client, "shop-responder").status_code == 303
    assert refused(client, world).status_code == 303


def test_what_was_typed_outlives_a_service_that_is_away(world: World) -> None:
    client = signed_in(world, "shop-responder")
    world.incidents.down = True
    answer = refused(client, world)
    assert answer.status_code == 503
    assert "&lt;waiting&gt;</textarea>" in answer.text
    assert "http-equiv" not in answer.text  # reading the page again would lose it


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"accept": "text/html"}])
def test_what_another_site_typed_is_not_kept(world: World, headers: dict[str, str]) -> None:
    answer = refused(signed_in(world, "shop-viewer"), world, **headers)
    assert answer.status_code == 403
    assert "waiting" not in answer.text


def test_a_form_that_cannot_be_read_is_refused_without_it(world: World) -> None:
    headers = {**OWN, "content-type": "multipart/form-data; boundary=x"}
    answer = signed_in(world, "shop-viewer").post(f"/incidents/{world.main.id}/notes", content=b"junk", headers=headers)
    assert answer.status_code == 403
    assert "<textarea" not in answer.text


def test_a_key_is_never_kept_on_a_page(world: World) -> None:
    answer = console(world).post("/sign-in", data={"key": "is_secret"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert "is_secret" not in answer.text


@pytest.mark.parametrize(
    "page", ["/services?from=2026-03-01T00:00:00Z&to=2026-03-01T01:00:00Z", "/deploys", "/?status=open"]
)
def test_signing_in_leads_back_to_where_one_came_from(world: World, page: str) -> None:
    client = console(world)
    asked = client.get(page)
    assert asked.status_code == 401
    link = asked.text.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    form = client.get(link).text
    after = form.partition('name="next" value="')[2].partition('"')[0].replace("&amp;", "&")
    assert after == page
    assert sign_in(client, "shop-viewer", after=after).headers["location"] == page


def test_a_tenant_can_be_chosen_where_it_is_believed_without_a_key(tmp_path: Path) -> None:
    world = World(tmp_path)
    client = Client(world.app())
    page = client.get("/").text
    assert f'<a href="/?tenant={TENANT}" aria-current="true">{TENANT}</a>' in page
    assert '<a href="/?tenant=other">other</a>' in page
    keyed = client.get("/", headers={"x-api-key": "test-key"}).text
    assert "?tenant=" not in keyed


def test_a_tenant_without_incidents_names_those_that_have_some(tmp_path: Path) -> None:
    client = Client(World(tmp_path, anonymous="other").app())
    page = client.get("/").text
    assert "No incidents of other" in page
    assert f'<li><a href="/?tenant={TENANT}">{TENANT}</a> <span class="quiet">2 open</span></li>' in page
    assert "elsewhere" not in client.get("/?status=resolved").text


def test_another_tenant_that_cannot_be_asked_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, anonymous="other")
    lists = world.incidents.list

    async def listed(tenant: str, request: object) -> object:
        if tenant != "other":
            raise Unavailable("away")
        return await lists(tenant, request)  # type: ignore[arg-type]

    monkeypatch.setattr(world.incidents, "list", listed)
    assert "No incidents yet" in Client(world.app()).get("/").text
