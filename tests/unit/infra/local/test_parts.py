import re
import time
from pathlib import Path

import pytest

from infra.local import kafka, logs, schema, services
from infra.local.errors import LocalStackError, PartFailed, tail
from infra.local.ports import DEFAULTS, Ports
from infra.local.stack import INFRASTRUCTURE, Stack
from services.console.domain.doors import Doors
from services.console.settings import ConsoleSettings

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def stack_at(tmp_path: Path) -> Stack:
    return Stack(
        tmp_path, Ports.defaults(), environment={"PATH": "/bin", "HOST": "elsewhere", "KAFKA_BOOTSTRAP": "old"}
    )


def test_every_service_of_the_house_is_started() -> None:
    folders = {p.parent.name for p in (ROOT / "services").glob("*/__main__.py")}
    assert {service.name for service in services.SERVICES} == folders


def test_every_port_belongs_to_exactly_one_part(stack_at: Stack) -> None:
    used = [port for part in stack_at.parts().values() for port in part.ports]
    assert sorted(used) == sorted(DEFAULTS)


def test_a_service_gets_its_ports_and_the_addresses_of_this_stack(stack_at: Stack) -> None:
    command = stack_at.parts()["incident_service"].prepare(lambda _: None)
    environment = command.environment
    assert list(command.argv[1:]) == ["-m", "services.incident_service"]
    assert environment["HEALTH_PORT"] == "9106"
    assert environment["INCIDENT_GRPC_PORT"] == "50051"
    assert environment["KAFKA_BOOTSTRAP"] == "127.0.0.1:9092"
    assert environment["CLICKHOUSE_URL"] == "clickhouse://default@127.0.0.1:9000/incidentscope?http_port=8123"
    service = r"postgresql://incidentscope_service:[\w-]{32}@127\.0\.0\.1:5433/incidentscope"
    assert re.fullmatch(service, environment["POSTGRES_URL"])
    assert environment["HOST"] == "127.0.0.1"
    assert len(environment["INCIDENTSCOPE_SERVICE_SECRET"]) > 20


def test_the_console_tells_the_addresses_of_this_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = Stack(tmp_path, Ports.defaults(3000), environment={})
    for name, value in moved.parts()["console"].prepare(lambda _: None).environment.items():
        monkeypatch.setenv(name, value)
    assert ConsoleSettings().doors == Doors(
        "127.0.0.1:7317", "http://127.0.0.1:7318", "http://127.0.0.1:12093", "http://127.0.0.1:11081"
    )


def test_no_service_gets_the_owners_password_or_an_api_key(stack_at: Stack) -> None:
    secrets = stack_at.credentials
    for part in stack_at.parts().values():
        if part.name in INFRASTRUCTURE:
            continue
        values = part.prepare(lambda _: None).environment.values()
        assert not any(secrets.postgres_password in v or secrets.api_key in v for v in values), part.name


def test_the_databases_do_not_get_the_webhook_secrets(stack_at: Stack) -> None:
    environment = stack_at.parts()["clickhouse"].prepare(lambda _: None).environment
    assert not any("SECRET" in name or "TOKEN" in name for name in environment)


def test_an_unknown_part_is_named_with_the_known_ones(stack_at: Stack) -> None:
    with pytest.raises(LocalStackError, match="there is no part named 'kafak'; choose from kafka, postgres"):
        stack_at.select(["kafak"])


def test_only_and_infra_only_narrow_the_choice(stack_at: Stack) -> None:
    assert [p.name for p in stack_at.select(infra_only=True)] == list(INFRASTRUCTURE)
    assert [p.name for p in stack_at.select(["console", "kafka"])] == ["kafka", "console"]
    assert len(stack_at.select()) == len(INFRASTRUCTURE) + len(services.SERVICES)


def test_schema_programs_run_when_what_they_need_is_there() -> None:
    assert schema.programs_for(INFRASTRUCTURE) == [schema.CREATE_TOPICS, schema.MIGRATE]
    assert schema.programs_for(["kafka", "postgres"]) == [schema.CREATE_TOPICS]
    assert schema.programs_for(["postgres"]) == []


def test_the_broker_listens_on_loopback_only_and_takes_five_mebibytes(tmp_path: Path) -> None:
    lines = kafka.server_properties(Ports.defaults(), tmp_path).splitlines()
    assert "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9095" in lines
    assert "message.max.bytes=5242880" in lines
    assert "auto.create.topics.enable=false" in lines


def test_a_cluster_id_is_what_kafka_accepts() -> None:
    for _ in range(200):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", kafka.new_cluster_id())


def test_a_failed_part_shows_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("".join(f"line {n}\n" for n in range(100)))
    text = str(PartFailed("kafka", "stopped while it was starting (exit code 1)", log))
    assert text.startswith("kafka stopped while it was starting (exit code 1); the last lines of")
    assert "| line 99" in text
    assert "| line 84" not in text
    assert "(nothing logged)" in str(PartFailed("kafka", "stopped", tmp_path / "none.log"))


def test_tail_survives_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff\xfe\nlast\n")
    assert tail(tmp_path / "log", 1) == ["last"]
    assert tail(tmp_path / "log", 0) == []


def test_following_shows_whole_lines_with_the_part_in_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a": tmp_path / "a.log", "b": tmp_path / "b.log"}
    files["a"].write_text("old\n")

    def append(_seconds: float) -> None:
        with files["a"].open("a") as stream:
            stream.write("new\nhalf")
        files["b"].write_text("first\n")

    monkeypatch.setattr(time, "sleep", append)
    lines = logs.follow(files)
    assert [next(lines), next(lines)] == ["a | new", "b | first"]
