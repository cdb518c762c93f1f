import json
import shlex
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from infra.local import credentials, ports, state
from infra.local.cli import main
from infra.local.ports import DEFAULTS, Ports
from infra.local.stack import Stack
from infra.local.state import State


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in DEFAULTS:
        monkeypatch.delenv(f"{name.upper()}_PORT", raising=False)
    monkeypatch.delenv("INCIDENTSCOPE_PORT_OFFSET", raising=False)
    monkeypatch.setenv("INCIDENTSCOPE_HOME", str(tmp_path))
    return tmp_path


def remember(home: Path, **numbers: int) -> None:
    state.save(home, State(ports={**DEFAULTS, **numbers}, wanted=["kafka"]))


@pytest.mark.parametrize("command", [[], ["up"], ["down"], ["status"], ["logs"], ["env"]])
def test_every_command_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "usage: python -m infra.local" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["status", "logs", "env"])
def test_asking_about_a_home_that_never_ran_says_what_to_do(
    command: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command]) == 2
    assert capsys.readouterr().err == (
        f"local: nothing was started from {home} yet: run `python -m infra.local up` first\n"
    )


def test_down_where_nothing_runs_is_fine(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down"]) == 0
    assert "0 parts stopped" in capsys.readouterr().out


def test_ports_in_use_are_all_told_before_anything_is_started(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as held:
        taken = [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(2)]
        given = [f"--port=kafka={taken[0]}", f"--port=kafka_controller={taken[1]}"]
        assert main(["up", "--only", "kafka", *given]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"local: 2 ports are in use, nothing was started:\n  port {taken[0]} (kafka): ")
    assert f"\n  port {taken[1]} (kafka_controller): " in error
    assert error.endswith(" make up\n")
    assert state.load(home) == State()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--only", "kafak"], "there is no part named 'kafak'"),
        (["up", "--port", "kafka"], "kafka must be a whole number, not ''"),
        (["up", "--port-offset", "70000"], "is not between 1 and 65535"),
    ],
)
def test_a_mistaken_flag_ends_in_one_sentence(
    arguments: list[str], said: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_home_that_cannot_be_made_ends_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["up", "--home", str(tmp_path / "file" / "home")]) == 2
    assert "choose another folder with --home" in capsys.readouterr().err


def test_env_prints_lines_a_shell_can_evaluate(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remember(home, kafka=7001)
    assert main(["env"]) == 0
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert all(words[0] == "export" and len(words) == 2 for words in lines)
    values = dict(words[1].split("=", 1) for words in lines)
    assert values["KAFKA_BOOTSTRAP"] == "127.0.0.1:7001"
    made = credentials.ensure(home)
    for name in ("github_webhook_secret", "argocd_webhook_token", "gitlab_webhook_token", "generic_webhook_secret"):
        assert values[name.upper()] == getattr(made, name)
    assert values["INCIDENTSCOPE_HOME"] == str(home)


def test_no_variable_that_env_prints_pins_a_port(home: Path) -> None:
    """A shell that has them could not move the stack any more."""
    assert {ports.variable(name) for name in DEFAULTS} & Stack(home).addresses.keys() == set()


def test_commands_after_up_keep_to_the_ports_in_use(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.save(home, State(ports=dict(Ports.defaults(3000).numbers)))
    for offset in ("", "3000", "4000"):
        monkeypatch.setenv("INCIDENTSCOPE_PORT_OFFSET", offset)
        assert Stack(home).ports == Ports.defaults(3000)


@pytest.mark.parametrize("command", ["up", "down", "status", "logs", "env"])
def test_an_offset_that_is_no_number_is_told_by_every_command(
    command: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INCIDENTSCOPE_PORT_OFFSET", "some")
    assert main([command]) == 2
    assert capsys.readouterr().err == "local: INCIDENTSCOPE_PORT_OFFSET must be a whole number, not 'some'\n"


def test_status_of_a_stack_that_is_down_fails(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remember(home)
    assert main(["status", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ready"] is False
    assert [(part["part"], part["state"]) for part in answer["parts"]] == [("kafka", "down")]


def test_logs_shows_the_last_lines_of_one_part(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remember(home)
    (home / "logs").mkdir()
    (home / "logs" / "kafka.log").write_text("one\ntwo\nthree\n")
    assert main(["logs", "kafka", "-n", "2"]) == 0
    assert capsys.readouterr().out == "two\nthree\n"


def test_wipe_deletes_what_is_ours_and_nothing_else(home: Path) -> None:
    remember(home)
    credentials.ensure(home)
    (home / "mine.txt").write_text("keep")
    assert main(["down", "--wipe"]) == 0
    assert [path.name for path in home.iterdir()] == ["mine.txt"]
