import json
from pathlib import Path

import pytest

from infra.local import credentials, state
from infra.local.errors import LocalStackError
from infra.local.processes import Identity
from infra.local.state import State


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    memory = State({"kafka": 9092}, {"kafka": Identity(12, "boot:34")}, ["kafka"], 4.5)
    state.save(tmp_path, memory)
    assert state.load(tmp_path) == memory


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
    assert len({made.api_key, made.github_webhook_secret, made.argocd_webhook_token, made.postgres_password}) == 4
    for name in ("secrets.json", "tenants.json"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_the_default_tenant_has_the_hash_of_the_key_and_not_the_key(tmp_path: Path) -> None:
    made = credentials.ensure(tmp_path)
    text = (tmp_path / "tenants.json").read_text()
    (tenant,) = json.loads(text)["tenants"]
    assert tenant["id"] == "default"
    assert len(tenant["api_keys_sha256"][0]) == 64
    assert made.api_key not in text


def test_damaged_secrets_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{}")
    with pytest.raises(LocalStackError, match=r"secrets\.json is damaged"):
        credentials.ensure(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == "{}"
