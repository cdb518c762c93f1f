"""Not hearing is not recovery, told with real services: traffic that stops, a router that was away, a sender that died.

Minutes are seconds here: what a sender promises to repeat within is eight seconds, and all ratios are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import httpx
import pytest

from infra.local.ports import Ports
from tests.integration.alert_world import Router, ServiceProcess, eventually, running, unique, write_tenants, written
from tests.integration.test_anomaly_detector import Spans

QUICK = {
    "every_seconds = 5": "every_seconds = 1", "resend_seconds = 60": "resend_seconds = 1",
    "ends_after_seconds = 180": "ends_after_seconds = 15", "hold_down_seconds = 60": "hold_down_seconds = 1",
    "windows_minutes = [1, 2]": "windows_minutes = [1]", "no_data_seconds = 300": "no_data_seconds = 3",
}  # fmt: skip
PROMISE_SECONDS, AWAY_SECONDS = 8.0, 12.0
RUNBOOK = "https://wiki.test/runbooks/errors?a=1&b=2"
SENDER = "http://prometheus.test:9090/graph"


@dataclass(frozen=True)
class Suite:
    """What a person and a Prometheus see of the suite."""

    router: Router
    console: str
    spans: Spans

    def incident(self, service: str) -> dict[str, Any]:
        """Return the newest incident of a service; empty when there is none."""
        answer = httpx.get(f"{self.console}/api/v1/incidents", headers=self.headers, trust_env=False, timeout=20)
        return next((i for i in answer.json().get("incidents", []) if service in i["services"]), {})

    def get(self, path: str, method: str = "GET", **body: Any) -> httpx.Response:
        """Ask the console."""
        sent = body if method == "POST" else None
        url = self.console + path
        answer = httpx.request(method, url, json=sent, headers=self.headers, trust_env=False, timeout=20)
        assert answer.is_success, answer.text
        return answer

    @property
    def headers(self) -> dict[str, str]:
        return {"x-tenant-id": self.spans.tenant}

    def timeline(self, incident: dict[str, Any]) -> list[str]:
        """Return what the timeline says."""
        entries = self.get(f"/api/v1/incidents/{incident['id']}/timeline?pageSize=200").json()["entries"]
        return [e["text"] for e in entries]

    def page(self, incident: dict[str, Any]) -> str:
        """Return the incident's page."""
        return self.get(f"/incidents/{incident['id']}").text

    def impact(self, incident: dict[str, Any]) -> str:
        """Draft the postmortem and return what it says of the impact."""
        drafted = self.get(f"/api/v1/incidents/{incident['id']}/postmortem", "POST", actor="Ana").json()
        return str(drafted["postmortem"]["impact"])


