"""docker-compose.yml without an engine: the specification's schema, and that it names what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def test_it_is_valid_by_the_compose_specification() -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]

    found = subprocess.run(command, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout


def test_every_service_of_the_suite_has_a_block_with_a_health_check(services: dict[str, Any]) -> None:
    for service in SERVICES:
        block = services[service.name]
        assert block["command"] == [service.module]
        assert block["healthcheck"]["test"][-1].endswith(f":{block['environment']['HEALTH_PORT']}/readyz")


def test_every_module_it_runs_exists(services: dict[str, Any]) -> None:
    modules = [b["command"][0] for b in services.values() if str(b.get("image", "")).startswith("incidentscope")]
    for module in modules:
        path = ROOT / Path(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_ports_are_published_on_loopback_only_and_once(services: dict[str, Any]) -> None:
    ports = [port for block in services.values() for port in block.get("ports", [])]

    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len(ports) == len(set(ports))


def test_the_console_tells_the_addresses_that_are_published(services: dict[str, Any]) -> None:
    told = services["console"]["environment"]
    names = ("OTLP_GRPC_TARGET", "OTLP_HTTP_URL", "ALERT_ROUTER_URL", "DEPLOY_WEBHOOK_URL")
    published = {port.rpartition(":")[0] for block in services.values() for port in block.get("ports", [])}

    assert {told[name].removeprefix("http://") for name in names} <= published


def test_every_dependency_is_a_service_and_every_file_it_mounts_exists(services: dict[str, Any]) -> None:
    for block in services.values():
        assert set(block.get("depends_on", {})) <= services.keys()
        for volume in block.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists(), source


def test_images_are_pinned(services: dict[str, Any]) -> None:
    for name, block in services.items():
        _, colon, tag = block["image"].rpartition(":")
        assert colon, name
        assert tag != "latest", name


def test_one_service_builds_the_image_and_the_others_wait_for_it(services: dict[str, Any]) -> None:
    ours = {name: block for name, block in services.items() if block["image"] == "incidentscope:local"}

    assert [name for name, block in ours.items() if "build" in block] == ["migrate"]
    for name, block in ours.items():
        assert block["pull_policy"] == ("build" if name == "migrate" else "never"), name
        assert name in {"migrate", "topics"} or "migrate" in block["depends_on"], name


def test_data_lies_in_the_volumes(services: dict[str, Any]) -> None:
    mounts = {name: services[name]["volumes"][0].split(":")[1] for name in ("kafka", "postgres", "clickhouse")}

    assert mounts["kafka"] == services["kafka"]["environment"]["KAFKA_LOG_DIRS"]
    assert mounts["postgres"] == "/var/lib/postgresql"  # from 18 on the image keeps a folder per version in it
    assert mounts["clickhouse"] == "/var/lib/clickhouse"


def test_postgres_is_not_healthy_while_it_only_sets_up(services: dict[str, Any]) -> None:
    assert "-h 127.0.0.1" in services["postgres"]["healthcheck"]["test"][-1]


def test_the_collector_it_pins_is_the_one_the_configuration_is_tried_with(services: dict[str, Any]) -> None:
    modules = (ROOT / "tests" / "integration" / "collector" / "go.mod").read_text()
    tried = re.search(r"opentelemetry-collector-contrib/exporter/kafkaexporter v(\S+)", modules)
    assert tried is not None
    assert services["otel-collector"]["image"] == f"otel/opentelemetry-collector-contrib:{tried[1]}"
