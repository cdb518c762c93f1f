"""Reading and ordering migrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.storage.migrate import Migration, MigrationRefused, pending, read, statements

ROOT = Path(__file__).resolve().parents[4]


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"SELECT '{name}';\n")
    return folder


def test_files_are_read_by_owner_and_number(tmp_path: Path) -> None:
    found = read(write(tmp_path, "b/0001_one.sql", "a/0002_two.sql", "a/0001_one.sql"))

    assert [(m.owner, m.number) for m in found] == [("a", 1), ("a", 2), ("b", 1)]


@pytest.mark.parametrize("name", ["a/0001_twice.sql", "a/1_short.sql", "a/0002_Upper.sql", "a/0000_none.sql"])
def test_a_repeated_number_or_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MigrationRefused, match=r"should be named NNNN_lower_case\.sql"):
        read(write(tmp_path, "a/0001_one.sql", name))


def test_numbers_may_leave_gaps(tmp_path: Path) -> None:
    assert [m.number for m in read(write(tmp_path, "a/0001_one.sql", "a/0070_far.sql"))] == [1, 70]


def test_what_was_applied_is_not_pending_and_a_changed_file_is_refused() -> None:
    first, second = Migration("a", 1, "0001_x.sql", "one"), Migration("a", 2, "0002_y.sql", "two")

    assert pending([first, second], {("a", 1): first.hash}) == [second]
    with pytest.raises(MigrationRefused, match="changed after it was applied"):
        pending([first], {("a", 1): "other"})


def test_statements_end_at_a_semicolon_that_ends_a_line() -> None:
    text = "-- a comment; not a statement\nSELECT ';' AS a;\n\nSELECT 2\n  AS b;  \n"

    assert statements(text) == ["SELECT ';' AS a", "SELECT 2\n  AS b"]


@pytest.mark.parametrize("store", ["postgres", "clickhouse"])
def test_the_migrations_of_this_checkout_are_well_named(store: str) -> None:
    assert read(ROOT / "infra" / store)
