"""Callers of every role in two tenants, and every HTTP app of the suite, for tests that go over all doors."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message

from libs.access.directory import hash_key
from libs.access.identity import Identity, Role, Scope
from libs.access.tenants import TenantRegistry
from libs.kernel.clock import SystemClock
from libs.runtime.health import Health
from services.alert_router.adapters import http as alert_http
from services.alert_router.domain.arrival import Door
from services.alert_router.domain.conventions import Conventions
from services.alert_router.domain.listening import Listening
from services.alert_router.domain.naming import Naming
from services.alert_router.handlers import ReceiveAlerts
from services.deploy_normalizer.adapters.http import webhook_app
from services.deploy_normalizer.domain.github import GithubRules
from services.deploy_normalizer.domain.tenant_secrets import Secrets
from services.deploy_normalizer.handlers.webhooks import ArgocdWebhook, GithubWebhook
from services.otlp_receiver.adapters.checkers import Checkers
from services.otlp_receiver.adapters.http_door import HttpDoor
from services.otlp_receiver.handlers import Receiver, ReceiverMetrics
from tests.unit.services.console.memory_services import TENANT
from tests.unit.services.console.world import World
from tests.unit.services.deploy_normalizer.world import MemoryDeploys

CONTRACTS = Path(__file__).resolve().parents[1] / "libs" / "contracts"
MINE, OTHER = TENANT, "other"


@dataclass(frozen=True)
class Caller:
    """Somebody with a key, whose secret is its name."""

    secret: str
    identity: Identity


def callers(tenant: str) -> list[Caller]:
    """Return one of each kind in a tenant: each role, a service without scopes that fit, and an admin narrowed down."""
    kinds: dict[str, tuple[Role, tuple[Scope, ...]]] = {
        "viewer": (Role.VIEWER, ()),
        "responder": (Role.RESPONDER, ()),
        "admin": (Role.ADMIN, ()),
        "machine": (Role.SERVICE, tuple(Scope)),
        "idle-machine": (Role.SERVICE, (Scope.ACCESS_READ,)),
        "narrow-admin": (Role.ADMIN, (Scope.ACCESS_READ,)),
    }
    return [
        Caller(f"{tenant}-{name}", Identity(tenant, role, frozenset(scopes), f"{tenant}-{name}", name))
        for name, (role, scopes) in kinds.items()
    ]


def registry(folder: Path, *tenants: str, anonymous: str = "") -> TenantRegistry:
    """Return a registry in which only those callers are known, and who shows no key is of the anonymous tenant."""
    path = folder / "access.json"
    content = [{"id": t, "keys": [_key(c) for c in callers(t)]} for t in tenants]
    path.write_text(json.dumps({"tenants": content}))
    return TenantRegistry(path, anonymous)


def _key(caller: Caller) -> dict[str, object]:
    who = caller.identity
    return {
        "id": who.key_id, "sha256": hash_key(caller.secret), "name": who.name, "role": who.role,
        "scopes": sorted(who.scopes), "requests_per_second": 0,
    }  # fmt: skip


class Nowhere:
    """Takes exports and alerts, and keeps the tenants they came for."""

    def __init__(self) -> None:
        self.tenants: list[str] = []

    async def publish(self, *what: Any) -> None:
        """Remember the tenant; the signal comes first where there is one."""
        self.tenants.append(next(w for w in what if w in (MINE, OTHER)))


@dataclass
class Doors:
    """Every app with routes of its own, by service."""

    apps: dict[str, Any]
    outer: dict[str, ASGIApp]
    console: World
    deploys: MemoryDeploys
    taken: Nowhere


def http_doors(folder: Path, anonymous: str = "") -> Doors:
    """Return them over ports in memory."""
    tenants, taken, deploys = registry(folder, MINE, OTHER, anonymous=anonymous), Nowhere(), MemoryDeploys()
    world = World(folder)
    world.tenants = tenants
    guard: Any = world.app()
    door = Door("test", timedelta(minutes=5), Conventions(Naming(("service",))))
    clock = SystemClock()
    receive = ReceiveAlerts(taken, clock, Listening(clock.now()))
    alerts = alert_http.Doors(receive, tenants, door, door, 10_000)
    webhooks: Any = {
        "github": GithubWebhook(deploys, Secrets("secret", tenant=MINE), GithubRules()),
        "argocd": ArgocdWebhook(deploys, Secrets("token", tenant=MINE)),
    }
    otlp = HttpDoor(Receiver(taken, Checkers(1), ReceiverMetrics(CollectorRegistry())), tenants, 10_000, 10_000)
    apps: dict[str, Any] = {
        "console": guard.app,
        "alert_router": alert_http.build(alerts, Health("alert_router").routes()),
        "deploy_normalizer": webhook_app(webhooks, tenants, [*Health("deploy_normalizer").routes()]),
        "otlp_receiver": otlp.app(Health("otlp_receiver").routes()),
    }
    return Doors(apps, {**apps, "console": guard}, world, deploys, taken)


@dataclass
class Answer:
    """What came back; status 0 when nothing did within the time given, as of a stream that waits."""

    status: int = 0
    body: bytes = b""


async def ask(
    app: ASGIApp | FastAPI, method: str, path: str, key: str = "", body: bytes = b"", seconds: float = 1.0,
    authorization: str = "",
) -> Answer:  # fmt: skip
    """Send a request straight into an app; an answer that does not end is cut off."""
    headers = [(b"host", b"testserver"), (b"content-type", b"application/json"), (b"sec-fetch-site", b"same-origin")]
    if key:
        headers.append((b"x-api-key", key.encode()))
    if authorization:
        headers.append((b"authorization", authorization.encode()))
    answer, sent = Answer(), asyncio.Event()

    async def receive() -> Message:
        if sent.is_set():
            await asyncio.sleep(3600)
        sent.set()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        answer.status = message.get("status", answer.status)
        answer.body += message.get("body", b"")

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": headers, "http_version": "1.1", "scheme": "http", "server": ("testserver", 80), "root_path": "",
        "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"},
    }  # fmt: skip
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(app(scope, receive, send), seconds)
    return answer


def rpc_services() -> Iterator[ServiceDescriptor]:
    """Yield every service of our contracts, found by looking through all generated modules."""
    pool = descriptor_pool.Default()
    for module in sorted((CONTRACTS / "incidentscope").rglob("*_pb2.py")):
        path = module.relative_to(CONTRACTS).as_posix().removesuffix("_pb2.py")
        importlib.import_module(f"{path.replace('/', '.')}_pb2")
        yield from pool.FindFileByName(f"{path}.proto").services_by_name.values()
