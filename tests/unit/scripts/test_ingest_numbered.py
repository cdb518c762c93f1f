from __future__ import annotations

import time
from typing import Any

import pytest

from libs.otlp.batch import Message
from libs.otlp.reference import decode_logs, decode_metrics, decode_spans
from scripts.ingest.numbered import PER_MESSAGE, SIGNALS, Numbered, Signal
from tests.unit.libs.otlp.native_reader import read_block

DECODERS = {"logs": decode_logs, "spans": decode_spans, "metrics": decode_metrics}


def number(signal: Signal, row: dict[str, Any]) -> int:
    """Return the number a row carries."""
    if signal.name == "logs":
        return int(row["Body"].split()[2])
    return int(row["SpanId"], 16) - 1 if signal.name == "spans" else int(dict(row["Attributes"])["n"])


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
def test_every_record_carries_its_number_and_its_time(signal: Signal) -> None:
    numbered, now = Numbered(signal), time.time_ns()
    messages = [Message(numbered.next(now + n), "t", "t", 0, n, 0) for n in range(9)]
    rows = read_block(DECODERS[signal.name](messages).body)
    assert [number(signal, row) for row in rows] == list(range(9 * PER_MESSAGE)) == list(range(numbered.records))
    assert [row[signal.time] for row in rows] == [now + n for n in range(9) for _ in range(PER_MESSAGE)]


def test_each_server_span_answers_the_client_span_of_its_own_trace() -> None:
    numbered = Numbered(SIGNALS[1])
    numbered.next(1)
    rows = read_block(decode_spans([Message(numbered.next(time.time_ns()), "t", "t", 0, 0, 0)]).body)
    clients = {row["SpanId"]: row["TraceId"] for row in rows if row["SpanKind"] == "Client"}
    servers = [row for row in rows if row["SpanKind"] == "Server"]
    assert len(servers) == len(set(clients.values())) == PER_MESSAGE // 2
    assert all(clients[row["ParentSpanId"]] == row["TraceId"] for row in servers)
