"""Insert data in temporary files."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.clickhouse_gateway.errors import EngineError
from infra.local.clickhouse_gateway.spool import SpoolFolder


def test_a_file_holds_what_is_written_and_is_gone_when_closed(tmp_path: Path) -> None:
    with SpoolFolder(tmp_path / "spool", 100).file() as file:
        assert not file.path.exists()
        file.write(b"abc")
        file.write(memoryview(b"def"))
        assert (file.path.read_bytes(), file.size, file.head(4)) == (b"abcdef", 6, b"abcd")
    assert not file.path.exists()


def test_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    with SpoolFolder(tmp_path, 5).file() as file:
        file.write(b"12345")
        with pytest.raises(EngineError) as failed:
            file.write(b"6")
        assert failed.value.code == 229


def test_content_is_copied_and_replaced(tmp_path: Path) -> None:
    folder = SpoolFolder(tmp_path, 100)
    with folder.file() as first, folder.file() as second, folder.file() as empty:
        first.write(b"head and rows")
        second.write(b"more ")
        second.copy_from(first, 9)
        second.copy_from(empty, 0)
        assert second.path.read_bytes() == b"more rows"
        assert (second.read(5, 3), second.read(8, 3), second.read(9, 3), empty.read(0, 3)) == (b"row", b"s", b"", b"")
        second.replace(iter([b"x", b"y"]))
        empty.replace(iter([b"never"]))
        assert (second.path.read_bytes(), second.size, empty.size, empty.head(9)) == (b"xy", 2, 0, b"")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_behind_is_removed(tmp_path: Path) -> None:
    (tmp_path / "insert-1").write_bytes(b"x")
    (tmp_path / "other").write_bytes(b"x")
    SpoolFolder(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
