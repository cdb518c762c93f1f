"""What parses as an export and is none: another signal's bytes, another format's, fields of another type."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from libs.kernel.errors import InvalidInput
from libs.otlp.foreign import has_unknown, require_own_types
from libs.otlp.logs import LOGS
from libs.otlp.walk import first_of
from scripts.otlp.differential import COMPILED, REFERENCE, SIGNALS
from scripts.otlp.mutations import FIXED64, LENGTH, START, VARINT, Field, put_together
from tests.unit.libs.otlp.native_reader import read_block
from tests.unit.libs.otlp.requests import NOW_NS, SPAN, TRACE, attributes, logs, message, metrics, spans, value

GAUGE = m.Metric(
    name="disk.free", unit="By", gauge=m.Gauge(data_points=[m.NumberDataPoint(time_unix_nano=NOW_NS, as_double=3)])
)
NAMED_AS_AN_ID = m.Metric(
    name="sixteen.bytes.id", gauge=m.Gauge(data_points=[m.NumberDataPoint(time_unix_nano=NOW_NS, as_int=3)])
)
SUM = m.Metric(name="orders", sum=m.Sum(data_points=[m.NumberDataPoint(time_unix_nano=NOW_NS, as_int=3)]))
LOG = LogRecord(time_unix_nano=NOW_NS, severity_text="WARN", body=value("hello"))
BARE_LOG = LogRecord(severity_text="WARN", body=value("hello"))
A_SPAN = Span(trace_id=TRACE, span_id=SPAN, name="op", start_time_unix_nano=NOW_NS, attributes=attributes({"k": "v"}))
EXPORTS: dict[str, list[Any]] = {
    "logs": [logs(LOG), logs(BARE_LOG)],
    "spans": [spans(A_SPAN)],
    "metrics": [metrics(GAUGE), metrics(SUM), metrics(NAMED_AS_AN_ID)],
}
ELSEWHERE = [
    (door, sent, number)
    for door in SIGNALS
    for sent, exports in EXPORTS.items()
    for number in range(len(exports))
    if door != sent
]


def reasons(signal: str, body: bytes, content_type: str = "") -> list[str]:
    """Return why a message is refused, by both decoders; no row comes from it."""
    batch = [message(body, content_type=content_type)]
    found = COMPILED[signal](batch)
    assert found == REFERENCE[signal](batch)
    assert found.rows == 0
    return [one.reason for one in found.rejected]


@pytest.mark.parametrize(("door", "sent", "number"), ELSEWHERE)
def test_an_export_of_another_signal_is_one_dead_letter_and_no_row(door: str, sent: str, number: int) -> None:
    body = EXPORTS[sent][number].SerializeToString()
    (reason,) = reasons(door, body)
    assert reason in ("wrong_wire_type", "not_otlp", "undecodable")


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(
    "body",
    [
        b'{"message": "plain app log", "level": "error"}',
        b'{"resourceLogs": [{"instrumentationLibraryLogs": [{"logs": [{"body": {"stringValue": "old"}}]}]}], "x": 1}',
        b'{"other": []}',
    ],
)
def test_json_from_which_no_record_can_come_is_not_otlp(signal: str, body: bytes) -> None:
    assert reasons(signal, body, "application/json") == ["not_otlp"]


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(
    "body",
    [
        put_together([Field(13, VARINT, 7), Field(14, LENGTH, b"text")]),
        put_together([Field(1, LENGTH, [Field(1, LENGTH, b""), Field(1000, LENGTH, b"old records")])]),
        put_together([Field(1, LENGTH, [Field(2, LENGTH, [Field(7, VARINT, 1)])])]),
    ],
    ids=["request", "resource", "scope"],
)
def test_protobuf_from_which_no_record_can_come_is_not_otlp(signal: str, body: bytes) -> None:
    assert reasons(signal, body) == ["not_otlp"]


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("body", [b"", b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x02\x0a\x00"])
def test_an_export_that_is_empty_in_every_word_is_fine(signal: str, body: bytes) -> None:
    assert reasons(signal, body) == []


@pytest.mark.parametrize("body", [b"{}", b'{"resourceLogs": []}', b'{"resourceLogs": [{"scopeLogs": [{}]}]}'])
def test_json_that_is_empty_in_every_word_is_fine(body: bytes) -> None:
    assert reasons("logs", body, "application/json") == []


def test_unknown_fields_beside_known_ones_stay_ignored() -> None:
    extra = put_together([Field(29, LENGTH, b"newer"), Field(30, FIXED64, bytes(8)), Field(31, VARINT, 5)])
    record = Field(2, LENGTH, LOG.SerializeToString() + extra)
    body = put_together([Field(1, LENGTH, [Field(2, LENGTH, [record])]), Field(12, LENGTH, b"newer")])
    for decoder in (COMPILED["logs"], REFERENCE["logs"]):
        found = decoder([message(body)])
        assert (found.rejected, [row["Body"] for row in read_block(found.body)]) == ((), ["hello"])
    document = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"severityText": "A", "newer": 1}], "x": 2}]}], "y": {}}
    assert COMPILED["logs"]([message(json.dumps(document).encode())]).rows == 1


def deep(*fields: Field) -> bytes:
    """Return an export of a good record, and of one of these fields."""
    good = Field(2, LENGTH, [Field(3, LENGTH, b"INFO")])
    return put_together([Field(1, LENGTH, [Field(2, LENGTH, [good, Field(2, LENGTH, list(fields))])])])


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ([Field(1, VARINT, 5)], "resource_logs.scope_logs.log_records.time_unix_nano"),
        ([Field(2, LENGTH, b"ERROR")], "log_records.severity_number"),
        ([Field(3, VARINT, 5)], "log_records.severity_text"),
        ([Field(9, FIXED64, bytes(8))], "log_records.trace_id"),
        ([Field(5, START, b"")], "log_records.body"),
        ([Field(6, LENGTH, [Field(2, VARINT, 1)])], "log_records.attributes.value"),
        ([Field(6, LENGTH, [Field(2, LENGTH, [Field(3, LENGTH, b"5")])])], "attributes.value.int_value"),
    ],
    ids=["time", "number", "text", "id", "group", "attribute", "value"],
)
def test_a_known_field_of_another_wire_type_refuses_the_message_and_is_named(fields: list[Field], path: str) -> None:
    body = deep(*fields)
    assert reasons("logs", body) == ["wrong_wire_type"]
    with pytest.raises(InvalidInput, match=path):
        require_own_types(ExportLogsServiceRequest.FromString(body))


def test_packed_and_unpacked_numbers_are_both_of_their_own_type() -> None:
    for counts in ([Field(6, LENGTH, bytes(16))], [Field(6, FIXED64, bytes(8)), Field(6, FIXED64, bytes(8))]):
        metric = Field(2, LENGTH, [Field(9, LENGTH, [Field(1, LENGTH, list(counts))])])
        body = put_together([Field(1, LENGTH, [Field(2, LENGTH, [metric])])])
        found = COMPILED["metrics"]([message(body)])
        assert (found.rows, found.rejected) == (1, ())


def test_unknown_fields_are_found_at_every_depth_and_left_where_they_are() -> None:
    inner = Field(6, LENGTH, [Field(2, LENGTH, [Field(5, LENGTH, [Field(1, LENGTH, [Field(29, VARINT, 1)])])])])
    request: Any = ExportLogsServiceRequest.FromString(deep(inner))
    assert has_unknown(request)
    assert request.SerializeToString() == deep(inner)
    assert not has_unknown(logs(LOG))
    require_own_types(request)


def test_a_span_without_time_and_ids_is_split_out_of_its_message() -> None:
    whole = [A_SPAN, Span(name="nothing"), Span(trace_id=TRACE, span_id=SPAN), Span(end_time_unix_nano=NOW_NS)]
    batch = [message(spans(A_SPAN)), message(spans(*whole), offset=1), message(spans(A_SPAN), offset=2)]
    found, reference = COMPILED["spans"](batch), REFERENCE["spans"](batch)
    assert (found.rows, found.rejected) == (reference.rows, reference.rejected)
    (rejected,) = found.rejected
    assert (found.rows, rejected.reason, rejected.index, rejected.first_index) == (5, "not_a_span", 1, 1)
    assert rejected.part == spans(Span(name="nothing")).SerializeToString()


@pytest.mark.parametrize(
    "ids",
    [{}, {"trace_id": TRACE}, {"span_id": SPAN}, {"trace_id": bytes(16), "span_id": SPAN}, {"trace_id": b"1" * 9}],
)
def test_spans_none_of_which_is_genuine_are_not_otlp(ids: dict[str, bytes]) -> None:
    assert reasons("spans", spans(Span(name="a", **ids), Span(name="b", **ids)).SerializeToString()) == ["not_otlp"]  # type: ignore[arg-type]


def test_the_first_record_stands_for_a_request_and_keeps_its_resource_and_scope() -> None:
    request = logs(LOG, BARE_LOG)
    assert first_of(LOGS, request) == logs(LOG)
    empty = ExportLogsServiceRequest()
    assert first_of(LOGS, empty) is empty
