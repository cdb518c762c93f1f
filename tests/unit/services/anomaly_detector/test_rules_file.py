"""Rules from files, good and bad."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from services.anomaly_detector.adapters.rules_file import RulesInvalid, load_rules

BUILT_IN = resources.files("services.anomaly_detector").joinpath("rules.toml").read_text()

BAD = {
    "limit = 0.05 ": ("limit = 5.0 ", "fractions of requests"),
    "min_requests = 10\n": ('min_requests = "10"\n', "rules.0.min_requests"),
    'kind = "error_ratio"': ('kind = "error_count"', "rules.0: Input tag 'error_count'"),
    'severity = "critical"': ('severity = "page"', "rules.0.severity"),
    "windows_minutes = [1, 2]": ("windows_minutes = []", "rules.0.windows_minutes"),
    "windows_minutes = [2]": ("windows_minutes = [4]", "gap_minutes must be at least 4"),
    "fire_after = 2": ("fire_afterwards = 2", "fire_afterwards"),
    'name = "HighLatency"': ('name = "HighErrorRate"', "same name"),
    "needed_minutes = 10": ("needed_minutes = 61", "no baseline would ever be enough"),
    "ends_after_seconds = 180": ("ends_after_seconds = 90", "at least twice resend_seconds"),
    "every_seconds = 5": ("every_seconds = 0", "evaluation.every_seconds"),
    "min_requests = 100": ("min_requests = 100\nmin_z = 3.0", "belong to error_ratio"),
    "needed_minutes = 30 ": ("needed_minutes = 61 ", "it could never fire"),
    "windows_minutes = [3] ": ("windows_minutes = [1] ", "rules.2.windows_minutes.0"),
    "new_usual_seconds = 5400": ("new_usual_seconds = 3600", "must outlast the baseline"),
    "least_usual = 30.0 ": ("limit = 30.0 ", "rules.2.limit"),
    "[evaluation]": ("[evaluation", "TOML"),
}


def test_the_built_in_rules_are_valid() -> None:
    rules = load_rules(None)
    assert [rule.name for rule in rules.rules] == ["HighErrorRate", "HighLatency", "TrafficDrop"]
    assert rules.windows_minutes == (1, 2)


def test_another_file_replaces_the_built_in_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(BUILT_IN.replace("fire_after = 2", "fire_after = 7"))
    assert {rule.fire_after for rule in load_rules(file).rules} == {7}


@pytest.mark.parametrize("good", BAD)
def test_a_wrong_rule_is_refused_with_its_place_and_what_is_wrong(good: str, tmp_path: Path) -> None:
    bad, message = BAD[good]
    assert good in BUILT_IN
    file = tmp_path / "rules.toml"
    file.write_text(BUILT_IN.replace(good, bad))
    with pytest.raises(RulesInvalid, match=re.escape(message)):
        load_rules(file)


def test_a_missing_file_and_one_that_is_not_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RulesInvalid, match="No such file"):
        load_rules(tmp_path / "absent.toml")
    file = tmp_path / "noise.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RulesInvalid, match="cannot be read as TOML"):
        load_rules(file)
