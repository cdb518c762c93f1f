"""The file of mapping rules: read at the start, read again when it changes, kept when the change is bad."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.deploy_normalizer.adapters.rules_file import MAX_FILE_BYTES, RulesFile, read_rules
from services.deploy_normalizer.domain.mapping import BadRules, ServiceRules

GOOD = """
rules:
  - service: checkout
    match: {repository: acme/shop, environment: [prod*, eu]}
"""


def write(path: Path, text: str) -> None:
    """Replace the file as an editor does."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


def test_without_a_file_there_are_no_rules() -> None:
    rules = RulesFile(None)
    rules.look()
    assert rules.rules() == ServiceRules()


def test_a_change_of_the_file_counts_from_the_next_look_on(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    write(path, GOOD)
    file = RulesFile(path)
    assert [rule.service for rule in file.rules().rules] == ["checkout"]
    write(path, GOOD.replace("checkout", "cart"))
    file.look()
    assert [rule.service for rule in file.rules().rules] == ["cart"]


@pytest.mark.parametrize("text", ["rules: [", "rules: 7", "", None])
def test_a_bad_change_keeps_the_rules_in_force(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "rules.yaml"
    write(path, GOOD)
    file = RulesFile(path)
    if text is None:
        path.unlink()
    else:
        write(path, text)
    file.look()
    assert [rule.service for rule in file.rules().rules] == ["checkout"]
    write(path, GOOD.replace("checkout", "cart"))
    file.look()
    assert [rule.service for rule in file.rules().rules] == ["cart"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"rules: [", "neither YAML nor JSON"),
        (b"\xff\x81rules", "neither YAML nor JSON"),
        (b"[" * 5000, "neither YAML nor JSON"),
        (b"rules: [{service: 7}]", r"rules\[0\].service"),
        (b"#" * (MAX_FILE_BYTES + 1), "larger than"),
    ],
)
def test_an_unusable_file_is_named_with_the_reason(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(content)
    with pytest.raises(BadRules, match=problem) as refused:
        read_rules(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadRules, match=r"absent\.yaml"):
        RulesFile(tmp_path / "absent.yaml")
