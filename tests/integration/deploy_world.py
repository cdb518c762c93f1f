"""The deploy normalizer as a process of its own, with tenants of its own, and the ways in and out of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
import psycopg
from confluent_kafka import Consumer, TopicPartition
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.deploy.v1 import deploy_service_pb2 as pb
from incidentscope.deploy.v1.deploy_service_pb2_grpc import DeployServiceStub

from libs.messaging.cloudevents import CloudEvent, decode
from libs.messaging.topics import DEPLOYS_EVENTS
from services.deploy_normalizer.domain.tenant_secrets import derived
from tests.unit.services.deploy_normalizer.world import ROOT_SECRET, SECRET, TOKEN, github_headers, minutes

ROOT = Path(__file__).parents[2]
DDL = sorted((ROOT / "infra/postgres/deploy").glob("*.sql"))
READY_SECONDS = 30.0


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = READY_SECONDS) -> None:
    """Return once a condition holds; fails the test otherwise."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.05)


@contextmanager
def schema(url: str) -> Iterator[str]:
    """Yield the name of a throw-away copy of schema `deploy`."""
    name = f"deploy_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"CREATE SCHEMA {name}".encode())
        conn.execute(f"SET search_path = {name}, public".encode())
        for file in DDL:
            conn.execute(file.read_bytes())
        yield name
        conn.execute(f"DROP SCHEMA {name} CASCADE".encode())


@dataclass
class Normalizer:
    """One process, restartable on the same ports."""

    postgres_url: str
    bootstrap: str
    folder: Path
    tenant: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    other: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    http_port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        """Return where the process logs to."""
        return self.folder / "deploy_normalizer.log"

    def url(self, path: str) -> str:
        """Return the address of a path of its HTTP door."""
        return f"http://127.0.0.1:{self.http_port}{path}"

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        tenants = self.folder / "tenants.json"
        tenants.write_text(json.dumps({"tenants": [{"id": self.tenant}, {"id": self.other}]}))
        environment = os.environ | {
            "KAFKA_BOOTSTRAP": self.bootstrap, "POSTGRES_URL": self.postgres_url, "HOST": "127.0.0.1",
            "HEALTH_PORT": str(self.http_port), "DEPLOY_GRPC_PORT": str(self.grpc_port),
            "INCIDENTSCOPE_TENANTS_FILE": str(tenants), "INCIDENTSCOPE_ANONYMOUS_TENANT": self.tenant,
            "INCIDENTSCOPE_TRUST_TENANT_HEADER": "true", "GITHUB_WEBHOOK_SECRET": SECRET,
            "WEBHOOK_ROOT_SECRET": ROOT_SECRET,
            "ARGOCD_WEBHOOK_TOKEN": TOKEN, "GITLAB_WEBHOOK_TOKEN": TOKEN, "GENERIC_WEBHOOK_SECRET": SECRET,
        }  # fmt: skip
        command = [sys.executable, "-m", "services.deploy_normalizer"]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        wait_until(self.ready, f"readiness; see {self.log_file}")

    def ready(self) -> bool:
        """Tell whether it says that it is ready; fails when it has ended."""
        assert self.process is None or self.process.poll() is None, self.log_file.read_text()
        try:
            return httpx.get(self.url("/readyz"), timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """Ask it to end and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """End it as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=10)

    def github(self, body: bytes, delivery: str = "", tenant: str = "", **headers: str) -> httpx.Response:
        """Post a signed `deployment_status`; keyword arguments replace headers, `_` standing for `-`."""
        secret = derived(ROOT_SECRET, "github", tenant) if tenant not in {"", self.tenant} else SECRET
        sent = github_headers(body, delivery=delivery or str(uuid.uuid4()), secret=secret)
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        path = f"/webhooks/{tenant}/github" if tenant else "/webhooks/github"
        return httpx.post(self.url(path), content=body, headers=sent, timeout=20)

    def list_deploys(self, tenant: str = "", **changes: object) -> pb.ListDeploysResponse:
        """Ask what changed in the day around noon."""
        start, end = Timestamp(), Timestamp()
        start.FromDatetime(minutes(-720))
        end.FromDatetime(minutes(720))
        request = pb.ListDeploysRequest(**({"start_time": start, "end_time": end} | changes))  # type: ignore[arg-type]
        with self.channel() as channel:
            return DeployServiceStub(channel).ListDeploys(request, metadata=self.metadata(tenant), timeout=10)

    def get_deploy(self, deploy_id: str, tenant: str = "") -> pb.GetDeployResponse:
        """Ask for one deploy."""
        with self.channel() as channel:
            request = pb.GetDeployRequest(id=deploy_id)
            return DeployServiceStub(channel).GetDeploy(request, metadata=self.metadata(tenant), timeout=10)

    def channel(self) -> grpc.Channel:
        """Open a connection to its gRPC door."""
        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")

    def metadata(self, tenant: str = "") -> tuple[tuple[str, str | bytes], ...]:
        """Return the metadata of a call for a tenant."""
        return (("x-tenant-id", tenant or self.tenant),)

    def published(self) -> list[CloudEvent]:
        """Return the committed events of both tenants on `deploys.events`."""
        found = []
        for headers, value in read_all(self.bootstrap, DEPLOYS_EVENTS.name):
            event = decode(headers, value)
            if event.tenant in (self.tenant, self.other):
                found.append(event)
        return found


def read_all(bootstrap: str, topic: str) -> list[tuple[tuple[tuple[str, bytes], ...], bytes]]:
    """Return headers and value of every committed message of a topic."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "none", "isolation.level": "read_committed"}
    consumer = Consumer(settings | {"enable.auto.commit": False, "enable.partition.eof": True})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        found: list[tuple[tuple[tuple[str, bytes], ...], bytes]] = []
        ended: set[int] = set()
        while len(ended) < len(partitions):
            message = consumer.poll(10)
            assert message is not None, f"{topic} does not answer"
            if message.error():
                ended.add(message.partition())
            else:
                found.append((tuple(message.headers() or ()), message.value() or b""))
        return found
    finally:
        consumer.close()
