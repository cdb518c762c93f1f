"""Every block of the README as written, on the suite as `make up` starts it; only ports differ."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from infra.local.part import HOME_VARIABLE
from infra.local.ports import Ports
from infra.local.stack import Stack
from libs.storage.clickhouse import ClickHouse
from services.deploy_normalizer.domain.mapping import parse_rules
from tests.e2e.readme import README, ROOT, Block, blocks
from tests.servers import home_folder

pytestmark = pytest.mark.e2e
KEY_FILE = "/etc/incidentscope/api-key"
ELSEWHERE = {"make setup": "make fresh", "docker compose": "make image-smoke"}  # what runs those blocks
COMMAND_SECONDS = 60.0
PAGE = list(blocks(README.read_text()))
COMMANDS = [block for block in PAGE if block.language == "bash" and not block.text.startswith(tuple(ELSEWHERE))]
SESSION, *BLOCKS = COMMANDS
DOCUMENTS = [block for block in PAGE if block.language == "yaml"]


def line_of(block: Block) -> str:
    return f"line {block.line}"


@pytest.fixture(scope="module")
def suite() -> Iterator[Stack]:
    with home_folder() as home:
        stack = Stack(home, Ports.free(), say=lambda _line: None)
        try:
            stack.up()
            yield stack
        finally:
            stack.down(wipe=True)


def test_the_blocks_are_found() -> None:
    assert ". .venv/bin/activate" in SESSION.text
    assert len(BLOCKS) >= 4
    assert {kind_of(yaml.safe_load(block.text)) for block in DOCUMENTS} == set(CHECKS)


@pytest.mark.parametrize("block", BLOCKS, ids=line_of)
def test_commands_run_as_written(suite: Stack, block: Block) -> None:
    environment = {**os.environ, HOME_VARIABLE: str(suite.home)}
    script = f"set -euo pipefail\n{SESSION.at(suite.ports)}\n{block.at(suite.ports)}"

    ended = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        timeout=COMMAND_SECONDS,
    )  # fmt: skip

    assert ended.returncode == 0, f"README.md, line {block.line}:\n{ended.stdout}{ended.stderr}"


@pytest.mark.parametrize("block", DOCUMENTS, ids=line_of)
def test_configuration_does_what_it_is_written_for(suite: Stack, block: Block, tmp_path: Path) -> None:
    key = tmp_path / "api-key"
    key.write_text(suite.credentials.api_key)
    text = block.at(suite.ports).replace(KEY_FILE, str(key))
    text = text.replace("${env:INCIDENTSCOPE_API_KEY}", suite.credentials.api_key)  # as a Collector reads it
    document = yaml.safe_load(text)

    CHECKS[kind_of(document)](suite, document)


def kind_of(document: dict[str, Any]) -> str:
    """Return the key that tells what program a document is for."""
    return next(name for name in CHECKS if name in document)


def an_exporter_is_let_in(suite: Stack, document: dict[str, Any]) -> None:
    otlp = document["exporters"]["otlp"]
    program = ROOT / "tests" / "integration" / "sdk_program.py"
    sent = subprocess.run(
        [sys.executable, program, "grpc", otlp["endpoint"], otlp["headers"]["x-api-key"], "readme-shop"],
        capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True,
    )  # fmt: skip
    assert otlp["tls"] == {"insecure": True}
    trace = sent.stdout.strip().splitlines()[-1]
    wait_until(lambda: spans_of(suite, trace) == 2, "the spans were not stored")


def spans_of(suite: Stack, trace: str) -> int:
    """Return how many spans of a trace the default tenant has."""
    clickhouse = ClickHouse(suite.clickhouse_url, pool_size=1)
    try:
        sql = "SELECT count() FROM spans_raw WHERE TenantId = 'default' AND TraceId = %(trace)s"
        return int(clickhouse.query(sql, {"trace": trace})[0][0])
    finally:
        clickhouse.close()


def the_rules_are_taken(_suite: Stack, document: dict[str, Any]) -> None:
    assert parse_rules(document).rules


def prometheus_is_let_in(suite: Stack, document: dict[str, Any]) -> None:
    (alertmanager,) = document["alerting"]["alertmanagers"]
    (target,) = alertmanager["static_configs"][0]["targets"]
    alert = {"labels": {"alertname": "ReadmePush", "service": "readme-push", "severity": "warning"}}
    push = httpx.post(
        f"http://{target}/api/v2/alerts", json=[alert], headers=authorization(alertmanager), trust_env=False
    )
    assert push.status_code == 200, push.text
    wait_until(lambda: "readme-push" in open_services(suite), "no incident opened")


def an_alertmanager_is_let_in(suite: Stack, document: dict[str, Any]) -> None:
    (receiver,) = document["receivers"]
    (webhook,) = receiver["webhook_configs"]
    labels = {"alertname": "ReadmeWebhook", "service": "readme-webhook", "severity": "warning"}
    alert = {"status": "firing", "labels": labels, "annotations": {}, "startsAt": "2026-01-01T00:00:00Z"}
    body = {"version": "4", "groupKey": "{}", "status": "firing", "receiver": receiver["name"], "alerts": [alert]}
    told = httpx.post(webhook["url"], json=body, headers=authorization(webhook["http_config"]), trust_env=False)
    assert document["route"]["receiver"] == receiver["name"]
    assert told.status_code == 200, told.text
    wait_until(lambda: "readme-webhook" in open_services(suite), "no incident opened")


CHECKS: dict[str, Callable[[Stack, dict[str, Any]], None]] = {
    "exporters": an_exporter_is_let_in,
    "rules": the_rules_are_taken,
    "alerting": prometheus_is_let_in,
    "receivers": an_alertmanager_is_let_in,
}


def authorization(config: dict[str, Any]) -> dict[str, str]:
    """Return the header that Prometheus' HTTP client makes of its configuration."""
    credentials = Path(config["authorization"]["credentials_file"]).read_text().strip()
    return {"Authorization": f"Bearer {credentials}"}


def open_services(suite: Stack) -> set[str]:
    """Return the services of the default tenant's incidents."""
    headers = {"x-api-key": suite.credentials.api_key}
    answer = httpx.get(f"{suite.addresses['CONSOLE_URL']}/api/v1/incidents", headers=headers, trust_env=False)
    return {service for incident in answer.json().get("incidents", []) for service in incident.get("services", [])}


def wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    """Return once something is so; fails after COMMAND_SECONDS."""
    deadline = time.monotonic() + COMMAND_SECONDS
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)
