"""The whole suite as a user starts it: one outage from OTLP and webhooks in, to a named cause out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import httpx
import pytest

from infra.local.part import HOME_VARIABLE
from infra.local.ports import Ports
from infra.local.processes import marked
from infra.local.stack import Stack

pytestmark = pytest.mark.e2e
DEMO_SECONDS = 420
MEMORY_MIB = 4096


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("suite"), Ports.free(), say=lambda _line: None)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
    assert marked({HOME_VARIABLE: str(stack.home)}) == []


def run(stack: Stack, *command: str) -> subprocess.CompletedProcess[str]:
    whole, environment = [sys.executable, "-m", *command], {**os.environ, **stack.addresses}
    return subprocess.run(whole, env=environment, capture_output=True, text=True, timeout=DEMO_SECONDS, check=False)


def test_a_deploy_that_breaks_a_service_is_named_first(suite: Stack) -> None:
    told = run(suite, "scripts.demo", "--cause", "bad-deploy", "--seed", "3", "--history-hours", "0.5")

    last = told.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"demo: ok cause=(\S+) expected=\1 rank=1 seconds=\d+", last), told.stdout + told.stderr
    assert told.returncode == 0
    _the_console_shows_it(suite, told.stdout)


def _the_console_shows_it(suite: Stack, story: str) -> None:
    link = re.search(r"INCIDENT: .*(http://\S+)", story)
    assert link is not None
    with httpx.Client(follow_redirects=True, trust_env=False) as browser:
        page = browser.get(link[1])
        listed = browser.get(f"{suite.addresses['CONSOLE_URL']}/api/v1/incidents")
    assert page.status_code == 200
    assert "Likely causes" in page.text
    assert listed.json()["incidents"]


def test_the_idle_suite_is_ready_and_small(suite: Stack) -> None:
    told = run(suite, "infra.local", "status", "--json", "--home", str(suite.home))

    status = json.loads(told.stdout)
    assert told.returncode == 0, told.stdout
    assert status["memory_mib"] < MEMORY_MIB


def test_what_a_stranger_sends_without_a_known_key_is_refused(suite: Stack) -> None:
    url = f"{suite.addresses['OTLP_HTTP_URL']}/v1/traces"

    headers = {"x-api-key": "guess", "content-type": "application/x-protobuf"}
    answer = httpx.post(url, headers=headers, content=b"", trust_env=False)

    assert answer.status_code == 401


def test_the_log_of_no_part_holds_a_secret(suite: Stack) -> None:
    secrets = astuple(suite.credentials)
    for log in Path(suite.home, "logs").glob("*.log"):
        text = log.read_text(errors="replace")
        assert not [s for s in secrets if s in text], log.name
