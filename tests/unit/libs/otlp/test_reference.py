from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_FATAL4, LogRecord
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from libs.otlp.batch import MAX_ATTRIBUTES, MAX_KEY_BYTES, MAX_MESSAGE_BYTES, MAX_TEXT_BYTES, Decode, DecodedBatch
from libs.otlp.reference import decode_logs, decode_metrics, decode_spans
from tests.unit.libs.otlp.native_reader import read_block
from tests.unit.libs.otlp.requests import (
    NOW_NS,
    RECEIVED_MS,
    SPAN,
    TRACE,
    attributes,
    logs,
    message,
    metrics,
    nested,
    spans,
    value,
)

RECEIVED_NS = RECEIVED_MS * 1_000_000


def only_row(batch: DecodedBatch) -> dict[str, Any]:
    """Return the one row of a batch of which nothing was refused."""
    assert batch.rejected == ()
    (row,) = read_block(batch.body)
    assert tuple(row) == batch.columns
    return row


def test_a_log_record_fills_every_column() -> None:
    record = LogRecord(
        time_unix_nano=NOW_NS, observed_time_unix_nano=NOW_NS + 5, trace_id=TRACE, span_id=SPAN, flags=0x101,
        severity_text="ERROR", severity_number=17, body=value("boom"), event_name="e",  # type: ignore[arg-type]
        attributes=attributes({"b": 1, "a": "x"}),
    )  # fmt: skip
    assert only_row(decode_logs([message(logs(record), offset=9)])) == {
        "TenantId": "acme", "Timestamp": NOW_NS, "ObservedTimestamp": NOW_NS + 5, "TraceId": TRACE.hex(),
        "SpanId": SPAN.hex(), "TraceFlags": 1, "SeverityText": "ERROR", "SeverityNumber": 17, "ServiceName": "cart",
        "Body": "boom", "ResourceSchemaUrl": "https://r",
        "ResourceAttributes": {"host.name": "h1", "service.name": "cart"}, "ScopeSchemaUrl": "https://s",
        "ScopeName": "lib", "ScopeVersion": "1.2", "ScopeAttributes": {"in": "scope"},
        "LogAttributes": {"a": "x", "b": "1"}, "EventName": "e", "TruncatedCount": 0,
        "IngestTopic": "otel.test", "IngestPartition": 3,
        "IngestOffset": 9, "IngestIndex": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("time", "observed", "expected"),
    [(0, 0, RECEIVED_NS), (0, NOW_NS + 7, NOW_NS + 7), (NOW_NS, NOW_NS + 7, NOW_NS)],
    ids=["none", "observed", "own"],
)
def test_a_log_record_without_a_time_gets_when_it_was_observed_or_received(
    time: int, observed: int, expected: int
) -> None:
    row = only_row(decode_logs([message(logs(LogRecord(time_unix_nano=time, observed_time_unix_nano=observed)))]))
    assert row["Timestamp"] == expected


def test_a_severity_outside_the_scale_counts_as_unspecified() -> None:
    raw = logs(LogRecord()).SerializeToString()
    record = logs(LogRecord(severity_number=SEVERITY_NUMBER_FATAL4)).SerializeToString()
    assert raw != record
    broken = record.replace(b"\x10\x18", b"\x10\x7f")
    assert only_row(decode_logs([message(broken)]))["SeverityNumber"] == 0


def test_a_span_fills_every_column() -> None:
    span = Span(
        trace_id=TRACE, span_id=SPAN, parent_span_id=b"\x01" * 8, trace_state="a=b", name="GET /", kind=3,  # type: ignore[arg-type]
        start_time_unix_nano=NOW_NS, end_time_unix_nano=NOW_NS + 1500, attributes=attributes({"http.route": "/"}),
        status=Status(code=2, message="no"),  # type: ignore[arg-type]
        events=[Span.Event(time_unix_nano=NOW_NS + 1, name="exception", attributes=attributes({"k": "v"}))],
        links=[Span.Link(trace_id=TRACE, span_id=SPAN, trace_state="c=d")],
    )  # fmt: skip
    assert only_row(decode_spans([message(spans(span))])) == {
        "TenantId": "acme", "Timestamp": NOW_NS, "TraceId": TRACE.hex(), "SpanId": SPAN.hex(),
        "ParentSpanId": "01" * 8, "TraceState": "a=b", "SpanName": "GET /", "SpanKind": "Client",
        "ServiceName": "cart", "ResourceAttributes": {"service.name": "cart"}, "ScopeName": "lib", "ScopeVersion": "",
        "SpanAttributes": {"http.route": "/"}, "Duration": 1500, "StatusCode": "Error", "StatusMessage": "no",
        "Events.Timestamp": [NOW_NS + 1], "Events.Name": ["exception"], "Events.Attributes": [{"k": "v"}],
        "Links.TraceId": [TRACE.hex()], "Links.SpanId": [SPAN.hex()], "Links.TraceState": ["c=d"],
        "Links.Attributes": [{}], "TruncatedCount": 0,
        "IngestTopic": "otel.test", "IngestPartition": 3, "IngestOffset": 0,
        "IngestIndex": 0,
    }  # fmt: skip


