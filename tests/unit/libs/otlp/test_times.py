"""Times that the tables do not keep are refused with a reason; ids of a wrong length are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from libs.kernel.errors import InvalidInput
from libs.otlp.batch import (
    KEPT_DAYS,
    KEPT_NANOSECONDS,
    NEWEST_NANOSECONDS,
    OLDEST_NANOSECONDS,
    DecodedBatch,
    Message,
)
from libs.otlp.values import kept_time
from scripts.otlp.differential import COMPILED, REFERENCE, SIGNALS
from tests.unit.libs.otlp.native_reader import read_block, read_first_block
from tests.unit.libs.otlp.requests import NOW_NS, RECEIVED_MS, SPAN, TRACE, logs, message, metrics, spans

RECEIVED_NS = RECEIVED_MS * 1_000_000
YEAR_NS = 365 * 86_400 * 10**9


def a_log(time: int) -> Any:
    return logs(LogRecord(time_unix_nano=time))


def an_observed_log(time: int) -> Any:
    return logs(LogRecord(observed_time_unix_nano=time))


def a_span(time: int) -> Any:
    return spans(Span(trace_id=TRACE, span_id=SPAN, start_time_unix_nano=time, end_time_unix_nano=NOW_NS))


def an_ended_span(time: int) -> Any:
    return spans(Span(trace_id=TRACE, span_id=SPAN, end_time_unix_nano=time))


def a_gauge(time: int) -> Any:
    return metrics(m.Metric(gauge=m.Gauge(data_points=[m.NumberDataPoint(time_unix_nano=time, as_int=1)])))


def a_histogram(time: int) -> Any:
    return metrics(m.Metric(histogram=m.Histogram(data_points=[m.HistogramDataPoint(time_unix_nano=time, count=1)])))


MAKERS: list[tuple[str, Callable[[int], Any]]] = [
    ("logs", a_log), ("logs", an_observed_log), ("spans", a_span), ("spans", an_ended_span), ("metrics", a_gauge),
    ("metrics", a_histogram),
]  # fmt: skip
LOST = {
    "seconds": NOW_NS // 10**9, "milliseconds": NOW_NS // 10**6, "microseconds": NOW_NS // 10**3, "1970": 1,
    "1999": OLDEST_NANOSECONDS - 1, "two years ago": NOW_NS - 2 * YEAR_NS,
    "a moment too old": RECEIVED_NS - KEPT_NANOSECONDS - 1, "2105": NEWEST_NANOSECONDS + 1,
    "2109": NEWEST_NANOSECONDS + 4 * YEAR_NS, "2150": NEWEST_NANOSECONDS + 45 * YEAR_NS, "2262": 2**63 - 1,
    "past 2262": 2**63, "the last there is": 2**64 - 1,
}  # fmt: skip
KEPT = {
    "now": NOW_NS, "a year ago": NOW_NS - YEAR_NS, "just kept": RECEIVED_NS - KEPT_NANOSECONDS,
    "tomorrow": NOW_NS + 86_400 * 10**9, "2104": NEWEST_NANOSECONDS,
}  # fmt: skip


def both(signal: str, *batch: Message) -> DecodedBatch:
    """Return what both decoders make of messages, after checking that they agree."""
    found, reference = COMPILED[signal](batch), REFERENCE[signal](batch)
    assert (found.rows, found.rejected, found.truncated) == (reference.rows, reference.rejected, reference.truncated)
    return found


@pytest.mark.parametrize(("signal", "make"), MAKERS, ids=[make.__name__ for _, make in MAKERS])
@pytest.mark.parametrize("name", LOST)
def test_a_time_the_tables_do_not_keep_is_refused_with_its_reason(
    signal: str, make: Callable[[int], Any], name: str
) -> None:
    bad = make(LOST[name])
    batch = both(signal, message(make(NOW_NS)), message(bad, offset=1), message(make(NOW_NS), offset=2))
    (rejected,) = batch.rejected
    assert (batch.rows, rejected.index, rejected.reason) == (2, 1, "timestamp_out_of_range")
    assert rejected.part == bad.SerializeToString()
    assert str(KEPT_DAYS) in rejected.error or "2262" in rejected.error


@pytest.mark.parametrize(("signal", "make"), MAKERS, ids=[make.__name__ for _, make in MAKERS])
@pytest.mark.parametrize("name", KEPT)
def test_a_time_the_tables_keep_is_stored_by_the_walk(signal: str, make: Callable[[int], Any], name: str) -> None:
    body = message(make(KEPT[name]))
    assert COMPILED[signal].walk([body])[1] == []
    (row,) = read_block(both(signal, body).body)
    assert row["TimeUnix" if signal == "metrics" else "Timestamp"] == KEPT[name]


@pytest.mark.parametrize("signal", SIGNALS)
def test_of_a_message_only_the_records_with_such_times_are_refused(signal: str) -> None:
    make = {"logs": a_log, "spans": a_span, "metrics": a_gauge}[signal]
    mixed = make(NOW_NS)
    for name in ("seconds", "2109"):
        mixed.MergeFrom(make(LOST[name]))
    mixed.MergeFrom(make(NOW_NS))
    batch = both(signal, message(mixed), message(make(NOW_NS), offset=1))
    assert [(one.index, one.first_index) for one in batch.rejected] == [(0, 1), (0, 2)]
    body, places = batch.body, []
    while body:
        rows, body = read_first_block(body)
        places += [(row["IngestOffset"], row["IngestIndex"]) for row in rows]
    assert sorted(places) == [(0, 0), (0, 3), (1, 0)]


@pytest.mark.parametrize("received_ms", [0, -1, RECEIVED_MS // 1000])
def test_a_record_without_a_time_in_a_message_whose_own_is_nonsense_is_refused(received_ms: int) -> None:
    (rejected,) = both("logs", replace(message(a_log(0)), received_ms=received_ms)).rejected
    assert rejected.reason == "timestamp_out_of_range"
    assert both("logs", replace(message(a_log(NOW_NS)), received_ms=received_ms)).rows == 1


def test_what_is_kept_depends_on_when_it_was_received_and_on_nothing_else() -> None:
    old = message(a_log(NOW_NS - 2 * YEAR_NS))
    assert both("logs", replace(old, received_ms=RECEIVED_MS - 2 * YEAR_NS // 10**6)).rows == 1
    early = [replace(old, received_ms=RECEIVED_MS - 2 * YEAR_NS // 10**6), old, message(a_log(NOW_NS))]
    assert [one.index for one in both("logs", *early).rejected] == [1]


def test_the_bounds_belong_to_what_is_kept() -> None:
    assert kept_time(OLDEST_NANOSECONDS, 0) == OLDEST_NANOSECONDS
    assert kept_time(NEWEST_NANOSECONDS, RECEIVED_NS) == NEWEST_NANOSECONDS
    for value in (OLDEST_NANOSECONDS - 1, NEWEST_NANOSECONDS + 1):
        with pytest.raises(InvalidInput, match="400 days"):
            kept_time(value, 0)


def test_other_times_of_a_record_need_not_be_kept() -> None:
    event = Span.Event(time_unix_nano=5, name="e")
    span = Span(trace_id=TRACE, span_id=SPAN, start_time_unix_nano=NOW_NS, end_time_unix_nano=7, events=[event])
    (row,) = read_block(both("spans", message(spans(span))).body)
    assert (row["Events.Timestamp"], row["Duration"]) == ([5], 0)
    point = m.NumberDataPoint(start_time_unix_nano=3, time_unix_nano=NOW_NS, as_int=1)
    (row,) = read_block(both("metrics", message(metrics(m.Metric(gauge=m.Gauge(data_points=[point]))))).body)
    assert row["StartTimeUnix"] == 3


LENGTHS = (1, 7, 8, 9, 15, 16, 17, 32, 33, 500_000)


@pytest.mark.parametrize("size", LENGTHS)
def test_ids_of_a_wrong_length_are_treated_as_absent_everywhere(size: int) -> None:
    raw = b"\xab" * size
    trace, one = raw.hex() if size == 16 else "", raw.hex() if size == 8 else ""
    link = Span.Link(trace_id=raw, span_id=raw)
    span = Span(trace_id=raw, span_id=raw, parent_span_id=raw, start_time_unix_nano=NOW_NS, links=[link])
    (row,) = read_block(both("spans", message(spans(span))).body)
    assert (row["TraceId"], row["SpanId"], row["ParentSpanId"]) == (trace, one, one)
    assert (row["Links.TraceId"], row["Links.SpanId"]) == ([trace], [one])
    (row,) = read_block(both("logs", message(logs(LogRecord(trace_id=raw, span_id=raw)))).body)
    assert (row["TraceId"], row["SpanId"]) == (trace, one)
    exemplar = m.Exemplar(trace_id=raw, span_id=raw, as_int=1)
    point = m.NumberDataPoint(time_unix_nano=NOW_NS, as_int=1, exemplars=[exemplar])
    (row,) = read_block(both("metrics", message(metrics(m.Metric(gauge=m.Gauge(data_points=[point]))))).body)
    assert (row["Exemplars.TraceId"], row["Exemplars.SpanId"]) == ([trace], [one])
