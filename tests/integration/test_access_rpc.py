"""Every rpc of every service, called by every kind of caller: what is refused, and that no tenant sees another's."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import psycopg
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from incidentscope.incident.v1 import incident_service_pb2 as incidents
from incidentscope.incident.v1 import incident_service_pb2_grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from infra.local.ports import Ports
from libs.access import admin
from libs.access.identity import Decision, Identity, Requirement, Role, Scope, decide
from libs.access.rpc import requirements
from services.deploy_normalizer.domain.tenant_secrets import derived
from tests.access_world import callers, rpc_services
from tests.integration.incident_requests import NEEDED
from tests.servers import Servers
from tests.unit.services.deploy_normalizer.world import SECRET as WEBHOOK_SECRET
from tests.unit.services.deploy_normalizer.world import as_bytes, deployment_status, github_headers

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
DENIED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
SECRET = "only for the first tenant"
OTLP = (logs_service_pb2, metrics_service_pb2, trace_service_pb2)
INGEST = Requirement(Role.SERVICE, Scope.TELEMETRY_WRITE)
# Where each service of the contracts is; one that is missing here fails the tests.
HOMES = {
    "incidentscope.incident.v1.IncidentService": "incident_service",
    "incidentscope.deploy.v1.DeployService": "deploy_normalizer",
}


@dataclass
class World:
    """Three services that know tenants and keys from Postgres, and keys of two tenants by kind of caller."""

    postgres_url: str
    channels: dict[str, grpc.Channel]
    webhooks: str
    mine: str = field(default_factory=lambda: f"a{secrets.token_hex(4)}")
    other: str = field(default_factory=lambda: f"b{secrets.token_hex(4)}")
    keys: dict[str, dict[str, admin.NewKey]] = field(default_factory=dict)
    incident: str = ""

    def populate(self) -> None:
        """Make tenants, keys, and an incident with a note."""
        with psycopg.connect(self.postgres_url, autocommit=True) as conn:
            for tenant in (self.mine, self.other):
                admin.create_tenant(conn, tenant)
                self.keys[tenant] = {
                    c.identity.name: admin.create_key(conn, tenant, _grant(c.identity)) for c in callers(tenant)
                }
        opened = eventually_let_in(lambda: self.stub.OpenIncident(
            incidents.OpenIncidentRequest(title=SECRET, actor="x"), metadata=self.key(self.mine, "admin"), timeout=10
        ))  # fmt: skip
        self.incident = opened.incident.id
        note = incidents.AddNoteRequest(id=self.incident, actor="x", text=SECRET)
        self.stub.AddNote(note, metadata=self.key(self.mine, "admin"), timeout=10)

    @property
    def stub(self) -> Any:
        """Return a client of the incident service."""
        return incident_service_pb2_grpc.IncidentServiceStub(self.channels["incident_service"])

    def key(self, tenant: str, name: str) -> tuple[tuple[str, str], ...]:
        """Return call metadata with the key of a caller."""
        return (("x-api-key", self.keys[tenant][name].secret),)

    def kept(self) -> tuple[bytes, bytes]:
        """Return the first tenant's incident and its timeline."""
        as_admin: dict[str, Any] = {"metadata": self.key(self.mine, "admin"), "timeout": 10}
        found = self.stub.GetIncident(incidents.GetIncidentRequest(id=self.incident), **as_admin)
        entries = self.stub.ListTimeline(incidents.ListTimelineRequest(id=self.incident), **as_admin)
        return found.SerializeToString(deterministic=True), entries.SerializeToString(deterministic=True)


def _grant(who: Identity) -> admin.Grant:
    return admin.Grant(who.name, who.role, tuple(sorted(who.scopes)), 0.0)


