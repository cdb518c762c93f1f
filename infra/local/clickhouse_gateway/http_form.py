"""A request that comes as a form: its fields stand for URL parameters, its files are tables for the query."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from infra.local.clickhouse_gateway.errors import BAD_ARGUMENTS, INCORRECT_DATA, EngineError
from infra.local.clickhouse_gateway.native_types import split_list
from infra.local.clickhouse_gateway.spool import SpoolFile, SpoolFolder

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELD_BYTES = 1 << 20
MAX_PARTS = 1000
_READ_BYTES = 1 << 18
_ABOUT_TABLES = ("format", "structure", "types")


@dataclass(frozen=True)
class Table:
    """A table that comes with a query: `structure` as between the brackets of CREATE TABLE, rows in `data_format`."""

    name: str
    structure: str
    data_format: str
    rows: SpoolFile


@dataclass
class Form:
    """What a form holds; the files live as long as the stack they were opened on."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, SpoolFile] = field(default_factory=dict)

    def parameters(self, url: Mapping[str, str]) -> dict[str, str]:
        """Return the fields and the URL's parameters, but for those that describe the tables."""
        about = {f"{name}_{what}" for name in self.files for what in _ABOUT_TABLES}
        return {name: value for name, value in (self.fields | dict(url)).items() if name not in about}

    def tables(self, url: Mapping[str, str]) -> list[Table]:
        """Return the files as tables. Raises EngineError 36 on one without structure and types."""
        told = self.fields | dict(url)
        return [
            Table(name, _structure(name, told), told.get(f"{name}_format", "TabSeparated"), rows)
            for name, rows in self.files.items()
        ]


def is_form(content_type: str) -> bool:
    """Tell whether a body is a form with files."""
    return content_type.lower().startswith("multipart/form-data")


def read_form(content_type: str, body: SpoolFile, spool: SpoolFolder, opened: ExitStack) -> Form:
    """Read a form. Raises EngineError 117 when it is malformed, has more than MAX_PARTS parts or too long a field."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise _malformed("it names no boundary")
    parts = _Parts(spool, opened)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        for at in range(0, body.size, _READ_BYTES):
            parser.write(body.read(at, _READ_BYTES))
        parser.finalize()
    except FormParserError as exc:
        raise _malformed(str(exc)) from exc
    if not parts.complete:
        raise _malformed("it is cut off")
    return parts.form


class _Parts:
    """Takes a form's parts as the parser finds them."""

    def __init__(self, spool: SpoolFolder, opened: ExitStack) -> None:
        self._spool = spool
        self._opened = opened
        self._header = [b"", b""]
        self._name = ""
        self._file: SpoolFile | None = None
        self._value = b""
        self._count = 0
        self.form = Form()
        self.complete = False

    def callbacks(self) -> MultipartCallbacks:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add_header(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._add_header(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._add(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise _malformed(f"it has more than {MAX_PARTS} parts")
        self._name, self._file, self._value = "", None, b""

    def _add_header(self, at: int, data: bytes) -> None:
        self._header[at] += data

    def _end_header(self) -> None:
        (name, value), self._header = self._header, [b"", b""]
        if name.lower() == b"content-disposition":
            options = parse_options_header(value)[1]
            self._name = options.get(b"name", b"").decode(errors="replace")
            if b"filename" in options:
                self._file = self.form.files[self._name] = self._opened.enter_context(self._spool.file())

    def _add(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
            return
        self._value += data
        if len(self._value) > MAX_FIELD_BYTES:
            raise _malformed(f"field {self._name[:40]!r} is longer than {MAX_FIELD_BYTES} bytes")

    def _end(self) -> None:
        if not self._name:
            raise _malformed("a part of it has no name")
        if self._file is None:
            try:
                self.form.fields[self._name] = self._value.decode()
            except UnicodeDecodeError as exc:
                raise _malformed(f"field {self._name[:40]!r} is not UTF-8") from exc

    def _finish(self) -> None:
        self.complete = True


def _structure(name: str, told: Mapping[str, str]) -> str:
    if structure := told.get(f"{name}_structure"):
        return structure
    types = split_list(told.get(f"{name}_types", ""))
    if not types:
        reason = f"Neither {name}_structure nor {name}_types tells the columns of the table {name[:40]!r}"
        raise EngineError(BAD_ARGUMENTS, reason, "BAD_ARGUMENTS")
    return ", ".join(f"_{number} {kind}" for number, kind in enumerate(types, 1))


def _malformed(reason: str) -> EngineError:
    return EngineError(INCORRECT_DATA, f"The form cannot be read: {reason}", "INCORRECT_DATA")
