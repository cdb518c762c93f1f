"""The reference of all settings, from the settings classes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from libs.runtime.settings import ServiceSettings
from scripts.configuration_reference import Undocumented, duration, kind, reference, services, settings_of
from scripts.generate_docs import CONFIGURATION, ROOT


class Undescribed(ServiceSettings):
    """A service whose second setting nobody described."""

    health_port: int = 9999
    knob: int = 3


class Described(ServiceSettings):
    """A service as it should be."""

    health_port: int = 9999
    wait: timedelta = timedelta(minutes=90)
    """How long it waits."""
    password: SecretStr = SecretStr("")
    """What lets
    one in."""


def test_every_service_is_in_it_with_every_setting() -> None:
    written = reference()

    assert {p.parent.name for p in (ROOT / "services").glob("*/app.py")} == set(services())
    for name, owner in services().items():
        assert f"## `{name}`" in written
        assert [s.variables for s in settings_of(owner) if f"`{s.variables[0]}`" not in written] == []


def test_the_file_that_is_committed_is_current() -> None:
    assert CONFIGURATION.read_text() == reference()


def test_a_setting_without_a_docstring_is_refused() -> None:
    with pytest.raises(Undocumented, match=r"Undescribed\.knob has no docstring"):
        settings_of(Undescribed)


def test_a_changed_default_keeps_the_docstring_of_the_setting_it_changes() -> None:
    found = {s.variables[0]: s for s in settings_of(Described)}

    assert found["HEALTH_PORT"].default == "`9999`"
    assert "/readyz" in found["HEALTH_PORT"].what


def test_a_setting_is_told_with_its_type_and_default() -> None:
    found = {s.variables[0]: s for s in settings_of(Described)}

    assert (found["WAIT"].kind, found["WAIT"].default) == ("duration", "`90m`")
    assert (found["PASSWORD"].kind, found["PASSWORD"].default) == ("secret", "-")
    assert found["PASSWORD"].what == "What lets one in."
    assert found["INCIDENTSCOPE_TENANTS_FILE"].kind == "path"


def test_no_secret_has_a_default_that_could_be_printed() -> None:
    secrets = [s for owner in services().values() for s in settings_of(owner) if s.kind == "secret"]

    assert secrets
    assert {s.default for s in secrets} == {"-"}


@pytest.mark.parametrize(
    ("value", "written"),
    [(timedelta(0), "0s"), (timedelta(seconds=90), "90s"), (timedelta(minutes=5), "5m"), (timedelta(hours=4), "4h")],
)
def test_durations_are_written_as_one_types_them(value: timedelta, written: str) -> None:
    assert duration(value) == written


def test_types_are_told_in_words() -> None:
    assert [kind(t) for t in (str, int, float, bool, Path, Path | None, dict[str, str])] == [
        "text", "whole number", "number", "true or false", "path", "path", "JSON",
    ]  # fmt: skip