@pytest.fixture(scope="module")
def suite(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    folder, tenant = tmp_path_factory.mktemp("silence"), unique("silence")
    rules = resources.files("services.anomaly_detector").joinpath("rules.toml").read_text()
    for slow, quick in QUICK.items():
        rules = rules.replace(slow, quick)
    (folder / "rules.toml").write_text(rules)
    grpc = str(sorted(Ports.free().numbers.values())[0])
    environment = {
        "KAFKA_BOOTSTRAP": stack.kafka_bootstrap, "POSTGRES_URL": stack.postgres_service_url,
        "CLICKHOUSE_URL": stack.clickhouse_url, "INCIDENTSCOPE_TENANTS_FILE": str(write_tenants(folder, tenant)),
        "INCIDENTSCOPE_ANONYMOUS_TENANT": tenant, "INCIDENTSCOPE_TRUST_TENANT_HEADER": "true",
        "ANOMALY_RULES_FILE": str(folder / "rules.toml"), "INCIDENT_GRPC_PORT": grpc,
        "INCIDENT_GRPC_TARGET": f"127.0.0.1:{grpc}", "DEPLOY_GRPC_TARGET": "127.0.0.1:1",
        "ALERT_GROUP_WAIT": "0s", "ALERT_GROUP_INTERVAL": "1s", "ALERT_START_DELAY": "1s",
    }  # fmt: skip
    spans = Spans(stack.clickhouse_url, tenant)
    with ExitStack() as open_services:
        processes = {
            name: open_services.enter_context(running(name, environment, folder))
            for name in ("incident_service", "alert_router", "anomaly_detector", "console")
        }
        router = Router(processes["alert_router"], stack.kafka_bootstrap, tenant)
        yield Suite(router, processes["console"].url, spans)
    spans.clickhouse.close()


@pytest.fixture(scope="module")
def checkout(suite: Suite) -> str:
    """An outage of a service that fails in 45 of 100 requests, whose traffic then stops."""
    service = unique("checkout")
    suite.spans.history(service)
    suite.spans.write(service, datetime.now(UTC), 40, one_in=2)
    eventually(lambda: suite.incident(service), bool, 40)
    return service


@contextmanager
def prometheus(router: Router, service: str) -> Iterator[None]:
    """Push an alert every second as Prometheus does, also while nobody takes it; nothing is said at the end."""
    died = threading.Event()

    def repeat() -> None:
        while not died.wait(1.0):
            try:
                router.push(alert(service))
            except (httpx.TransportError, AssertionError):
                continue

    thread = threading.Thread(target=repeat, daemon=True)
    router.push(alert(service))
    thread.start()
    try:
        yield
    finally:
        died.set()
        thread.join(30)


def alert(service: str, ends: float = PROMISE_SECONDS) -> dict[str, Any]:
    labels = {"alertname": "HighErrorRate", "service": service, "severity": "critical"}
    annotations = {"summary": "45 % fail", "runbook_url": RUNBOOK, "dashboard_url": "javascript:alert(1)"}
    times = {"startsAt": written(-60), "endsAt": written(ends)}
    return {"labels": labels, "annotations": annotations, "generatorURL": SENDER, **times}


def since(incident: dict[str, Any]) -> str:
    return f"{datetime.fromisoformat(incident['noDataSince']):%H:%M} UTC"


@pytest.mark.usefixtures("checkout")
def test_a_router_that_was_away_resolves_nothing_when_it_comes_back(suite: Suite) -> None:
    service = unique("payments")
    with prometheus(suite.router, service):
        incident = eventually(lambda: suite.incident(service), bool)
        suite.router.process.kill()
        ends_at = datetime.now(UTC) + timedelta(seconds=AWAY_SECONDS)
        eventually(lambda: datetime.now(UTC), lambda now: now > ends_at)
        restart(suite.router.process)
        eventually(lambda: datetime.now(UTC), lambda now: now > ends_at + timedelta(seconds=PROMISE_SECONDS + 3))
        assert suite.incident(service)["status"] == "INCIDENT_STATUS_OPEN"
        said = suite.timeline(incident)
        assert not [text for text in said if "No data" in text or "Resolved" in text]
        assert "no data since" not in suite.page(incident)
        assert suite.impact(incident).endswith("so far.")
    suite.router.push(alert(service, ends=-1))
    eventually(lambda: suite.incident(service)["status"], lambda status: status == "INCIDENT_STATUS_RESOLVED")
    assert suite.timeline(incident)[-1] == "Resolved: all alerts of the group have ended"


def restart(process: ServiceProcess) -> None:
    process.start()


@pytest.mark.usefixtures("checkout")
def test_a_sender_that_died_resolves_nothing_and_a_person_may(suite: Suite) -> None:
    service = unique("orders")
    with prometheus(suite.router, service):
        eventually(lambda: suite.incident(service), bool)
    silent = eventually(lambda: suite.incident(service), lambda i: bool(i.get("noDataSince")), 40)
    assert silent["status"] == "INCIDENT_STATUS_OPEN"
    assert [text for text in suite.timeline(silent) if text.startswith(f"No data since {since(silent)}: {service}")]
    page = suite.page(silent)
    (own,) = suite.get(f"/api/v1/incidents/{silent['id']}/alerts").json()["alerts"]
    assert (own["status"], own["runbookUrl"], own["dashboardUrl"]) == ("ALERT_STATUS_NO_DATA", RUNBOOK, "")
    assert own["annotations"]["dashboard_url"] == "javascript:alert(1)"
    assert own["labels"] == {"alertname": "HighErrorRate", "service": service, "severity": "critical"}
    assert f'href="{RUNBOOK.replace("&", "&amp;")}"' in page
    assert 'href="javascript' not in page
    assert f"No data since {since(silent)}." in page
    assert f"no data since {since(silent)}" in suite.get("/").text
    resolved = suite.get(f"/api/v1/incidents/{silent['id']}:resolve", "POST", actor="Ana", resolution="host is gone")
    assert resolved.json()["incident"]["status"] == "INCIDENT_STATUS_RESOLVED"
    assert f"No data since {since(silent)}.<" not in suite.page(silent)
    assert suite.timeline(silent)[-1] == (
        f"Resolved by Ana: host is gone (no data since {since(silent)}: that it has ended was not measured)"
    )
    assert "so when it really ended was not measured" in suite.impact(silent)


def test_traffic_that_stops_in_an_outage_is_no_recovery_and_healthy_traffic_is(suite: Suite, checkout: str) -> None:
    silent = eventually(lambda: suite.incident(checkout), lambda i: bool(i.get("noDataSince")), 100)
    assert silent["status"] == "INCIDENT_STATUS_OPEN"
    assert f"No data since {since(silent)}." in suite.page(silent)
    assert [text for text in suite.timeline(silent) if text.startswith(f"No data since {since(silent)}: {checkout}")]
    suite.spans.write(checkout, datetime.now(UTC), 2000)
    over = eventually(lambda: suite.incident(checkout), lambda i: i["status"] == "INCIDENT_STATUS_RESOLVED", 60)
    said = suite.timeline(over)
    assert [text for text in said if text.startswith("Data again")]
    assert said[-1] == "Resolved: all alerts of the group have ended"
    assert "no data" not in suite.impact(over)
