"""The Grafana dashboards show what exists: metrics that services export, and queries that ClickHouse answers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from libs.storage.clickhouse import ClickHouse
from tests.integration.ingest_world import IngestWorld, running_ingest
from tests.unit.libs.otlp.requests import logs, value

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = sorted((ROOT / "infra" / "grafana" / "dashboards").glob("*.json"))
SCRAPED = ("otlp_receiver", "log_consumer", "metric_consumer", "trace_consumer")
NAME = re.compile(r"\b(?:incidentscope|process)_[a-z_]+")


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IngestWorld]:
    with running_ingest(stack, tmp_path_factory.mktemp("dashboards"), SCRAPED) as running:
        yield running


def targets(path: Path) -> list[dict[str, Any]]:
    """Return every query of a dashboard."""
    return [target for panel in json.loads(path.read_text())["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_metric_that_is_shown_is_exported(world: IngestWorld, path: Path) -> None:
    tenant = world.new_tenant()
    world.post("logs", logs(LogRecord(time_unix_nano=time.time_ns(), body=value("hello"))), tenant)
    world.produce("logs", [b"\xff"], x_tenant_id=tenant)  # for a dead letter
    world.letters("logs", b"\xff")
    exported = "".join(httpx.get(f"{world.processes[name].url}/metrics", trust_env=False).text for name in SCRAPED)
    families = set(re.findall(r"^# TYPE (\S+)", exported, re.MULTILINE))
    shown = {name for target in targets(path) for name in NAME.findall(target.get("expr", ""))}
    assert shown
    assert {re.sub(r"_bucket$", "", name) for name in shown} <= families


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_is_answered(world: IngestWorld, path: Path) -> None:
    clickhouse: ClickHouse = world.clickhouse
    queries = [target["rawSql"] for target in targets(path) if "rawSql" in target]
    assert queries
    for sql in queries:
        clickhouse.query(re.sub(r"\$__timeFilter\((\w+)\)", r"\1 >= now() - INTERVAL 1 HOUR", sql))


def test_prometheus_scrapes_every_service_where_compose_says_it_is() -> None:
    jobs = yaml.safe_load((ROOT / "infra" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    scraped = {job["static_configs"][0]["targets"][0] for job in jobs}
    blocks = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    served = {
        f"{name}:{block['environment']['HEALTH_PORT']}"
        for name, block in blocks.items()
        if "HEALTH_PORT" in block.get("environment", {})
    }
    assert scraped == served


def test_every_datasource_a_dashboard_uses_is_provisioned() -> None:
    folder = ROOT / "infra" / "grafana" / "provisioning" / "datasources"
    known = {d["uid"] for file in folder.glob("*.yaml") for d in yaml.safe_load(file.read_text())["datasources"]}
    assert {target["datasource"]["uid"] for path in DASHBOARDS for target in targets(path)} <= known
