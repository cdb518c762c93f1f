"""Reading docker-compose.yml, and moving it to local addresses."""

from __future__ import annotations

import pytest

from infra.local.ports import Ports
from infra.local.services import SERVICES
from scripts.image import compose
from scripts.image.compose import ComposeError, filled

PORTS = Ports.defaults(10_000)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("${SET:-other}", "yes"),
        ("$SET and ${SET}", "yes and yes"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY-other}", ""),
        ("${ABSENT-other}", "other"),
        ("${ABSENT:-}", ""),
        ("${ABSENT}", ""),
        ("${SET:?must be}", "yes"),
        ("$$SET", "$SET"),
        (7, 7),
        (["${SET}", {"a": "${SET}"}], ["yes", {"a": "yes"}]),
    ],
)
def test_variables_are_filled_in_as_compose_does(text: object, becomes: object) -> None:
    assert filled(text, {"SET": "yes", "EMPTY": ""}) == becomes


@pytest.mark.parametrize("text", ["${ABSENT:?say why}", "${EMPTY:?say why}", "${ABSENT?say why}"])
def test_a_variable_that_must_be_set_is_named(text: str) -> None:
    with pytest.raises(ComposeError, match="must be set: say why"):
        filled(text, {"EMPTY": ""})


def test_every_service_and_every_command_that_runs_once_is_read() -> None:
    found = compose.blocks({})

    assert {name for name, block in found.items() if not block.once} == {service.name for service in SERVICES}
    assert {name for name, block in found.items() if block.once} == {"migrate", "tenant", "topics"}
    assert all(block.read_only and block.tmpfs and block.cap_drop == ("ALL",) for block in found.values())


def test_what_runs_once_runs_after_what_it_needs() -> None:
    found = compose.blocks({})

    names = [block.name for block in compose.in_order([found["tenant"], found["topics"], found["migrate"]])]

    assert names.index("migrate") < names.index("tenant")
    assert set(names) == {"migrate", "tenant", "topics"}


def test_only_hosts_and_ports_change() -> None:
    environment = {"POSTGRES_PASSWORD": "postgres:5432", "CLICKHOUSE_PASSWORD": "c"}
    found = compose.blocks(environment)
    moved = compose.at_local_addresses(found, PORTS)

    settings = moved["incident_service"].environment
    assert settings["POSTGRES_URL"] == "postgresql://incidentscope_service@127.0.0.1:15433/incidentscope"
    assert settings["CLICKHOUSE_URL"] == ("clickhouse://incidentscope@127.0.0.1:19000/incidentscope?http_port=18123")
    assert settings["KAFKA_BOOTSTRAP"] == "127.0.0.1:19092"
    assert settings["INCIDENT_GRPC_PORT"] == "60051"
    assert settings["INCIDENT_GRPC_TARGET"] == "127.0.0.1:60051"
    assert moved["console"].health[-1] == "http://127.0.0.1:18080/readyz"
    assert moved["migrate"].environment["PGPASSWORD"] == "postgres:5432"
    same = ("CLICKHOUSE_PASSWORD", "INCIDENTSCOPE_ANONYMOUS_TENANT", "INCIDENTSCOPE_TRUST_TENANT_HEADER")
    assert all(settings[name] == found["incident_service"].environment[name] for name in same)


def test_no_two_services_listen_on_one_port() -> None:
    moved = compose.at_local_addresses(compose.blocks({}), Ports.free())

    taken = [
        value
        for block in moved.values()
        for value in {value for name, value in block.environment.items() if name.endswith("_PORT")}
    ]
    assert len(taken) == len(set(taken)) == 13


def test_passwords_stay_out_of_addresses() -> None:
    secrets = dict.fromkeys(("POSTGRES_PASSWORD", "POSTGRES_SERVICE_PASSWORD", "CLICKHOUSE_PASSWORD"), "s3cret")
    for block in compose.blocks(secrets).values():
        holding = {name for name, value in block.environment.items() if "s3cret" in value}
        assert holding <= {"PGPASSWORD", "CLICKHOUSE_PASSWORD", "POSTGRES_SERVICE_PASSWORD"}
        assert {"PGPASSWORD", "CLICKHOUSE_PASSWORD"} <= holding
