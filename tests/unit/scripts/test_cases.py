"""The runner of cases: how lists are read, which kind takes what, and what counts as failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.cases import __main__ as command
from scripts.cases.frame import Case, CasesInvalid, Problems, Tally, find_cases, run_all
from scripts.cases.telemetry import HTTP, KAFKA, Seen, Telemetry, judge


def case(**entry: Any) -> Case:
    return Case(Path("telemetry"), {"id": "1", **entry})


def write(folder: Path, *entries: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.json").write_text(json.dumps(entries))
    return folder


class Wrong:
    """Takes cases that say so, and finds fault with some."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self.ran: list[str] = []

    def takes(self, case: Case) -> bool:
        return self._mark in case.entry

    def run(self, cases: Sequence[Case]) -> Problems:
        self.ran += [one.name for one in cases]
        return {one.name: one.entry[self._mark] for one in cases}


def test_cases_are_found_in_a_folder_and_below(tmp_path: Path) -> None:
    write(tmp_path / "one", {"id": 1}, {"id": "b"})
    write(tmp_path / "two" / "deep", {"id": 1, "file": "x.bin"})
    (tmp_path / "two" / "deep" / "x.bin").write_bytes(b"\x00x")
    found = find_cases(tmp_path)
    assert [one.name for one in found] == ["one/1", "one/b", "deep/1"]
    assert found[2].read() == b"\x00x"
    assert [one.name for one in find_cases(tmp_path / "two")] == ["deep/1"]


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "not JSON"), ('{"id": 1}', "no list"), ("[1]", "no list"), ('[{"x": 1}]', "no list"),
     ('[{"id": 1}, {"id": "1"}]', "twice")],
)  # fmt: skip
def test_a_list_that_can_not_be_read_is_named(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "cases.json").write_text(text)
    with pytest.raises(CasesInvalid, match=why):
        find_cases(tmp_path)


def test_a_folder_without_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CasesInvalid, match=r"no cases\.json"):
        find_cases(tmp_path)


def test_each_kind_runs_its_own_and_what_none_takes_has_failed(tmp_path: Path) -> None:
    write(tmp_path, {"id": 1, "a": []}, {"id": 2, "a": ["no rows"], "about": "why"}, {"id": 3, "b": []}, {"id": 4})
    first, second, said = Wrong("a"), Wrong("b"), list[str]()
    tally = run_all([first, second], find_cases(tmp_path), said.append)
    assert tally == Tally(ok=2, failed=2)
    name = tmp_path.name
    assert (first.ran, second.ran) == ([f"{name}/1", f"{name}/2"], [f"{name}/3"])
    assert said == [f"{name}/2: no rows; why", f"{name}/4: no kind of cases has its fields; "]


def test_a_kind_without_cases_starts_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"id": 1, "a": []})
    idle = Wrong("b")
    assert run_all([idle, Wrong("a")], find_cases(tmp_path), print) == Tally(1, 0)
    assert idle.ran == []


@pytest.mark.parametrize(
    ("problems", "code", "line"), [([], 0, "cases: ok=1 failed=0"), (["x"], 1, "cases: ok=0 failed=1")]
)
def test_the_last_line_and_the_exit_code_say_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    problems: list[str], code: int, line: str,
) -> None:  # fmt: skip
    write(tmp_path, {"id": 1, "a": problems})
    monkeypatch.setattr(command, "KINDS", (Wrong("a"),))
    monkeypatch.setattr("sys.argv", ["cases", "--dir", str(tmp_path)])
    assert command.main() == code
    assert capsys.readouterr().out.splitlines()[-1] == line


def test_a_mistake_in_the_folder_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["cases", "--dir", str(tmp_path / "nowhere")])
    assert command.main() == 2
    assert capsys.readouterr().err.startswith("cases: there is no cases.json")


def test_telemetry_takes_cases_of_a_signal() -> None:
    kind = Telemetry()
    assert [kind.takes(case(signal=signal)) for signal in ("logs", "metrics", "traces", "spans", None)] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert not kind.takes(case(door="alerts"))


RIGHT = Seen(200, {HTTP: 2, KAFKA: 2}, 1)


@pytest.mark.parametrize(
    ("wanted", "seen", "problems"),
    [
        ({}, RIGHT, []),
        ({"http": 200, "rows": 2, "dlq": 1}, RIGHT, []),
        ({"http": 400}, RIGHT, ["HTTP status 200, not 400"]),
        ({"http": 200}, Seen("ReadTimeout: ", {}, 0), ["HTTP status ReadTimeout: , not 200"]),
        ({"rows": 0}, Seen(200, {HTTP: 0, KAFKA: 1}, 0), ["1 rows by kafka, not 0"]),
        ({"rows": 3}, RIGHT, ["2 rows by http, not 3", "2 rows by kafka, not 3"]),
        ({"dlq": 0}, RIGHT, ["1 dead letters, not 0"]),
    ],
)
def test_what_is_given_is_compared_and_nothing_else(wanted: dict[str, Any], seen: Seen, problems: list[str]) -> None:
    assert judge(case(signal="logs", **wanted), seen) == problems


def test_our_own_cases_can_be_read_and_each_has_a_kind() -> None:
    for one in find_cases(command.OURS):
        assert any(kind.takes(one) for kind in command.KINDS)
        assert one.read()
