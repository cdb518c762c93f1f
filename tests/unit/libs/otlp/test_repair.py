"""Strings that are not Unicode or have no end: repaired or cut in place and counted; everything else is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from libs.otlp.as_bytes import was_string, with_bytes
from libs.otlp.batch import MAX_NAME_BYTES, MAX_TEXT_BYTES, DecodedBatch, Message
from libs.otlp.otlp_json import parse_json
from scripts.otlp.differential import COMPILED, REFERENCE, REQUESTS, SIGNALS, compare
from tests.unit.libs.otlp.native_reader import read_block
from tests.unit.libs.otlp.requests import NOW_NS, SPAN, TRACE, logs, message, metrics, spans

MARK = "broken"  # stands where a string is broken afterwards, byte for byte
BROKEN = b"brok\xff\xfe"
REPAIRED = "brok\ufffd\ufffd"

KEPT_STRINGS: dict[str, dict[str, Any]] = {
    "logs": {
        "SeverityText": LogRecord(severity_text=MARK), "EventName": LogRecord(event_name=MARK),
        "Body": LogRecord(body=AnyValue(string_value=MARK)),
        "LogAttributes": LogRecord(attributes=[KeyValue(key=MARK, value=AnyValue(string_value=MARK))]),
    },
    "spans": {
        "SpanName": Span(name=MARK), "TraceState": Span(trace_state=MARK),
        "StatusMessage": Span(status=Status(message=MARK)), "Events.Name": Span(events=[Span.Event(name=MARK)]),
        "Links.TraceState": Span(links=[Span.Link(trace_id=TRACE, span_id=SPAN, trace_state=MARK)]),
        "SpanAttributes": Span(attributes=[KeyValue(key="k", value=AnyValue(string_value=MARK))]),
    },
    "metrics": {
        "MetricName": m.Metric(name=MARK), "MetricUnit": m.Metric(unit=MARK),
        "MetricDescription": m.Metric(description=MARK),
    },
}  # fmt: skip
CASES = [(signal, column) for signal, records in KEPT_STRINGS.items() for column in records]


def request(signal: str, *records: Any) -> Any:
    """Return an export of records, each with a time and metrics with a point."""
    for record in records:
        if signal == "metrics":
            record.gauge.data_points.add(time_unix_nano=NOW_NS, as_double=1)
        elif signal == "spans":
            record.start_time_unix_nano, record.trace_id, record.span_id = NOW_NS, TRACE, SPAN
        else:
            record.time_unix_nano = NOW_NS
    return {"logs": logs, "spans": spans, "metrics": metrics}[signal](*records)


def fresh(signal: str, column: str = "") -> Any:
    kind = {"logs": LogRecord, "spans": Span, "metrics": m.Metric}[signal]
    made = kind()
    if column:
        made.CopyFrom(KEPT_STRINGS[signal][column])
    return made


def both(signal: str, one: Message) -> DecodedBatch:
    """Return what both decoders make of a message, after checking that they agree."""
    found = COMPILED[signal]([one])
    assert found == REFERENCE[signal]([one])
    return found


def has_text(value: Any, text: str) -> bool:
    """Tell whether a column's value is or holds exactly that text."""
    if isinstance(value, dict):
        return text in value or text in value.values()
    return bool(text in value if isinstance(value, list) else text == value)


@pytest.mark.parametrize(("signal", "column"), CASES)
def test_a_string_that_is_not_utf8_is_repaired_in_place_and_the_batch_is_kept(signal: str, column: str) -> None:
    whole = request(signal, fresh(signal), fresh(signal, column), fresh(signal)).SerializeToString()
    batch = both(signal, message(whole.replace(MARK.encode(), BROKEN)))
    assert (batch.rows, batch.rejected, batch.truncated) == (3, (), 1)
    before, repaired, after = read_block(batch.body)
    assert has_text(repaired[column], REPAIRED)
    assert [row["TruncatedCount"] > 0 for row in (before, repaired, after)] == [False, True, False]
    assert [row["IngestIndex"] for row in (before, repaired, after)] == [0, 1, 2]


def as_json(export: Any, replacement: str) -> bytes:
    """Return an export in OTLP/JSON, its mark replaced within the written document; ids are left out."""
    document = json.dumps(MessageToDict(export, use_integers_for_enums=True))
    for known in (TRACE, SPAN):
        document = document.replace(json.loads(json.dumps(MessageToDict(Span(trace_id=known))["traceId"])), known.hex())
    return document.replace(MARK, replacement).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(("signal", "column"), CASES)
@pytest.mark.parametrize(
    ("written", "read"),
    [("cut \\ud83d", "cut \ufffd"), ("\\uDE00\\uDE00 x", "\ufffd\ufffd x"), ("raw \udcff\udcfe", "raw \ufffd\ufffd")],
    ids=["high", "low", "bytes"],
)
def test_json_with_half_a_pair_or_bytes_that_are_not_utf8_is_repaired_too(
    signal: str, column: str, written: str, read: str
) -> None:
    export = request(signal, fresh(signal), fresh(signal, column))
    batch = both(signal, message(as_json(export, written), content_type="application/json"))
    assert (batch.rows, batch.rejected, batch.truncated) == (2, (), 1)
    good, repaired = read_block(batch.body)
    assert has_text(repaired[column], read)
    assert (good["TruncatedCount"], repaired["TruncatedCount"] > 0) == (0, True)


