import re
from pathlib import Path

import pytest
import yaml

from tests import servers

ROOT = Path(__file__).resolve().parents[2]
ALL = {"KAFKA_BOOTSTRAP": "a:1", "POSTGRES_URL": "postgresql://b", "CLICKHOUSE_URL": "clickhouse://c"}


@pytest.mark.parametrize(("docker", "kind"), [(True, "docker"), (False, "local stack")])
def test_without_named_servers_docker_comes_first_then_the_local_stack(
    docker: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "docker_answers", lambda: docker)
    assert servers.choose({})[0] == kind


def test_named_servers_are_used_when_all_three_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "docker_answers", lambda: True)
    assert servers.choose(ALL)[0] == "environment"


def test_a_server_that_is_missing_from_the_names_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "docker_answers", lambda: False)
    kind, why = servers.choose({**ALL, "POSTGRES_URL": ""})
    assert (kind, why) == ("local stack", "POSTGRES_URL not set, no Docker engine answers")


def test_the_header_says_which_servers_are_used(pytestconfig: pytest.Config) -> None:
    said = pytestconfig.hook.pytest_report_header(config=pytestconfig, start_path=ROOT)
    assert any(re.fullmatch(r"servers: (environment|docker|local stack) \(.+\)", str(line)) for line in said)


def test_a_unit_test_that_asks_for_servers_fails(request: pytest.FixtureRequest) -> None:
    with pytest.raises(pytest.fail.Exception, match="a unit test must not touch servers"):
        request.getfixturevalue("stack")


def test_the_compose_file_names_the_servers_that_tests_would_start() -> None:
    blocks = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert all("image" in blocks[name] for name in ("kafka", "postgres", "clickhouse"))
    assert {"POSTGRES_USER", "POSTGRES_DB"} <= set(blocks["postgres"]["environment"])
    assert "CLICKHOUSE_USER" in blocks["clickhouse"]["environment"]
