"""The bench of log signatures."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from scripts import bench_signatures as bench
from tests.unit.libs.kernel.test_log_masks import LINES

CSV = "LineId,Content,EventId\n1,user 7 in,E1\n2,user 8 in,E1\n3,disk full,E2\n"


@pytest.mark.parametrize(
    ("groups", "accuracy"),
    [("aabb", 1.0), ("xxyy", 1.0), ("aaaa", 0.0), ("abcc", 0.5), ("abcd", 0.0), ("abbb", 0.0)],
)
def test_only_lines_whose_group_is_exactly_one_event_count(groups: str, accuracy: float) -> None:
    assert bench.grouping_accuracy("1122", groups) == accuracy


def test_no_lines_are_no_accuracy() -> None:
    assert bench.grouping_accuracy("", "") == 0.0


def test_sets_are_read_from_folders_and_archives(tmp_path: Path) -> None:
    (tmp_path / "One").mkdir()
    (tmp_path / "One" / "One_2k.log_structured.csv").write_text(CSV)
    (tmp_path / "Two_2k.log_structured.csv").write_text(CSV)
    with tarfile.open(tmp_path / "sets.tar.xz", "w:xz") as tar:
        tar.add(tmp_path / "Two_2k.log_structured.csv", "Two/Two_2k.log_structured.csv")
    (tmp_path / "Two_2k.log_structured.csv").unlink()

    sets = bench.read_sets(tmp_path)

    assert [s.name for s in sets] == ["One", "Two"]
    assert sets[1].lines == ("user 7 in", "user 8 in", "disk full")
    assert sets[1].events == ("E1", "E1", "E2")


def test_every_method_gives_a_line_per_set_and_the_averages_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "One_2k.log_structured.csv").write_text(CSV)

    assert bench.main(["--data", str(tmp_path)]) == 0

    *rows, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(r["set"], r["method"], r["ga"]) for r in rows] == [("One", m, 1.0) for m in bench.METHODS]
    assert last == {"set": "average", "sets": 1, "ga": dict.fromkeys(bench.METHODS, 1.0)}


@pytest.mark.parametrize("text", [None, "", "Content\nx\n"])
def test_missing_or_strange_data_is_said(tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    if text is not None:
        (tmp_path / "One_2k.log_structured.csv").write_text(text)

    assert bench.main(["--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("bench-signatures: ")


def test_an_archive_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.tar.xz").write_text("no archive")

    assert bench.main(["--data", str(tmp_path)]) == 2


def test_clickhouse_masks_as_its_twin_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.masked_by_clickhouse([body for body, _ in LINES]) == [masked for _, masked in LINES]
    assert capsys.readouterr().err == ""
