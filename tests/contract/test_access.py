"""Every door asks who comes: found from descriptors and routes, so that a new one without a check fails here."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from libs.access.http import HEALTH_PATHS, Exempt, Gate, RouteUnguarded, declared, guard, guarded
from libs.access.identity import Decision, Requirement, Role, Scope, decide
from libs.access.rpc import RpcUnguarded, requirements
from tests.access_world import MINE, OTHER, Doors, ask, callers, http_doors, rpc_services

ROOT = Path(__file__).resolve().parents[2]
READS = ("Get", "List", "Watch", "Search", "Query", "Export", "Render")
PUBLIC = {
    "console": {"/api/openapi.json", "/sign-in", "/sign-out", "/static"},
}
SIGNED = "/webhooks/{tenant}/"
BODIES = (b"{}", b'{"actor": "Eve"}', b'{"actor": "Eve", "text": "mine now"}', b'{"actor": "Eve", "title": "theirs"}')
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
def doors(tmp_path: Path) -> Doors:
    return http_doors(tmp_path)


def test_every_rpc_declares_who_may_call_it_and_no_viewer_writes() -> None:
    names = [service.full_name for service in rpc_services()]
    assert len(names) >= 2
    for path, rpc in requirements(names, {}).items():
        if not path.rpartition("/")[2].startswith(READS):
            assert rpc.asked.role is not Role.VIEWER, f"{path} changes something and lets viewers"
            assert rpc.asked.scope.writes, f"{path} changes something by a scope that reads"


def test_a_service_with_an_rpc_that_declares_nothing_is_refused() -> None:
    name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

    with pytest.raises(RpcUnguarded, match=r"grpc\.health\.v1\.Health\.Check does not declare"):
        requirements([name], {})


def test_every_route_of_every_app_declares_who_may_call_it(doors: Doors) -> None:
    for service, app in doors.apps.items():
        public = frozenset(PUBLIC.get(service, ()))
        for route in app.router.routes:
            path = getattr(route, "path", "")
            found = declared(route, frozenset({"/api/openapi.json"}))
            assert found is not None, f"{service} {path}"
            expected = path in HEALTH_PATHS | public
            assert (found is Exempt.PUBLIC) == expected, f"{service} {path} is {found}"
            assert (found is Exempt.SIGNED) == path.startswith(SIGNED), f"{service} {path} is {found}"


def test_every_service_that_makes_routes_is_among_the_apps(doors: Doors) -> None:
    making = {
        file.relative_to(ROOT / "services").parts[0]
        for file in (ROOT / "services").rglob("*.py")
        if any(word in file.read_text() for word in ("Route(", "add_api_route(", "APIRouter(", "FastAPI("))
    }
    assert making == set(doors.apps)


def test_an_app_with_a_route_that_declares_nothing_is_refused() -> None:
    async def new(_request: Request) -> Response:
        return PlainTextResponse("secret")

    app = Starlette(routes=[Route("/new", new)])
    with pytest.raises(RouteUnguarded, match="/new"):
        guard(app.routes, Gate(lambda _request, _asked: pytest.fail("not asked")))
    with pytest.raises(RouteUnguarded):
        guard([Mount("/files", Starlette())], Gate(lambda _request, _asked: pytest.fail("not asked")))


def each_route(doors: Doors) -> list[tuple[str, str, str, Requirement]]:
    """Return service, method and path of every route behind a gate, filled in with what is mine."""
    ids = {"incident_id": doors.console.main.id, "service": "checkout", "action": "acknowledge", "version": 1}
    ids["task_id"] = ids["incident_id"]
    found = []
    for service, app in doors.apps.items():
        for route, asked in guarded(app.router.routes):
            path = route.path_format.format(**{n: ids[n] for n in route.param_convertors})
            found += [(service, m, path, asked) for m in sorted(route.methods or ()) if m != "HEAD"]
    return found


def test_without_a_key_or_with_a_wrong_one_nothing_is_answered(doors: Doors) -> None:
    async def story() -> None:
        for service, method, path, _ in each_route(doors):
            for key in ("", "guess", "isc.e30.e30"):
                answer = await ask(doors.outer[service], method, path, key)
                assert answer.status == 401, (service, method, path, key, answer)

    asyncio.run(story())


def test_what_is_shown_and_is_no_key_is_never_the_anonymous_tenants_at_any_route(tmp_path: Path) -> None:
    doors = http_doors(tmp_path, anonymous=MINE)

    async def story() -> None:
        for service, method, path, _ in each_route(doors):
            for shown in ("Basic Z3Vlc3M6Z3Vlc3M=", "Token guess", "Digest username=guess", "Bearer"):
                answer = await ask(doors.outer[service], method, path, authorization=shown)
                assert answer.status == 401, (service, method, path, shown, answer)

    asyncio.run(story())


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "ApiKey", "Basic"])
def test_a_key_is_read_in_whichever_scheme_it_is_shown_at_every_route(doors: Doors, scheme: str) -> None:
    key = f"{MINE}-machine"
    shown = f"{scheme} {base64.b64encode(b'anybody:' + key.encode()).decode() if scheme == 'Basic' else key}"

    async def story() -> None:
        for service, method, path, asked in each_route(doors):
            if asked.role is not Role.ADMIN and not path.endswith("/argocd"):  # there the provider's token is in it
                answer = await ask(doors.outer[service], method, path, "", b"{}", 0.3, shown)
                assert answer.status != 403, (path, answer)
                assert answer.status != 401 or b"signature" in answer.body, (path, answer)

    asyncio.run(story())


def test_every_role_is_denied_what_it_must_be_at_every_route(doors: Doors) -> None:
    async def story() -> set[tuple[str, Decision]]:
        seen = set()
        for service, method, path, asked in each_route(doors):
            for caller in callers(MINE):
                answer = await ask(doors.outer[service], method, path, caller.secret, b"{}", seconds=0.3)
                decision = decide(caller.identity, asked)
                assert (answer.status == 403) == (decision is not Decision.ALLOWED), (path, caller.secret, answer)
                assert not (answer.status == 401 and b"api_key" in answer.body), (path, caller.secret)
                seen.add((caller.identity.name, decision))
                if method in WRITES:
                    assert not (caller.identity.role is Role.VIEWER and answer.status != 403), (path, answer)
        return seen

    seen = asyncio.run(story())
    assert {("viewer", Decision.ROLE_TOO_LOW), ("idle-machine", Decision.SCOPE_MISSING)} <= seen
    assert {("viewer", Decision.ALLOWED), ("machine", Decision.ALLOWED), ("responder", Decision.ALLOWED)} <= seen


def test_no_read_write_or_watch_at_any_route_crosses_a_tenant(doors: Doors) -> None:
    world = doors.console
    titles = [i.title for (tenant, _), i in world.incidents.kept.items() if tenant == MINE]
    marks = [m.encode() for m in (*titles, "Looked at payments", "v2.31.0", "Likely cause: payments")]
    before = _kept(world)

    async def story() -> None:
        world.feed.open()
        for caller in callers(OTHER):
            for service, method, path, _ in each_route(doors):
                statuses = set()
                for body in BODIES if method in WRITES else BODIES[:1]:
                    asking = asyncio.create_task(ask(doors.outer[service], method, path, caller.secret, body, 0.1))
                    await asyncio.sleep(0.01)
                    world.tell("IncidentUpdated", world.main.id)
                    answer = await asking
                    assert not [m for m in marks if m in answer.body], (path, caller.secret)
                    assert b"event: change" not in answer.body, path
                    statuses.add(answer.status)
                leads_on = method == "GET" and statuses == {303}  # from a form's address to its page, whosever it is
                # Nothing of the sort is done, and not only for a malformed body.
                if world.main.id in path and not leads_on:
                    assert statuses & {403, 404}, (method, path, statuses)
                    assert statuses <= {400, 403, 404, 422}, (method, path, statuses)
        world.feed.close()

    asyncio.run(story())
    assert _kept(world) == before
    assert MINE not in doors.taken.tenants


def _kept(world: Any) -> dict[str, bytes]:
    incidents, entries = world.incidents.kept, world.incidents.entries
    mine = {i for tenant, i in incidents if tenant == MINE}
    states = {i: incidents[MINE, i].SerializeToString(deterministic=True) for i in mine}
    return states | {f"{i}/timeline": repr(entries.get(i)).encode() for i in mine}


def test_signed_webhooks_believe_only_the_secret_of_the_tenant(doors: Doors) -> None:
    async def story() -> list[int]:
        app = doors.outer["deploy_normalizer"]
        paths = [f"/webhooks/{MINE}/{provider}" for provider in ("github", "argocd")]
        return [(await ask(app, "POST", path, callers(OTHER)[2].secret, b"{}")).status for path in paths]

    assert asyncio.run(story()) == [401, 401]
    assert doors.deploys.announced == []


def test_scopes_of_the_contracts_exist_and_reads_and_writes_are_told_apart() -> None:
    assert all(scope.writes != scope.endswith(":read") for scope in Scope)