def eventually_let_in(call: Any) -> Any:
    """Return the answer as soon as the key is known at the door."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return call()
        except grpc.RpcError as exc:
            if exc.code() is not grpc.StatusCode.UNAUTHENTICATED or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


@pytest.fixture(scope="module")
def world(stack: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    ports = iter(sorted(Ports.free().numbers.values()))
    folder = tmp_path_factory.mktemp("access")
    with ExitStack() as running:
        channels, healths = {}, {}
        for service, grpc_port in (
            ("incident_service", "INCIDENT_GRPC_PORT"),
            ("deploy_normalizer", "DEPLOY_GRPC_PORT"),
            ("otlp_receiver", "OTLP_GRPC_PORT"),
        ):
            health, door = next(ports), next(ports)
            running.enter_context(_process(stack, service, folder, {"HEALTH_PORT": str(health), grpc_port: str(door)}))
            healths[service] = health
            channels[service] = running.enter_context(grpc.insecure_channel(f"127.0.0.1:{door}"))
        made = World(stack.postgres_url, channels, f"http://127.0.0.1:{healths['deploy_normalizer']}/webhooks")
        made.populate()
        yield made


def _process(stack: Servers, service: str, folder: Path, ports: dict[str, str]) -> ExitStack:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INCIDENTSCOPE_")} | ports
    environment |= {
        "KAFKA_BOOTSTRAP": stack.kafka_bootstrap, "POSTGRES_URL": stack.postgres_service_url, "HOST": "127.0.0.1",
        "WEBHOOK_ROOT_SECRET": WEBHOOK_SECRET,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "libs" / "contracts"))),
    }  # fmt: skip
    log = folder / f"{service}.log"
    with log.open("wb") as out:
        started = subprocess.Popen(
            [sys.executable, "-m", f"services.{service}"], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    running = ExitStack()
    running.callback(started.wait, 30)
    running.callback(started.terminate)
    deadline = time.monotonic() + START_SECONDS
    while started.poll() is None and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{ports['HEALTH_PORT']}/readyz", trust_env=False).status_code == 200:
                return running
        time.sleep(0.1)
    running.close()
    raise AssertionError(log.read_text()[-3000:])


@dataclass(frozen=True)
class Rpc:
    """One rpc and where it is."""

    method: MethodDescriptor
    home: str
    asked: Requirement

    @property
    def path(self) -> str:
        """Return its path on the wire."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    def call(self, world: World, request: Message, metadata: Any) -> tuple[str, bytes]:
        """Return the name of the status and all that was answered; a stream is cut off after a moment."""
        answer_class = message_factory.GetMessageClass(self.method.output_type)
        kind = "stream" if self.method.server_streaming else "unary"
        asks = "stream" if self.method.client_streaming else "unary"
        door = getattr(world.channels[self.home], f"{asks}_{kind}")(
            self.path, request_serializer=lambda m: m.SerializeToString(), response_deserializer=answer_class.FromString
        )
        sent: Any = iter([request]) if asks == "stream" else request
        body = b""
        try:
            answers = door(sent, metadata=metadata, timeout=1.5 if kind == "stream" else 10)
            for answer in answers if kind == "stream" else [answers]:
                body += answer.SerializeToString()
        except grpc.RpcError as exc:
            return exc.code().name, body + (exc.details() or "").encode()
        return "OK", body


def every_rpc() -> list[Rpc]:
    """Return all rpcs, from the descriptors."""
    found = []
    for service in rpc_services():
        asked = requirements([service.full_name], {})
        home = HOMES[service.full_name]
        found += [Rpc(m, home, asked[f"/{service.full_name}/{m.name}"].asked) for m in service.methods]
    for module in OTLP:
        for service in module.DESCRIPTOR.services_by_name.values():
            found += [Rpc(m, "otlp_receiver", INGEST) for m in service.methods]
    return found


def filled(kind: Descriptor, incident: str, depth: int = 0) -> Message:
    """Return a request with something in every field: ids are the incident's, the rest is harmless."""
    made = message_factory.GetMessageClass(kind)()
    if kind.full_name == "google.protobuf.Timestamp":
        made.GetCurrentTime()  # type: ignore[attr-defined]
        return made
    for f in kind.fields:
        if f.message_type is not None:
            if not f.is_repeated and depth < 3 and not f.message_type.GetOptions().map_entry:
                getattr(made, f.name).CopyFrom(filled(f.message_type, incident, depth + 1))
        elif not f.is_repeated and (value := _value(f, incident)) is not None:
            setattr(made, f.name, value)
    _fit(made)
    if {"start_time", "end_time"} <= set(kind.fields_by_name):
        made.start_time.seconds -= 3600  # type: ignore[attr-defined]
    return made


