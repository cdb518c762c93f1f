"""Recorded spans and log lines, parsed: what a tracing and logging pipeline would have stored."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.rca.pods import service_of

SQL = re.compile(r"(?:SELECT|UPDATE|INSERT|DELETE) (?:(\w+)\.)?\w+")
SEVERITIES = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}
STATEMENT = re.compile(r"[\w.$\[\]]*[A-Za-z\]]#\d+\b")
VARYING = re.compile(r"(?<![#0-9A-Za-z])(?:[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|0x[0-9a-fA-F]+|[0-9a-fA-F]{8,}|\d[\d.,:]*)")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its server span and, when another service made it, the caller's span. Times in ns and ms."""

    trace: str
    time: int
    server: str
    server_ms: float
    client: str = ""
    client_ms: float = 0.0
    instrumented: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """One log line."""

    trace: str
    span: str
    time: int
    service: str
    severity: int
    signature: str
    text: str


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything recorded in a time."""

    start: datetime
    end: datetime
    calls: tuple[Call, ...]
    lines: tuple[Line, ...]

    def until(self, end: datetime) -> Recording:
        """Return what was recorded before an instant."""
        limit = int(end.timestamp() * 1e9)
        calls = tuple(c for c in self.calls if c.time < limit)
        return Recording(self.start, min(self.end, end), calls, tuple(x for x in self.lines if x.time < limit))


def read_recording(traces: Iterable[Path], logs: Iterable[Path]) -> Recording:
    """Return the content of span and log files; malformed rows are left out."""
    calls = tuple(call for path in traces for call in _calls(path))
    lines = tuple(sorted((x for path in logs for x in _lines(path)), key=lambda x: x.time))
    times = sorted(c.time for c in calls)
    # A trace that began long before the file keeps its early spans: the file itself covers what most of it covers.
    return Recording(_instant(times[len(times) // 100]), _instant(times[-1] + 1_000_000), calls, lines)


def _instant(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def _calls(path: Path) -> Iterator[Call]:
    with path.open(newline="") as file:
        spans = {row["SpanID"]: row for row in csv.DictReader(file) if row["Duration"]}
    for span in spans.values():
        parent = spans.get(span["ParentID"])
        service, ms, time = service_of(span["PodName"]), float(span["Duration"]) / 1000, int(span["StartTimeUnixNano"])
        if parent is None:
            if span["ParentID"] == "root":
                yield Call(span["TraceID"], time, service, ms)
        elif (caller := service_of(parent["PodName"])) != service:
            yield Call(span["TraceID"], time, service, ms, caller, float(parent["Duration"]) / 1000)
        if match := SQL.match(span["OperationName"]):
            yield Call(span["TraceID"], time, f"db/{match[1] or ''}", 0.0, service, ms, instrumented=False)


def _lines(path: Path) -> Iterator[Line]:
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                text = json.loads(row["Log"])["log"].strip()
                time = int(row["TimeUnixNano"])
            except (ValueError, KeyError, TypeError):
                continue
            yield Line(
                row["TraceID"], row["SpanID"], time, service_of(row["PodName"]), _severity(text), signature(text), text
            )


def _severity(text: str) -> int:
    return next((SEVERITIES[word] for word in text.split(maxsplit=2)[:2] if word in SEVERITIES), 0)


def signature(text: str) -> str:
    """Return what stays the same between lines of one kind: the logging statement, else the text less what varies."""
    line = text.split("\n", 1)[0][:512]
    statement = STATEMENT.search(line)
    return statement[0] if statement else VARYING.sub("<*>", line)
