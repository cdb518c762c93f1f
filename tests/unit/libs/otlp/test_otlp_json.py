from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from libs.kernel.errors import InvalidInput
from libs.otlp.otlp_json import parse_json
from libs.otlp.reference import decode_spans
from libs.otlp.walk import is_json
from scripts.otlp.mutations import LENGTH, Field, put_together
from tests.unit.libs.otlp.native_reader import read_block
from tests.unit.libs.otlp.requests import NOW_NS, SPAN, TRACE, message


def spans_json(**span: Any) -> bytes:
    """Return an export of one span in OTLP/JSON."""
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]},
                "scopeSpans": [{"scope": {"name": "lib"}, "spans": [span]}],
            }
        ]
    }
    return json.dumps(document).encode()


def parsed(**span: Any) -> Any:
    """Return that span as protobuf."""
    request = parse_json(ExportTraceServiceRequest, spans_json(**span))
    return request.resource_spans[0].scope_spans[0].spans[0]


def test_ids_are_hex_in_either_case_and_not_base64() -> None:
    span = parsed(traceId=TRACE.hex().upper(), spanId=SPAN.hex(), parentSpanId="")
    assert (span.trace_id, span.span_id, span.parent_span_id) == (TRACE, SPAN, b"")


@pytest.mark.parametrize("time", ["1544712660000000001", 1544712660000000001])
def test_integers_of_64_bits_are_strings_or_numbers(time: Any) -> None:
    assert parsed(startTimeUnixNano=time).start_time_unix_nano == 1544712660000000001


def test_enums_are_numbers_or_names() -> None:
    assert parsed(kind=2, status={"code": 2}).kind == 2
    span = parsed(kind="SPAN_KIND_SERVER", status={"code": "STATUS_CODE_ERROR"})
    assert (span.kind, span.status.code) == (2, 2)
    log = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"severityNumber": "SEVERITY_NUMBER_WARN"}]}]}]}
    read = parse_json(ExportLogsServiceRequest, json.dumps(log).encode())
    assert read.resource_logs[0].scope_logs[0].log_records[0].severity_number == 13


@pytest.mark.parametrize("raw", [b"", b"\xfb", b"\xff\xef", b"\xfb\xff\xfe", bytes(range(256))])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
def test_bytes_are_base64_of_either_alphabet_with_or_without_padding(raw: bytes, encode: Any, padded: bool) -> None:
    text = encode(raw).decode()
    span = parsed(attributes=[{"key": "k", "value": {"bytesValue": text if padded else text.rstrip("=")}}])
    assert span.attributes[0].value.bytes_value == raw


def test_null_in_an_array_is_an_empty_element() -> None:
    values = {"arrayValue": {"values": [None, {"stringValue": "a"}, None]}}
    span = parsed(attributes=[{"key": "k", "value": values}, None], events=[None, {"name": "e"}], links=None)
    assert [v.WhichOneof("value") for v in span.attributes[0].value.array_value.values] == [None, "string_value", None]
    assert ([a.key for a in span.attributes], [e.name for e in span.events]) == (["k", ""], ["", "e"])
    (row,) = read_block(decode_spans([message(spans_json(startTimeUnixNano=str(NOW_NS), attributes=[
        {"key": "k", "value": values}]))]).body)  # fmt: skip
    assert row["SpanAttributes"] == {"k": '[null,"a",null]'}


def test_null_among_numbers_is_none_counted_or_no_number() -> None:
    point = {"bucketCounts": [None, "2"], "explicitBounds": [None, 0.5]}
    document = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"histogram": {"dataPoints": [point]}}]}]}]}
    request = parse_json(ExportMetricsServiceRequest, json.dumps(document).encode())
    read = request.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points[0]
    assert (list(read.bucket_counts), str(list(read.explicit_bounds))) == ([0, 2], "[nan, 0.5]")


JSON_TEXT = b'{ "resourceSpans": [] }'


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", "text/plain"])
@pytest.mark.parametrize(
    "value",
    [
        JSON_TEXT, b"\n" + JSON_TEXT, b" \r\n\t" + JSON_TEXT, b"\xef\xbb\xbf" + JSON_TEXT, b"\xef\xbb\xbf\n{}",
        JSON_TEXT.decode().encode("utf-16"), b'\n{\n"a":"\xff"}', b"{",
    ],
)  # fmt: skip
def test_json_is_known_by_what_it_is(value: bytes, content_type: str) -> None:
    assert is_json(value, content_type)
    assert not is_json(value, "application/x-protobuf")
    assert not is_json(value, "application/protobuf")


@pytest.mark.parametrize("content_type", ["", "application/octet-stream"])
@pytest.mark.parametrize("resource", [0, 32, 34, 36, 119])
def test_protobuf_that_begins_like_json_is_protobuf(resource: int, content_type: str) -> None:
    # A newline is the tag of the first field, `{` its length of 123, a quote or a brace what the resource may measure
    url = Field(1, LENGTH, b"r" * max(resource - 2, 0))
    inside = put_together([Field(1, LENGTH, [Field(3, LENGTH, [url])] if resource else [])])
    rest = 123 - len(inside)
    body = put_together(
        [Field(1, LENGTH, inside + (put_together([Field(3, LENGTH, b"u" * (rest - 2))]) if rest else b""))]
    )
    assert body[:2] == b"\n{"
    assert not is_json(body, content_type)
    assert not is_json(b"\n" + JSON_TEXT[:-1], content_type)
    assert not is_json(b"\xff\xfe garbage", content_type)
    assert is_json(body, "application/json")


