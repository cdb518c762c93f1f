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


def test_an_offset_of_nothing_goes_back_to_the_defaults() -> None:
    assert ports.choose({"INCIDENTSCOPE_PORT_OFFSET": "0"}, {"kafka": 7001}).numbers == DEFAULTS


@pytest.mark.parametrize("offset", [ports.LOWEST_OFFSET, ports.HIGHEST_OFFSET])
def test_every_port_stays_a_port_at_the_offsets_that_are_offered(offset: int) -> None:
    assert all(0 < number <= 65535 for number in Ports.defaults(offset).numbers.values())


def test_a_port_from_an_older_version_that_no_longer_exists_is_forgotten() -> None:
    assert ports.choose({}, {"gone": 7001}).numbers == DEFAULTS


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"KAFKA_PORT": "many"}, "KAFKA_PORT must be a whole number, not 'many'"),
        ({"KAFKA_PORT": "70000"}, "port 70000 (kafka) is not between 1 and 65535"),
        ({"KAFKA_PORT": "0"}, "port 0 (kafka) is not between"),
        ({"KAFKA_PORT": "8080"}, "port 8080 is given to both kafka and console"),
        ({"INCIDENTSCOPE_PORT_OFFSET": "60000"}, "is not between 1 and 65535: use one from -4316 to 15483"),
        ({"INCIDENTSCOPE_PORT_OFFSET": "-4317"}, "is not between 1 and 65535: use one from -4316 to 15483"),
        ({"INCIDENTSCOPE_PORT_OFFSET": "lots"}, "INCIDENTSCOPE_PORT_OFFSET must be a whole number, not 'lots'"),
        ({"INCIDENTSCOPE_PORT_OFFSET": "1.5"}, "INCIDENTSCOPE_PORT_OFFSET must be a whole number, not '1.5'"),
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
