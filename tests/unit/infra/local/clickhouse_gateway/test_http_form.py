"""Requests that come as forms: their fields, their tables, and what is not a form."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from infra.local.clickhouse_gateway.errors import EngineError
from infra.local.clickhouse_gateway.http_form import MAX_FIELD_BYTES, MAX_PARTS, Form, is_form, read_form
from infra.local.clickhouse_gateway.spool import SpoolFolder

KIND = "multipart/form-data; boundary=xx"


def _part(name: str, value: bytes, filename: str = "") -> bytes:
    about = f'; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return f"--xx\r\nContent-Disposition: form-data{about}\r\nContent-Type: a/b\r\n\r\n".encode() + value + b"\r\n"


def _read(folder: Path, body: bytes, kind: str = KIND, most: int = 10 << 20) -> tuple[Form, dict[str, bytes]]:
    spool = SpoolFolder(folder, most)
    with ExitStack() as opened:
        file = opened.enter_context(spool.file())
        file.write(body)
        form = read_form(kind, file, spool, opened)
        return form, {name: rows.read(0, rows.size) for name, rows in form.files.items()}


def test_only_a_form_with_files_is_one() -> None:
    assert is_form(KIND)
    assert is_form("Multipart/Form-Data; boundary=a")
    assert not is_form("application/x-www-form-urlencoded")
    assert not is_form("")


def test_fields_are_told_from_files(tmp_path: Path) -> None:
    rows = b"1\r\n--x\r\n" * 100_000
    body = _part("query", "SELECT 'ł'".encode()) + _part("t", rows, "t.csv") + _part("e", b"", "e") + b"--xx--\r\n"
    form, files = _read(tmp_path, body)
    assert form.fields == {"query": "SELECT 'ł'"}
    assert files == {"t": rows, "e": b""}
    assert not list(tmp_path.iterdir())


def test_the_url_goes_before_fields_and_what_describes_tables_is_no_setting(tmp_path: Path) -> None:
    body = _part("query", b"a") + _part("t_format", b"CSV") + _part("t", b"1", "t") + b"--xx--"
    form, _files = _read(tmp_path, body)
    url = {"query": "b", "t_types": "UInt8, Map(String, String)", "u_types": "x"}
    assert form.parameters(url) == {"query": "b", "u_types": "x"}
    (table,) = form.tables(url)
    assert (table.name, table.structure, table.data_format) == ("t", "_1 UInt8, _2 Map(String, String)", "CSV")
    (table,) = form.tables({"t_structure": "a UInt8"})
    assert table.structure == "a UInt8"
    with pytest.raises(EngineError, match="Neither t_structure nor t_types"):
        form.tables({})


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"", "multipart/form-data", "names no boundary"),
        (b"", KIND, "cut off"),
        (b"nonsense", KIND, "cannot be read"),
        (_part("a", b"b"), KIND, "cut off"),
        (_part("a", b"b")[:-20], KIND, "cut off"),
        (b"--xx\r\nContent-Type: a\r\n\r\nb\r\n--xx--", KIND, "has no name"),
        (_part("a", b"\xff") + b"--xx--", KIND, "not UTF-8"),
        (_part("a", b"x" * (MAX_FIELD_BYTES + 1)) + b"--xx--", KIND, "is longer than"),
        (_part("a", b"", "a") * (MAX_PARTS + 1) + b"--xx--", KIND, "more than 1000 parts"),
    ],
)
def test_a_malformed_form_is_refused(tmp_path: Path, body: bytes, kind: str, reason: str) -> None:
    with pytest.raises(EngineError, match=reason) as failed:
        _read(tmp_path, body, kind)
    assert failed.value.code == 117
