"""The OpenAPI document against the console as a process: no 5xx, and no answer the document does not have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis import checks
from schemathesis.generation import GenerationMode

from tests.integration.test_console_incidents import running

STREAMS = ("WatchIncident", "WatchIncidents")  # without an end; tests of their own read them
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
EXAMPLES = 15


@pytest.fixture(scope="module")
def console(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(stack, tmp_path_factory.mktemp("openapi")) as address:
        yield address


@pytest.fixture(scope="module")
def known(console: str) -> dict[str, str]:
    """Ids of an incident and its task, for requests that shall get past "there is no such incident"."""
    with httpx.Client(base_url=f"{console}/api/v1", trust_env=False, timeout=20) as client:
        made = client.post("/incidents", json={"title": "checkout is down", "actor": "Ana"}).json()["incident"]["id"]
        task = client.post(f"/incidents/{made}/tasks", json={"title": "look", "actor": "Ana"}).json()["task"]["id"]
        client.post(f"/incidents/{made}/postmortem", json={"actor": "Ana"})
    return {"incident_id": made, "task_id": task}


def operations(document: Any) -> Iterator[Any]:
    """Yield the operations of a document, without the endless ones."""
    for found in document.get_all_operations():
        operation = found.ok()
        if operation.definition.raw["operationId"] not in STREAMS:
            yield operation


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_in_the_document(console: str, known: dict[str, str], mode: GenerationMode) -> None:
    document = schemathesis.openapi.from_url(f"{console}/api/openapi.json")
    document.config.output.sanitization.update(enabled=False)
    asked = 0

    def ask(case: Any) -> None:
        nonlocal asked
        asked += 1
        for name, value in known.items():
            if len(str(case.path_parameters.get(name, ""))) == 36:  # a UUID: make it one that is there
                case.path_parameters[name] = value
        case.call_and_validate(checks=CHECKS, timeout=20)

    for operation in operations(document):
        strategy = operation.as_strategy(generation_mode=mode)
        with suppress(hypothesis.errors.Unsatisfiable):  # nothing about it can be wrong: it has no input
            _settings()(hypothesis.given(case=strategy)(ask))()
    assert asked > EXAMPLES * len(list(operations(document))) / 2


def _settings() -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