def test_a_span_that_ends_before_it_starts_has_no_duration() -> None:
    span = Span(start_time_unix_nano=NOW_NS, end_time_unix_nano=NOW_NS - 1)
    assert only_row(decode_spans([message(spans(span))]))["Duration"] == 0


def test_a_span_without_a_start_does_not_last_since_1970() -> None:
    row = only_row(decode_spans([message(spans(Span(end_time_unix_nano=NOW_NS)))]))
    assert (row["Timestamp"], row["Duration"]) == (NOW_NS, 0)


def point(**extra: Any) -> dict[str, Any]:
    """Return what points of all types have."""
    return {
        "time_unix_nano": NOW_NS,
        "start_time_unix_nano": 5,
        "attributes": attributes({"k": "v"}),
        "flags": 1,
        **extra,
    }


METRICS = [
    (
        m.Metric(name="g", unit="1", gauge=m.Gauge(data_points=[m.NumberDataPoint(**point(as_int=3))])),
        {"MetricType": "gauge", "Value": 3.0},
    ),
    (
        m.Metric(name="g", sum=m.Sum(is_monotonic=True, aggregation_temporality=2, data_points=[  # type: ignore[arg-type]
            m.NumberDataPoint(**point(as_double=1.5, exemplars=[m.Exemplar(as_int=2, time_unix_nano=6, span_id=SPAN,
                trace_id=TRACE, filtered_attributes=attributes({"f": True}))]))])),
        {"MetricType": "sum", "Value": 1.5, "IsMonotonic": True, "AggregationTemporality": 2,
         "Exemplars.FilteredAttributes": [{"f": "true"}], "Exemplars.TimeUnix": [6], "Exemplars.Value": [2.0],
         "Exemplars.SpanId": [SPAN.hex()], "Exemplars.TraceId": [TRACE.hex()]},
    ),
    (
        m.Metric(name="g", histogram=m.Histogram(data_points=[m.HistogramDataPoint(
            **point(count=3, sum=1.5, bucket_counts=[1, 2], explicit_bounds=[0.5], min=0.1, max=1.0))])),
        {"MetricType": "histogram", "Count": 3, "Sum": 1.5, "BucketCounts": [1, 2], "ExplicitBounds": [0.5],
         "Min": 0.1, "Max": 1.0},
    ),
    (
        m.Metric(name="g", exponential_histogram=m.ExponentialHistogram(data_points=[m.ExponentialHistogramDataPoint(
            **point(count=4, scale=-2, zero_count=1,
                    positive=m.ExponentialHistogramDataPoint.Buckets(offset=-3, bucket_counts=[1]),
                    negative=m.ExponentialHistogramDataPoint.Buckets(offset=2, bucket_counts=[2, 0])))])),
        {"MetricType": "exponential_histogram", "Count": 4, "Scale": -2, "ZeroCount": 1, "PositiveOffset": -3,
         "PositiveBucketCounts": [1], "NegativeOffset": 2, "NegativeBucketCounts": [2, 0]},
    ),
    (
        m.Metric(name="g", summary=m.Summary(data_points=[m.SummaryDataPoint(
            **point(count=5, sum=9.0,
                    quantile_values=[m.SummaryDataPoint.ValueAtQuantile(quantile=0.5, value=2.0)]))])),
        {"MetricType": "summary", "Count": 5, "Sum": 9.0,
         "ValueAtQuantiles.Quantile": [0.5], "ValueAtQuantiles.Value": [2.0]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "expected"), METRICS, ids=[e["MetricType"] for _, e in METRICS])  # type: ignore[misc]
def test_each_metric_type_fills_its_own_columns(metric: m.Metric, expected: dict[str, Any]) -> None:
    row = only_row(decode_metrics([message(metrics(metric))]))
    assert {name: row[name] for name in expected} == expected
    assert (row["MetricName"], row["TimeUnix"], row["StartTimeUnix"], row["Flags"]) == ("g", NOW_NS, 5, 1)
    assert (row["Attributes"], row["ScopeDroppedAttrCount"], row["ServiceName"]) == ({"k": "v"}, 2, "cart")


def test_a_metric_without_data_gives_no_rows() -> None:
    batch = decode_metrics([message(metrics(m.Metric(name="empty")))])
    assert (batch.rows, batch.rejected) == (0, ())


def test_rows_are_numbered_through_all_resources_of_a_message() -> None:
    request = logs(LogRecord(), LogRecord())
    request.MergeFrom(logs(LogRecord()))
    rows = read_block(decode_logs([message(request, offset=1), message(request, offset=2)]).body)
    assert [(r["IngestOffset"], r["IngestIndex"]) for r in rows] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


DECODERS: list[Decode] = [decode_logs, decode_spans, decode_metrics]


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize(
    "body", [b"\xff\xff\xff", b"\x0a\x7fabc", b"{", b'{"resourceLogs": 1, "resourceSpans": 1, "resourceMetrics": 1}']
)
def test_an_undecodable_message_is_rejected_and_its_neighbours_are_kept(decode: Decode, body: bytes) -> None:
    batch = decode([message(b""), message(body), message(b"")])
    (rejected,) = batch.rejected
    assert (rejected.index, rejected.part, batch.rows) == (1, None, 0)
    assert rejected.reason in {"undecodable", "malformed_json", "invalid_json"}
    assert rejected.error


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (LogRecord(time_unix_nano=2**63), "timestamp_out_of_range"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_poison_record_is_split_out_with_its_resource_and_the_rest_is_kept(bad: LogRecord, reason: str) -> None:
    good = LogRecord(severity_text="good")
    batch = decode_logs([message(logs(good, bad, good))])
    (rejected,) = batch.rejected
    assert [(r["SeverityText"], r["IngestIndex"]) for r in read_block(batch.body)] == [("good", 0), ("good", 2)]
    assert (rejected.index, rejected.reason) == (0, reason)
    assert ExportLogsServiceRequest.FromString(rejected.part or b"") == logs(bad)


def test_what_is_cut_is_counted_on_the_row_and_in_the_batch() -> None:
    many = attributes({f"k{i:04}": 1 for i in range(MAX_ATTRIBUTES + 3)})
    long = attributes({"k" * (MAX_KEY_BYTES + 1): "v" * (MAX_TEXT_BYTES + 1)})
    records = LogRecord(attributes=many), LogRecord(attributes=long, body=nested(40)), LogRecord()
    batch = decode_logs([message(logs(*records))])
    first, second, third = read_block(batch.body)
    assert [row["TruncatedCount"] for row in (first, second, third)] == [3, 3, 0]
    assert len(first["LogAttributes"]) == MAX_ATTRIBUTES
    assert second["LogAttributes"] == {"k" * MAX_KEY_BYTES: "v" * MAX_TEXT_BYTES}
    assert (batch.rows, batch.truncated, batch.rejected) == (3, 2, ())


def test_what_is_cut_of_a_resource_counts_on_each_of_its_rows() -> None:
    request = spans(Span(end_time_unix_nano=NOW_NS), Span(start_time_unix_nano=NOW_NS))
    extra = attributes(dict.fromkeys(map(str, range(MAX_ATTRIBUTES)), 1))
    request.resource_spans[0].resource.attributes.extend(extra)
    assert [row["TruncatedCount"] for row in read_block(decode_spans([message(request)]).body)] == [1, 1]


@pytest.mark.parametrize("kind", [None, "application/json"])
def test_a_message_beyond_the_bound_is_refused(kind: str | None) -> None:
    batch = decode_logs([message(b"\0" * (MAX_MESSAGE_BYTES + 1), content_type=kind or "")])
    assert [one.reason for one in batch.rejected] == ["message_too_large"]


def test_what_is_refused_keeps_its_numbers_so_that_a_replay_finds_them_free() -> None:
    point = m.NumberDataPoint(time_unix_nano=NOW_NS, as_double=1)
    poison = m.NumberDataPoint(time_unix_nano=2**63)
    request = metrics(
        m.Metric(name="a", gauge=m.Gauge(data_points=[point])),
        m.Metric(name="b", gauge=m.Gauge(data_points=[point, poison, point])),
        m.Metric(name="c", gauge=m.Gauge(data_points=[point])),
    )
    batch = decode_metrics([message(request)])
    assert [(r["MetricName"], r["IngestIndex"]) for r in read_block(batch.body)] == [("a", 0), ("c", 4)]
    assert [r.first_index for r in batch.rejected] == [1]
    healed = metrics(m.Metric(name="b", gauge=m.Gauge(data_points=[point, point, point])))
    again = decode_metrics([replace(message(healed), first_index=1)])
    assert [r["IngestIndex"] for r in read_block(again.body)] == [1, 2, 3]
