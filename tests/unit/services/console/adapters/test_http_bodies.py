"""Bodies that are too large or too slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from libs.runtime.bodies import BoundedBody
from services.console.adapters.http_security import MAX_BODY_BYTES
from tests.unit.services.console.client import Client
from tests.unit.services.console.world import World

SAME = {"sec-fetch-site": "same-origin"}


def page(world: World) -> str:
    return f"/incidents/{world.main.id}"


def test_a_huge_form_is_answered_by_a_page(client: Client, world: World) -> None:
    answer = client.post(f"{page(world)}/notes", data={"actor": "Ana", "text": "n" * MAX_BODY_BYTES}, headers=SAME)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert "<h1>That is too much</h1>" in answer.text
    assert f'<a href="{page(world)}">Back to the page</a>' in answer.text


@pytest.mark.parametrize("path", ["{page}/notes", "/api/v1/incidents/{id}:acknowledge"])
def test_a_body_that_trickles_in_is_refused_when_its_time_is_over(
    client: Client, world: World, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = partial(BoundedBody, seconds=0.1)
    monkeypatch.setattr("services.console.adapters.http_security.BoundedBody", short)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            await asyncio.sleep(0.02)
            yield b"n"

    kind = "application/json" if path.startswith("/api") else "application/x-www-form-urlencoded"
    address = path.format(page=page(world), id=page(world).rpartition("/")[2])
    answer = client.post(address, content=chunks(), headers=SAME | {"content-type": kind})
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")


def test_a_huge_form_without_a_length_is_refused_too(client: Client, world: World) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"text=" + b"n" * (MAX_BODY_BYTES // 8)

    headers = SAME | {"content-type": "application/x-www-form-urlencoded"}
    assert client.post(f"{page(world)}/notes", content=chunks(), headers=headers).status_code == 413