def _fit(made: Message) -> None:
    """Give fields that have rules of their own, such as masks and addresses, what the incident service takes."""
    for name, value in NEEDED.get(made.DESCRIPTOR.name.removesuffix("Request"), {}).items():
        if not name.endswith("id"):
            made.ClearField(name)
            made.MergeFrom(type(made)(**{name: value}))


def _value(f: FieldDescriptor, incident: str) -> Any:
    if f.type == FieldDescriptor.TYPE_STRING:
        if f.name.endswith("token"):
            return ""
        return incident if f.name == "id" or f.name.endswith("_id") else "x"
    return f.enum_type.values[-1].number if f.enum_type is not None else None


def names(rpc: Rpc, incident: str) -> bool:
    """Tell whether a request of this rpc names an incident."""
    return incident.encode() in filled(rpc.method.input_type, incident).SerializeToString()


@pytest.mark.parametrize("rpc", every_rpc(), ids=lambda rpc: rpc.path)
def test_every_role_is_denied_what_it_must_be(world: World, rpc: Rpc) -> None:
    request = filled(rpc.method.input_type, "00000000-0000-7000-8000-000000000000")
    for metadata in ((), (("x-api-key", "guess"),), (("authorization", "Bearer isc.e30.e30"),)):
        assert rpc.call(world, request, metadata)[0] == "UNAUTHENTICATED"
    for tenant_header in (world.mine, "default"):
        assert rpc.call(world, request, (("x-tenant-id", tenant_header),))[0] == "UNAUTHENTICATED"
    for caller in callers(world.other):
        status, told = rpc.call(world, request, world.key(world.other, caller.identity.name))
        if decide(caller.identity, rpc.asked) is Decision.ALLOWED:
            assert status not in DENIED, (caller, told)
        else:
            assert status == "PERMISSION_DENIED", (caller, told)


@pytest.mark.parametrize("rpc", [r for r in every_rpc() if r.home != "otlp_receiver"], ids=lambda rpc: rpc.path)
def test_no_read_write_or_watch_crosses_a_tenant(world: World, rpc: Rpc) -> None:
    before = world.kept()
    for name in ("viewer", "responder", "admin", "machine"):
        request = filled(rpc.method.input_type, world.incident)
        stir = threading.Timer(0.3, _stir, [world]) if rpc.method.server_streaming else None
        if stir:
            stir.start()
        status, told = rpc.call(world, request, world.key(world.other, name))
        if stir:
            stir.join()
            before = world.kept()
        assert SECRET.encode() not in told, (name, told)
        assert world.mine.encode() not in told, (name, told)
        if names(rpc, world.incident):
            assert status in {"NOT_FOUND", "PERMISSION_DENIED"}, (name, status, told)
    assert world.kept() == before


@pytest.mark.parametrize("rpc", [r for r in every_rpc() if r.method.server_streaming], ids=lambda rpc: rpc.path)
def test_a_watch_shows_what_moves_in_its_own_tenant(world: World, rpc: Rpc) -> None:
    request = filled(rpc.method.input_type, world.incident)
    stir = threading.Timer(0.3, _stir, [world])
    stir.start()
    status, told = rpc.call(world, request, world.key(world.mine, "viewer"))
    stir.join()
    assert status == "DEADLINE_EXCEEDED", told
    assert world.mine.encode() in told


def _stir(world: World) -> None:
    """Have something of the first tenant move in each service."""
    body = as_bytes(deployment_status(number=secrets.randbelow(10**9)))
    headers = github_headers(body, delivery=secrets.token_hex(8), secret=derived(WEBHOOK_SECRET, "github", world.mine))
    answer = httpx.post(f"{world.webhooks}/{world.mine}/github", content=body, headers=headers, trust_env=False)
    assert answer.status_code == 200, answer.text
    note = incidents.AddNoteRequest(id=world.incident, actor="x", text=SECRET)
    world.stub.AddNote(note, metadata=world.key(world.mine, "admin"), timeout=10)