def test_whole_pairs_and_other_encodings_of_json_are_left_alone() -> None:
    document = as_json(request("logs", fresh("logs", "Body")), "\\ud83d\\ude42 \\\\ud83d é").decode()
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32-le"):
        batch = both("logs", message(document.encode(encoding), content_type="application/json"))
        (row,) = read_block(batch.body)
        assert (row["Body"], row["TruncatedCount"]) == ("\U0001f642 \\ud83d é", 0), encoding


def test_what_breaks_in_a_resource_or_a_scope_counts_on_each_of_its_rows() -> None:
    export = request("logs", fresh("logs"), fresh("logs"))
    resource = export.resource_logs[0]
    resource.schema_url = resource.scope_logs[0].scope.name = resource.scope_logs[0].schema_url = MARK
    resource.resource.attributes.add(key="service.name").value.string_value = MARK
    batch = both("logs", message(export.SerializeToString().replace(MARK.encode(), BROKEN)))
    for row in read_block(batch.body):
        columns = ("ResourceSchemaUrl", "ScopeSchemaUrl", "ScopeName", "ServiceName")
        assert [row[column] for column in columns] == [REPAIRED] * 4
        assert row["TruncatedCount"] == 4


def test_strings_inside_of_lists_and_maps_are_repaired() -> None:
    inner = KeyValueList(values=[KeyValue(key=MARK, value=AnyValue(string_value=MARK))])
    deep = ArrayValue(values=[AnyValue(kvlist_value=inner), AnyValue(string_value=MARK)])
    record = LogRecord(time_unix_nano=NOW_NS, body=AnyValue(array_value=deep))
    batch = both("logs", message(logs(record).SerializeToString().replace(MARK.encode(), BROKEN)))
    (row,) = read_block(batch.body)
    assert json.loads(row["Body"]) == [{REPAIRED: REPAIRED}, REPAIRED]
    assert row["TruncatedCount"] == 3


def test_a_string_nobody_keeps_may_be_broken_as_well() -> None:
    export = request("logs", fresh("logs"))
    export.resource_logs[0].resource.entity_refs.add(type=MARK)
    assert both("logs", message(export.SerializeToString().replace(MARK.encode(), BROKEN))).rows == 1


def test_what_is_refused_beside_a_broken_string_is_kept_byte_for_byte() -> None:
    poison = LogRecord(time_unix_nano=2**63, severity_text=MARK)
    raw = logs(LogRecord(time_unix_nano=NOW_NS), poison).SerializeToString().replace(MARK.encode(), BROKEN)
    (rejected,) = both("logs", message(raw)).rejected
    assert rejected.part == logs(poison).SerializeToString().replace(MARK.encode(), BROKEN)


@pytest.mark.parametrize(("signal", "column"), CASES)
def test_every_string_has_a_bound_and_what_is_cut_is_counted(signal: str, column: str) -> None:
    record = fresh(signal, column)
    _stretch(record, "é" * 600_000)
    whole = request(signal, fresh(signal), record)
    batch = both(signal, message(whole.SerializeToString()))
    good, cut = read_block(batch.body)
    assert (good["TruncatedCount"], cut["TruncatedCount"] > 0, batch.truncated) == (0, True, 1)
    assert len(str(cut[column]).encode()) < 1_100_000
    if column not in ("Body", "LogAttributes", "SpanAttributes"):
        text = cut[column][0] if isinstance(cut[column], list) else cut[column]
        wide = column in ("StatusMessage", "MetricDescription")
        assert len(text.encode()) == (MAX_TEXT_BYTES if wide else MAX_NAME_BYTES)


def _stretch(record: Any, text: str) -> None:
    """Put a text wherever the mark is."""
    for field, value in record.ListFields():
        if field.message_type is not None:
            for inside in value if field.is_repeated else [value]:
                _stretch(inside, text)
        elif value == MARK:
            setattr(record, field.name, text)


@pytest.mark.parametrize("signal", SIGNALS)
def test_texts_at_their_bound_are_read_by_the_walk_and_longer_ones_as_by_the_reference(signal: str) -> None:
    for column in KEPT_STRINGS[signal]:
        for size in (MAX_NAME_BYTES, MAX_NAME_BYTES + 1, MAX_TEXT_BYTES, MAX_TEXT_BYTES + 1):
            record = fresh(signal, column)
            _stretch(record, "x" * size)
            body = request(signal, record).SerializeToString()
            assert compare(signal, [body])[1] == []
            if size == MAX_NAME_BYTES and column != "LogAttributes":
                assert COMPILED[signal].walk([message(body)])[1] == []


@pytest.mark.parametrize("signal", SIGNALS)
def test_messages_with_bytes_for_strings_differ_in_nothing_else(signal: str) -> None:
    proper, other = REQUESTS[signal], with_bytes(REQUESTS[signal])
    seen: set[str] = set()

    def same(a: Any, b: Any) -> None:
        if a.full_name in seen:
            return
        seen.add(a.full_name)
        for one, two in zip(a.fields, b.fields, strict=True):
            assert (one.number, one.name, one.is_repeated) == (two.number, two.name, two.is_repeated)
            assert was_string(two) is (one.type == FieldDescriptor.TYPE_STRING)
            expected = FieldDescriptor.TYPE_BYTES if was_string(one) else one.type
            assert two.type == expected
            if one.message_type is not None:
                same(one.message_type, two.message_type)

    same(proper.DESCRIPTOR, other.DESCRIPTOR)
    assert len(seen) > 8


def test_json_without_a_broken_string_becomes_the_messages_proper() -> None:
    body = as_json(request("logs", fresh("logs", "Body")), "fine")
    kind = REQUESTS["logs"]
    assert type(parse_json(kind, body)) is kind
