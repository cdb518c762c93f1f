"""Signing in: a cookie that stands for a key, on pages of our own only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.access.audit import Entry
from libs.access.directory import Directory, Snapshot
from libs.access.tokens import Signer
from services.console.adapters import http
from services.console.adapters.http_session import COOKIE, Sessions
from tests.access_world import MINE, OTHER, Answer, ask, registry
from tests.unit.services.console.client import Client
from tests.unit.services.console.world import DOORS, World

OWN = {"sec-fetch-site": "same-origin"}
SIGNER = Signer("a secret of the console")


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.tenants = registry(tmp_path, MINE, OTHER)
    return made


def console(world: World, secure: bool = False, record: Callable[[Entry], None] = lambda _entry: None) -> Client:
    sessions = Sessions(world.tenants, SIGNER, secure, record)
    app = http.build(
        world.incidents,
        world.deploys,
        world.telemetry,
        world.feed,
        world.tenants,
        world.clock,
        DOORS,
        sessions=sessions,
    )
    return Client(app)


def sign_in(client: Client, key: str, **more: Any) -> httpx.Response:
    data = {"key": key, "next": more.pop("after", "/")}
    return client.post("/sign-in", data=data, headers=more.pop("headers", OWN), **more)


def test_without_a_key_a_page_asks_for_one_and_links_to_where_to_sign_in(world: World) -> None:
    answer = console(world).get("/")

    assert answer.status_code == 401
    assert 'href="/sign-in?next=%2F"' in answer.text


def test_a_key_opens_a_session_that_acts_as_its_holder_and_ends_on_signing_out(world: World) -> None:
    client = console(world)
    answer = sign_in(client, "shop-responder", after=f"/incidents/{world.main.id}")

    assert (answer.status_code, answer.headers["location"]) == (303, f"/incidents/{world.main.id}")
    page = client.get(answer.headers["location"])
    assert page.status_code == 200
    assert "Sign out responder" in page.text
    assert client.post("/sign-out", headers=OWN).status_code == 303
    assert client.get("/").status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites_and_holds_no_key(world: World) -> None:
    cookie = sign_in(console(world, secure=True), "shop-admin").headers["set-cookie"]

    for attribute in ("HttpOnly", "SameSite=lax", "Secure", "Max-Age=43200", "Path=/"):
        assert attribute in cookie
    assert "shop-admin" not in cookie


@pytest.mark.parametrize("headers", [{}, {"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}])
def test_signing_in_and_out_from_another_site_is_refused(world: World, headers: dict[str, str]) -> None:
    client = console(world)

    assert sign_in(client, "shop-admin", headers=headers).status_code == 403
    assert client.post("/sign-out", headers=headers).status_code == 403


@pytest.mark.parametrize("key", ["", "guess", "isc.e30.e30", SIGNER.session("shop-admin")])
def test_a_wrong_key_shows_the_page_again_and_sets_nothing(world: World, key: str) -> None:
    answer = sign_in(console(world), key)

    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", ""])
def test_after_signing_in_one_stays_on_this_console(world: World, after: str) -> None:
    assert sign_in(console(world), "shop-admin", after=after).headers["location"] == "/"


def test_a_session_ends_at_once_when_its_key_is_revoked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = console(world)
    sign_in(client, "shop-admin")
    assert client.get("/").status_code == 200

    monkeypatch.setattr(world.tenants._source, "directory", lambda: Directory.of({MINE, OTHER}, []))

    assert client.get("/").status_code == 401


def test_a_session_may_do_no_more_than_its_key_and_a_forged_one_nothing(world: World) -> None:
    client = console(world)
    sign_in(client, "shop-viewer")
    path = f"/incidents/{world.main.id}/acknowledge"
    assert client.post(path, data={"actor": "x"}, headers=OWN).status_code == 403

    client.cookies.set(COOKIE, Signer("another secret, as long").session("shop-admin"))
    assert client.get("/").status_code == 401


def test_a_key_in_a_header_decides_before_the_session(world: World) -> None:
    client = console(world)
    sign_in(client, "shop-admin")

    assert client.get(f"/api/v1/incidents/{world.main.id}", headers={"x-api-key": "other-admin"}).status_code == 404


def test_signing_in_and_what_is_refused_are_put_on_record(world: World) -> None:
    kept: list[Entry] = []
    client = console(world, record=kept.append)
    sign_in(client, "shop-viewer")
    client.get("/")
    client.post(f"/incidents/{world.main.id}/acknowledge", data={"actor": "x"}, headers=OWN)

    assert [(e.caller.name, e.action.partition(" ")[0], e.outcome) for e in kept] == [
        ("viewer", "session.begin", "OK"),
        ("viewer", "POST", "PERMISSION_DENIED"),
    ]


def test_an_open_stream_of_events_ends_when_its_key_is_revoked(world: World) -> None:
    async def story() -> tuple[Answer, float]:
        world.feed.open()
        world.feed.set_connected(True)
        began = time.monotonic()
        asking = asyncio.create_task(ask(world.app(), "GET", "/events", "shop-viewer", seconds=5.0))
        await asyncio.sleep(0.2)
        world.tenants._source = Snapshot(Directory.of({MINE, OTHER}, []))
        answer = await asking
        world.feed.close()
        return answer, time.monotonic() - began

    answer, seconds = asyncio.run(story())
    assert (answer.status, b"event: pulse" in answer.body) == (200, True)
    assert seconds < 1.5