def test_the_same_requests_reach_their_own_tenants_incident(world: World) -> None:
    reached = set()
    for rpc in every_rpc():
        if rpc.asked.scope is Scope.INCIDENTS_READ and names(rpc, world.incident):
            status, told = rpc.call(
                world, filled(rpc.method.input_type, world.incident), world.key(world.mine, "viewer")
            )
            reached |= {rpc.path} if SECRET.encode() in told and status in ("OK", "DEADLINE_EXCEEDED") else set()
    assert len(reached) >= 2


def test_a_revoked_key_is_refused_within_a_second_everywhere(world: World) -> None:
    doors = {rpc.home: rpc for rpc in every_rpc()}.values()
    with psycopg.connect(world.postgres_url, autocommit=True) as conn:
        made = admin.create_key(conn, world.mine, admin.Grant("leaver", Role.ADMIN, rate=0.0))
        metadata = (("x-api-key", made.secret),)
        for rpc in doors:
            wait_until_known(world, rpc, metadata, known=True)
        admin.revoke_key(conn, world.mine, made.id)
    began = time.monotonic()
    for rpc in doors:
        wait_until_known(world, rpc, metadata, known=False)
    assert time.monotonic() - began < 1.0


def wait_until_known(world: World, rpc: Rpc, metadata: Any, known: bool) -> None:
    """Wait until the door of an rpc knows a key, or no longer does."""
    request, deadline = filled(rpc.method.input_type, world.incident), time.monotonic() + 5
    while (rpc.call(world, request, metadata)[0] != "UNAUTHENTICATED") != known:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_caller_is_the_actor_in_the_timeline_and_on_record_and_not_who_it_says(world: World) -> None:
    key = world.keys[world.mine]["responder"]
    note = incidents.AddNoteRequest(id=world.incident, actor="the president", text="looking")
    entry = world.stub.AddNote(note, metadata=world.key(world.mine, "responder"), timeout=10).entry

    assert entry.actor == f"responder (responder key {key.id})"
    with pytest.raises(grpc.RpcError):
        world.stub.AddNote(note, metadata=world.key(world.mine, "viewer"), timeout=10)
    rows = _audit(world, key.id, 1)
    assert ("AddNote", "OK", world.incident, entry.actor) in rows
    assert ("AddNote", "PERMISSION_DENIED") in [r[:2] for r in _audit(world, world.keys[world.mine]["viewer"].id, 1)]


def _audit(world: World, key_id: str, least: int) -> list[tuple[str, ...]]:
    sql = "SELECT action, outcome, subject, actor FROM access.audit WHERE tenant_id = %s AND key_id = %s"
    deadline = time.monotonic() + 5
    with psycopg.connect(world.postgres_url, autocommit=True) as conn:
        while True:
            rows = conn.execute(sql, (world.mine, key_id)).fetchall()
            if len(rows) >= least and any(r[0].endswith("/AddNote") for r in rows):
                return [(r[0].rpartition("/")[2], *r[1:]) for r in rows]
            assert time.monotonic() < deadline, rows
            time.sleep(0.05)


def test_a_key_that_calls_too_often_hears_when_to_come_back(world: World) -> None:
    with psycopg.connect(world.postgres_url, autocommit=True) as conn:
        made = admin.create_key(conn, world.mine, admin.Grant("busy", Role.VIEWER, rate=2.0))
    metadata, request = (("x-api-key", made.secret),), incidents.GetIncidentRequest(id=world.incident)
    eventually_let_in(lambda: world.stub.GetIncident(request, metadata=metadata, timeout=10))

    refused = _refused_at_last(world, request, metadata)

    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "rate_limited" in refused.details()
    details = dict(refused.trailing_metadata())["grpc-status-details-bin"]
    assert b"google.rpc.RetryInfo" in details


def _refused_at_last(world: World, request: Message, metadata: Any) -> Any:
    for _ in range(20):
        try:
            world.stub.GetIncident(request, metadata=metadata, timeout=10)
        except grpc.RpcError as exc:
            return exc
    raise AssertionError("twenty calls in a row were answered")
