"""The console as a process in front of the real incident service, database and broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from infra.local.ports import Ports

if TYPE_CHECKING:
    from tests.servers import Servers

START_SECONDS, STOP_SECONDS = 40.0, 20.0


@contextmanager
def process(module: str, environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run a service until the end of the block, then stop it as an operator would."""
    with log.open("wb") as out:
        started = subprocess.Popen(
            [sys.executable, "-m", module], env=os.environ | environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        wait_ready(int(environment["HEALTH_PORT"]), started, log)
        yield
    finally:
        started.terminate()
        assert started.wait(STOP_SECONDS) == 0, log.read_text()[-2000:]


def wait_ready(port: int, started: subprocess.Popen[bytes], log: Path) -> None:
    """Return once /readyz answers 200."""
    deadline = time.monotonic() + START_SECONDS
    while started.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
        time.sleep(0.1)
    raise AssertionError(f"not ready: {log.read_text()[-2000:]}")


@pytest.fixture
def address(stack: Servers, tmp_path: Path) -> Iterator[str]:
    with running(stack, tmp_path) as found:
        yield found


@contextmanager
def running(stack: Servers, tmp_path: Path, tenant: str = "default") -> Iterator[str]:
    """Run console and incident service for a tenant until the end of the block, and yield the console's address."""
    ports = sorted(Ports.free().numbers.values())
    tenants = tmp_path / "tenants.json"
    tenants.write_text(json.dumps({"tenants": [{"id": tenant}]}))
    environment = {
        "KAFKA_BOOTSTRAP": stack.kafka_bootstrap,
        "POSTGRES_URL": stack.postgres_service_url,
        "CLICKHOUSE_URL": stack.clickhouse_url,
        "INCIDENTSCOPE_TENANTS_FILE": str(tenants),
        "INCIDENTSCOPE_ANONYMOUS_TENANT": tenant,
        "INCIDENTSCOPE_TRUST_TENANT_HEADER": "true",
        "INCIDENT_GRPC_PORT": str(ports[0]),
        "INCIDENT_GRPC_TARGET": f"127.0.0.1:{ports[0]}",
        "DEPLOY_GRPC_TARGET": "127.0.0.1:1",  # nobody there, on purpose
    }
    with ExitStack() as processes:
        for module, port in (("services.incident_service", ports[1]), ("services.console", ports[2])):
            own = environment | {"HEALTH_PORT": str(port)}
            processes.enter_context(process(module, own, tmp_path / f"{module}.log"))
        yield f"http://127.0.0.1:{ports[2]}"


class Listener:
    """Listens on /events as an open page does."""

    def __init__(self, address: str) -> None:
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._listen, args=(address,), daemon=True)
        self._thread.start()

    def _listen(self, address: str) -> None:
        with httpx.stream("GET", f"{address}/events", timeout=60, trust_env=False) as stream:
            for line in stream.iter_lines():
                self.lines.append(line)  # seen by the test as it comes

    def wait_for(self, words: str) -> None:
        """Return once a line holds the words."""
        deadline = time.monotonic() + 20
        while not any(words in line for line in self.lines):
            assert time.monotonic() < deadline, f"{words!r} is not in {self.lines}"
            time.sleep(0.05)


def test_an_incident_is_led_from_opening_to_its_end(address: str) -> None:
    listener = Listener(address)
    listener.wait_for('"live": true')
    with httpx.Client(base_url=address, trust_env=False, timeout=20) as client:
        body = {
            "title": "search is slow",
            "severity": "INCIDENT_SEVERITY_MAJOR",
            "services": ["search"],
            "actor": "Ana",
        }
        opened = client.post("/api/v1/incidents", json=body)
        assert opened.status_code == 201, opened.text
        incident_id = opened.json()["incident"]["id"]
        listener.wait_for(incident_id)
        assert "search is slow" in client.get("/").text
        narrow = "q=SLOW&service=search&severity=major&status=open&last=1h&sort=updated"
        assert [i["id"] for i in client.get(f"/api/v1/incidents?{narrow}").json()["incidents"]] == [incident_id]
        assert "search is slow" in client.get(f"/?{narrow}&order=asc").text
        assert "No incident matches" in client.get(f"/?{narrow}&q=fast").text
        assert "search is slow" in client.get("/services/search").text
        page = client.get(f"/incidents/{incident_id}")
        assert page.status_code == 200
        assert "No analysis yet" in page.text
        assert "Deploys: not available now." in page.text
        form, headers = {"actor": "Bo", "text": "mine", "version": "1"}, {"origin": address}
        taken = client.post(f"/incidents/{incident_id}/acknowledge", data=form, headers=headers)
        assert taken.status_code == 303, taken.text
        stale = client.post(f"/incidents/{incident_id}/resolve", data=form, headers=headers)
        assert stale.status_code == 409
        path = f"/api/v1/incidents/{incident_id}"
        again = client.post(f"{path}:acknowledge", json={"actor": "Cy"})
        assert (again.status_code, again.json()["code"]) == (409, "FAILED_PRECONDITION")
        resolved = client.post(f"{path}:resolve", json={"actor": "Bo", "resolution": "cache warmed"})
        assert resolved.json()["incident"]["status"] == "INCIDENT_STATUS_RESOLVED"
        text = client.get(f"/incidents/{incident_id}").text
        for words in ("taken by Bo", "mine", "cache warmed"):
            assert words in text
        unknown = "01920000-0000-7000-8000-000000000000"
        assert client.get(f"/incidents/{unknown}").status_code == 404
        assert client.post(f"{path}/notes", json={"actor": "Bo", "text": "n" * 10_001}).status_code == 400
        assert client.get("/api/v1/incidents?pageToken=nonsense").status_code == 400
    listener.wait_for("IncidentResolved")
