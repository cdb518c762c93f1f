"""What pages offer: every link and every form of every page may be followed by whoever it is shown to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urldefrag

import pytest

from libs.access.directory import hash_key
from libs.access.identity import Role, Scope
from libs.access.tenants import TenantRegistry
from services.console.adapters.http_may import WAYS
from tests.unit.services.console.adapters.test_http_session import OWN, console, sign_in
from tests.unit.services.console.client import Client
from tests.unit.services.console.markup import Markup
from tests.unit.services.console.memory_services import TENANT
from tests.unit.services.console.world import World

READS = (Scope.INCIDENTS_READ, Scope.DEPLOYS_READ, Scope.TELEMETRY_READ)
WRITE = Scope.INCIDENTS_WRITE
NARROW: list[tuple[Scope, ...]] = [
    (), (Scope.ACCESS_READ,), *((scope,) for scope in READS), READS[:2], READS[1:], (READS[0], WRITE), (WRITE,),
]  # fmt: skip
KEYS = [(role, scopes) for role in Role for scopes in NARROW if role is not Role.ADMIN or len(scopes) < 2]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def signed_in(world: World, folder: Path, role: Role, scopes: tuple[Scope, ...]) -> Client:
    key = {"id": "k", "sha256": hash_key("secret"), "name": "Kim", "role": role, "scopes": sorted(scopes)}
    path = folder / "one-key.json"
    path.write_text(json.dumps({"tenants": [{"id": TENANT, "keys": [key | {"requests_per_second": 0}]}]}))
    world.tenants = TenantRegistry(path)
    client = console(world)
    assert sign_in(client, "secret").status_code == 303
    return client


def beginnings(world: World) -> Iterator[str]:
    """Yield an address of every kind of page."""
    yield from (address for address, _ in WAYS)
    one = f"/incidents/{world.main.id}"
    yield from (one, f"{one}/postmortem", f"{one}/analyses/1", "/services/payments", "/nope", f"{one}/explode")


@pytest.mark.parametrize(("role", "scopes"), KEYS, ids=lambda v: v if isinstance(v, str) else "+".join(v))
def test_nobody_is_offered_what_is_forbidden_to_them(
    world: World, tmp_path: Path, role: Role, scopes: tuple[Scope, ...]
) -> None:
    client = signed_in(world, tmp_path, role, scopes)
    tried: set[tuple[str, str]] = {("post", "/sign-in"), ("post", "/sign-out")}
    for start in beginnings(world):
        offered = Markup(client.get(start).text)
        links = [("get", urldefrag(link).url) for link in offered.links if link.startswith("/")]
        forms = [(form.method, address or start) for form in offered.forms for address in form.actions]
        for method, address in {*links, *forms} - tried:
            tried.add((method, address))
            status = client.request(method.upper(), address, headers=OWN).status_code
            assert status not in (401, 403, 405), f"{start} offers {method} {address}"


def test_a_key_that_may_do_everything_is_offered_everything(world: World, tmp_path: Path) -> None:
    client = signed_in(world, tmp_path, Role.RESPONDER, ())
    shown = Markup(client.get(f"/incidents/{world.main.id}").text)
    assert {"/", "/services", "/deploys"} <= set(shown.links)
    assert any(link.startswith("/services/payments?from=") for link in shown.links)
    actions = {action.rpartition("/")[2] for form in shown.forms for action in form.actions}
    assert {"notes", "acknowledge", "confirm", "facts", "merge", "sign-out"} <= actions


def test_a_narrow_key_reads_names_where_others_have_links_and_why_it_may_not_write(
    world: World, tmp_path: Path
) -> None:
    client = signed_in(world, tmp_path, Role.RESPONDER, (Scope.INCIDENTS_READ,))
    text = client.get(f"/incidents/{world.main.id}").text
    assert '<span class="service">payments</span>' in text
    assert "/services" not in text
    assert "/deploys" not in text
    assert "To write takes the scope incidents:write, which your key does not have." in text
    only_deploys = signed_in(world, tmp_path, Role.VIEWER, (Scope.DEPLOYS_READ,))
    assert '<a class="brand" href="/deploys">' in only_deploys.get("/deploys").text
    nothing = signed_in(world, tmp_path, Role.VIEWER, (Scope.ACCESS_READ,))
    refused = nothing.get("/")
    assert (refused.status_code, '<span class="brand">' in refused.text) == (403, True)
