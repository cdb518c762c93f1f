import json
from dataclasses import asdict, astuple, fields
from pathlib import Path

import pytest

from infra.local import credentials, state
from infra.local.errors import LocalStackError
from infra.local.processes import Identity
from infra.local.state import Restart, State


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    restarts = {"kafka": Restart(3, "ended with exit code 1", "2026-03-01T12:00:00+00:00")}
    memory = State(
        {"kafka": 9092}, {"kafka": Identity(12, "boot:34")}, ["kafka"], 4.5, Identity(13, "boot:35"), restarts
    )
    state.save(tmp_path, memory)
    assert state.load(tmp_path) == memory


def test_a_state_of_a_release_without_a_supervisor_is_read(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"ports": {}, "processes": {}, "wanted": [], "ready_seconds": null}')
    assert state.load(tmp_path) == State()


def test_a_new_home_has_an_empty_state(tmp_path: Path) -> None:
    assert state.load(tmp_path / "none") == State()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"ports": {"kafka": "x"}, "processes": {}, "wanted": []}'])
def test_a_damaged_state_is_told_not_guessed(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(LocalStackError, match="is damaged"):
        state.load(tmp_path)


def test_a_home_is_used_by_one_command_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "LOCK_SECONDS", 0.1)
    with (
        state.locked(tmp_path),
        pytest.raises(LocalStackError, match="another `up` or `down` is at work"),
        state.locked(tmp_path),
    ):
        pytest.fail("locked twice")
    with state.locked(tmp_path):
        pass


def test_secrets_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    made = credentials.ensure(tmp_path)
    assert credentials.ensure(tmp_path) == made
    assert len(set(astuple(made))) == len(fields(made))
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_home_of_an_older_version_gets_the_secrets_it_lacks(tmp_path: Path) -> None:
    made = asdict(credentials.ensure(tmp_path))
    early = {name: made[name] for name in credentials.FIRST}
    (tmp_path / "secrets.json").write_text(json.dumps(early))
    now = asdict(credentials.ensure(tmp_path))
    assert {name: now[name] for name in early} == early
    assert min(len(secret) for secret in now.values()) > 20
    assert credentials.ensure(tmp_path) == credentials.Credentials(**now)


def test_damaged_secrets_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{}")
    with pytest.raises(LocalStackError, match=r"secrets\.json is damaged"):
        credentials.ensure(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == "{}"
