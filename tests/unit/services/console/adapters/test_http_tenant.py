"""Choosing a tenant by an address: what is sent along, what is kept, and that each tab stays with its own."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urldefrag

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from libs.access.tenants import TENANT_HEADER, TenantRegistry
from services.console.adapters.http_links import ASKED, carry, own
from services.console.adapters.http_tenant import COOKIE, TenantChoice
from tests.unit.services.console.adapters.test_http_session import OWN
from tests.unit.services.console.client import Client
from tests.unit.services.console.markup import Markup
from tests.unit.services.console.memory_services import TENANT
from tests.unit.services.console.world import KEY, World


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what reached the app."""
    request = Request(scope, receive)
    told = {"tenant": request.headers.get(TENANT_HEADER), "query": request.url.query, "asked": ASKED.get()}
    await JSONResponse(told)(scope, receive, send)


def registry(folder: Path, *tenants: str) -> TenantRegistry:
    path = folder / "some-tenants.json"
    path.write_text(json.dumps({"tenants": [{"id": tenant} for tenant in tenants]}))
    return TenantRegistry(path, trust_header=True)


@pytest.fixture
def choice(tmp_path: Path) -> Client:
    return Client(TenantChoice(echo, registry(tmp_path, "shop", "other")))


@pytest.mark.parametrize(
    ("address", "kept", "tenant", "query", "asked"),
    [
        ("/", "", None, "", ""),
        ("/?tenant=other", "", "other", "", "other"),
        ("/?q=a%26b&tenant=other&status=open", "shop", "other", "q=a%26b&status=open", "other"),
        ("/?tenant=shop&tenant=other", "", "other", "", "other"),
        ("/", "shop", "shop", "", ""),
        ("/?tenant=", "shop", "shop", "", ""),
        ("/", "gone", None, "", ""),
        ("/?tenant=no%20body", "shop", "no body", "", "no body"),
        ("/?mytenant=shop&nottenant", "", None, "mytenant=shop&nottenant", ""),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_address_decides_then_what_was_chosen_last(
    choice: Client, method: str, address: str, kept: str, tenant: str | None, query: str, asked: str
) -> None:
    headers = {"cookie": f"a=b; {COOKIE}={kept}"} if kept else {}
    told = choice.request(method, address, headers=headers).json()
    assert told == {"tenant": tenant, "query": query, "asked": asked}


@pytest.mark.parametrize(
    ("name", "value"), [("authorization", "Bearer k"), ("x-api-key", "k"), (TENANT_HEADER, "shop")]
)
def test_credentials_decide_before_the_address(choice: Client, name: str, value: str) -> None:
    told = choice.get("/?tenant=other&x=1", headers={name: value, "cookie": f"{COOKIE}=other"})
    assert told.json() == {"tenant": value if name == TENANT_HEADER else None, "query": "x=1", "asked": None}
    assert "set-cookie" not in told.headers


@pytest.mark.parametrize(
    ("address", "headers", "sets"),
    [
        ("/?tenant=other", {}, True),
        ("/?tenant=other", {"sec-fetch-mode": "navigate"}, True),
        ("/?tenant=other", {"cookie": f"{COOKIE}=shop"}, True),
        ("/?tenant=other", {"cookie": f"{COOKIE}=other"}, False),
        ("/?tenant=other", {"sec-fetch-mode": "cors"}, False),  # a page that is open, not a person
        ("/?tenant=nobody", {"cookie": f"{COOKIE}=shop"}, False),
        ("/", {"cookie": f"{COOKIE}=gone"}, False),
    ],
)
def test_only_a_tenant_that_a_person_opens_and_that_exists_is_kept(
    choice: Client, address: str, headers: dict[str, str], sets: bool
) -> None:
    answer = choice.get(address, headers=headers)
    assert ("set-cookie" in answer.headers) is sets
    if sets:
        assert answer.headers["set-cookie"].startswith(f"{COOKIE}=other; HttpOnly; Path=/; SameSite=lax")


@pytest.mark.parametrize("cookie", ['tenant="', "tenant", "=", "tenant=shop; tenant[=x", "\xff=1"])
def test_a_cookie_that_cannot_be_read_is_none(choice: Client, cookie: str) -> None:
    answer = choice.get("/?tenant=other", headers={"cookie": cookie.encode("latin-1")})
    assert answer.json()["tenant"] == "other"


def test_a_single_tenant_is_not_chosen_among(tmp_path: Path) -> None:
    client = Client(TenantChoice(echo, registry(tmp_path, "shop")))
    assert client.get("/").json()["asked"] is None
    assert client.get("/?tenant=shop").json()["asked"] == "shop"


def test_addresses_stay_as_they_are_where_no_tenant_is_chosen() -> None:
    assert own("/x?y=1") == "/x?y=1"
    assert carry('<a href="/x">') == '<a href="/x">'


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def tab(world: World) -> Client:
    return Client(TenantChoice(world.app(), world.tenants))


def test_every_address_on_every_page_carries_the_tenant_it_was_chosen_for(tab: Client, world: World) -> None:
    tab.get("/?tenant=other")
    one = f"/incidents/{world.main.id}"
    for path in (
        "/",
        one,
        f"{one}/postmortem",
        f"{one}/analyses/1",
        "/services",
        "/services/payments",
        "/deploys",
        "/x",
    ):
        text = tab.get(f"{path}?tenant={TENANT}&q=a").text
        shown = Markup(text)
        ours = [urldefrag(a).url for a in (*shown.links, *shown.listens) if a.startswith("/")]
        ours += [urldefrag(action).url for form in shown.forms if form.method == "post" for action in form.actions]
        assert len(ours) > 3, path
        wrong = [a for a in ours if not a.endswith(f"tenant={TENANT}") and a != "/?tenant=other"]
        assert wrong == [], path
        searches = [form for form in shown.forms if form.method == "get"]
        assert [form.values["tenant"] for form in searches] == [TENANT] * len(searches)
        assert "/static/live.js?" not in text


def test_a_tab_stays_with_its_tenant_after_another_tab_chose_another(tab: Client, world: World) -> None:
    first = tab.get("/").text  # nothing was chosen yet
    tab.get("/?tenant=other")
    assert "checkout: error rate" not in tab.get("/").text
    shown = Markup(first)
    link = next(link for link in shown.links if f"/incidents/{world.main.id}" in link)
    page = tab.get(link)
    assert "checkout: error rate" in page.text
    assert f'data-page="/incidents/{world.main.id}?tenant={TENANT}"' in page.text
    (form,) = (form for form in Markup(page.text).forms if "/notes" in form.action)
    sent = tab.post(form.action, data=form.values | {"actor": "Ana", "text": "from tab A"}, headers=OWN)
    assert (sent.status_code, sent.headers["location"]) == (
        303,
        f"/incidents/{world.main.id}?done=notes&tenant={TENANT}",
    )
    assert "from tab A" in tab.get(sent.headers["location"]).text
    refused = tab.post(form.action, data={"actor": "Ana", "text": ""}, headers=OWN)
    assert (refused.status_code, f"/notes?tenant={TENANT}" in refused.text) == (422, True)
    back = tab.get(form.action)
    assert back.headers["location"] == f"/incidents/{world.main.id}?tenant={TENANT}"


def test_a_tenant_that_does_not_exist_is_said_not_to_and_others_are_offered(tab: Client) -> None:
    tab.get(f"/?tenant={TENANT}")
    for path in ("/", "/services", f"/incidents/{'x' * 8}"):
        answer = tab.get(f"{path}?tenant=%3Cnobody%3E")
        assert answer.status_code == 403, path
        assert "<h1>There is no such tenant</h1>" in answer.text
        assert "No tenant is called &#39;&lt;nobody&gt;&#39;." in answer.text
        assert {f"/?tenant={TENANT}", "/?tenant=other"} <= set(Markup(answer.text).links)
        assert "set-cookie" not in answer.headers
    assert "checkout: error rate" in tab.get("/").text


def test_who_may_not_choose_is_not_told_which_tenants_there_are(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.tenants = TenantRegistry(tmp_path / "tenants.json")
    client = Client(world.app())
    for headers in ({}, {"x-tenant-id": "nobody"}):
        answer = client.get("/", headers=headers)
        assert (answer.status_code, "other" in answer.text) == (401, False)


def test_a_key_decides_and_the_page_says_so(tab: Client) -> None:
    signed: httpx.Response = tab.post("/sign-in", data={"key": KEY, "next": "/?tenant=other"}, headers=OWN)
    assert (signed.status_code, signed.headers["location"]) == (303, "/?tenant=other")
    page = tab.get("/?tenant=other").text
    assert f"This is {TENANT}, not other: the key you are signed in with decides" in page
    assert "checkout: error rate" in page
    assert "tenant=" not in page
    assert "decides" not in tab.get(f"/?tenant={TENANT}").text


def test_rest_takes_the_tenant_of_an_address_too(tab: Client, world: World) -> None:
    assert tab.get("/api/v1/incidents?tenant=other").json()["incidents"] == []
    assert len(tab.get(f"/api/v1/incidents?tenant={TENANT}").json()["incidents"]) == 4
    refused = tab.get("/api/v1/incidents?tenant=nobody")
    assert (refused.status_code, refused.json()["code"]) == (403, "UNKNOWN_TENANT")
