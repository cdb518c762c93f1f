import os
import socket
import threading

import psutil
import pytest

from infra.local import ports
from infra.local.errors import LocalStackError
from infra.local.ports import DEFAULTS, Ports


def test_defaults_are_used_when_nothing_else_is_said() -> None:
    assert ports.choose({}, {}).numbers == DEFAULTS


def test_an_offset_moves_every_port() -> None:
    chosen = ports.choose({"INCIDENTSCOPE_PORT_OFFSET": "100"}, {})
    assert all(chosen[name] == number + 100 for name, number in DEFAULTS.items())


def test_a_remembered_port_beats_the_default_and_a_variable_beats_both() -> None:
    assert ports.choose({}, {"kafka": 7001})["kafka"] == 7001
    assert ports.choose({"KAFKA_PORT": "7002"}, {"kafka": 7001})["kafka"] == 7002


def test_a_flag_beats_the_variable() -> None:
    assert ports.choose({"KAFKA_PORT": "7002"}, {}, given={"kafka": 7003})["kafka"] == 7003


def test_an_offset_asked_for_now_beats_what_is_remembered() -> None:
    assert ports.choose({}, {"kafka": 7001}, offset=10)["kafka"] == DEFAULTS["kafka"] + 10


def test_a_port_from_an_older_version_that_no_longer_exists_is_forgotten() -> None:
    assert ports.choose({}, {"gone": 7001}).numbers == DEFAULTS


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"KAFKA_PORT": "many"}, "KAFKA_PORT must be a whole number, not 'many'"),
        ({"KAFKA_PORT": "70000"}, "port 70000 (kafka) is not between 1 and 65535"),
        ({"KAFKA_PORT": "0"}, "port 0 (kafka) is not between"),
        ({"KAFKA_PORT": "8080"}, "port 8080 is given to both kafka and console"),
        ({"INCIDENTSCOPE_PORT_OFFSET": "60000"}, "is not between 1 and 65535"),
    ],
)
def test_a_useless_number_is_refused_with_its_name(environment: dict[str, str], said: str) -> None:
    with pytest.raises(LocalStackError) as caught:
        ports.choose(environment, {})
    assert said in str(caught.value)


def test_an_assignment_names_a_known_port() -> None:
    assert ports.parse_assignment("kafka=9192") == ("kafka", 9192)
    with pytest.raises(LocalStackError, match="there is no port named 'kfka'; choose one of kafka"):
        ports.parse_assignment("kfka=9192")


def test_free_ports_are_distinct_and_can_be_bound() -> None:
    free = Ports.free()
    assert len(set(free.numbers.values())) == len(DEFAULTS)
    assert not any(ports.in_use(number) for number in free.numbers.values())


def test_all_ports_in_use_are_told_at_once_with_who_holds_them_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        taken = {"kafka": one.getsockname()[1], "console": other.getsockname()[1]}
        chosen = Ports.free().with_numbers(taken)
        with pytest.raises(LocalStackError) as caught:
            ports.require_free(chosen, ["postgres", "kafka", "console"])
    lines = str(caught.value).splitlines()
    me = f"{psutil.Process().name()} (pid {os.getpid()})"
    assert lines[0] == "2 ports are in use:"
    assert lines[1:3] == [f"  {number} ({name}) by {me}" for name, number in taken.items()]
    assert "--port kafka=<number> or KAFKA_PORT=<number>" in lines[3]
    offset = int(lines[3].partition("INCIDENTSCOPE_PORT_OFFSET=")[2].split()[0])
    assert not any(ports.in_use(number) for number in Ports.defaults(offset).numbers.values())


def test_a_holder_that_cannot_be_seen_is_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "listeners", dict)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(
            LocalStackError, match=f"1 port is in use:\n  {number} .kafka. by a program of another user"
        ):
            ports.require_free(Ports.free().with_numbers({"kafka": number}), ["kafka"])


def test_a_port_that_gets_free_in_time_is_no_conflict() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        chosen = Ports.free().with_numbers({"kafka": taken.getsockname()[1]})
        soon = threading.Timer(0.3, taken.close)
        soon.start()
        ports.require_free(chosen, ["kafka"], patience_seconds=20)
        soon.join()


def test_no_offset_is_offered_where_none_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "in_use", lambda _number: True)
    assert ports.free_offset() is None
    with pytest.raises(LocalStackError) as caught:
        ports.require_free(Ports.defaults(), DEFAULTS)
    assert "18 ports are in use" in str(caught.value)
    assert "OFFSET" not in str(caught.value)