@pytest.mark.parametrize("prefix", [b"", b"\n", b" ", b"\xef\xbb\xbf"])
def test_json_is_read_whatever_it_begins_with(prefix: bytes) -> None:
    body = prefix + spans_json(name="n", startTimeUnixNano=str(NOW_NS))
    for content_type in ("", "application/octet-stream", "application/json"):
        batch = decode_spans([message(body, content_type=content_type)])
        assert (batch.rows, batch.rejected) == (1, ())


def test_unknown_fields_and_nulls_are_ignored() -> None:
    assert parsed(name="n", newField={"x": [1]}, attributes=None).name == "n"


def test_values_of_every_kind_are_read() -> None:
    values = [
        {"stringValue": "s"}, {"boolValue": True}, {"intValue": "-5"}, {"doubleValue": 1.5}, {"doubleValue": "NaN"},
        {"bytesValue": base64.b64encode(b"\x00").decode()}, {"arrayValue": {"values": [{"intValue": 1}]}},
        {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}, {},
    ]  # fmt: skip
    span = parsed(attributes=[{"key": str(i), "value": v} for i, v in enumerate(values)])
    kinds = [a.value.WhichOneof("value") for a in span.attributes]
    assert kinds == [
        "string_value", "bool_value", "int_value", "double_value", "double_value", "bytes_value", "array_value",
        "kvlist_value", None,
    ]  # fmt: skip
    assert span.attributes[2].value.int_value == -5
    assert span.attributes[5].value.bytes_value == b"\x00"


def test_repeated_numbers_are_read() -> None:
    point = {"count": "3", "bucketCounts": ["1", 2], "explicitBounds": [0.5]}
    document = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"histogram": {"dataPoints": [point]}}]}]}]}
    request = parse_json(ExportMetricsServiceRequest, json.dumps(document).encode())
    read = request.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points[0]
    assert (read.count, list(read.bucket_counts), list(read.explicit_bounds)) == (3, [1, 2], [0.5])


@pytest.mark.parametrize(
    ("span", "path"),
    [
        ({"traceId": "xyz"}, "spans[0].traceId: not hexadecimal"),
        ({"traceId": 5}, "spans[0].traceId: a string is expected, not a number"),
        ({"kind": "SERVER"}, "spans[0].kind: SpanKind has no value 'SERVER'"),
        ({"kind": True}, "spans[0].kind: an enum is written as its number or name, not as a boolean"),
        ({"startTimeUnixNano": "soon"}, "spans[0].startTimeUnixNano: an integer is expected"),
        ({"startTimeUnixNano": "-1"}, "spans[0].startTimeUnixNano"),
        ({"startTimeUnixNano": "99999999999999999999"}, "spans[0].startTimeUnixNano"),
        ({"startTimeUnixNano": 1.5}, "spans[0].startTimeUnixNano"),
        ({"startTimeUnixNano": True}, "spans[0].startTimeUnixNano"),
        ({"attributes": {}}, "spans[0].attributes: an array is expected, not an object"),
        ({"attributes": [1]}, "spans[0].attributes[0]: an object is expected"),
        ({"attributes": [{"key": "k", "value": {"boolValue": "yes"}}]}, "attributes[0].value.boolValue"),
        ({"attributes": [{"key": "k", "value": {"bytesValue": "*"}}]}, "attributes[0].value.bytesValue: not base64"),
        ({"attributes": [{"key": "k", "value": {"doubleValue": "x"}}]}, "attributes[0].value.doubleValue"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_by_its_path(span: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parsed(**span)
    assert refused.value.reason == "invalid_json"
    assert path in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"not json", b'{"a": NaN}', b"\xff\xfe{", b"[" * 100_000, b'{"resourceLogs": ' + b"9" * 5000 + b"}"],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_json(ExportLogsServiceRequest, body)
    assert refused.value.reason == "malformed_json"


def test_a_document_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the document: an object is expected, not an array"):
        parse_json(ExportLogsServiceRequest, b"[]")


def test_messages_within_messages_are_bounded() -> None:
    inner: dict[str, Any] = {"stringValue": "x"}
    for _ in range(60):
        inner = {"arrayValue": {"values": [inner]}}
    with pytest.raises(InvalidInput, match="nested deeper"):
        parsed(attributes=[{"key": "k", "value": inner}])


@pytest.mark.parametrize("content_type", ["", "application/json"])
def test_json_and_protobuf_give_the_same_rows(content_type: str) -> None:
    body = spans_json(traceId=TRACE.hex(), spanId=SPAN.hex(), name="n", kind=2, startTimeUnixNano=str(NOW_NS))
    protobuf = parse_json(ExportTraceServiceRequest, body)
    assert decode_spans([message(body, content_type=content_type)]).body == decode_spans([message(protobuf)]).body
    assert len(read_block(decode_spans([message(body)]).body)) == 1
