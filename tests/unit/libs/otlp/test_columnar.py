"""The compiled decoders against the reference, case by case and by mutation."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from libs.otlp import columnar
from libs.otlp.batch import MAX_ATTRIBUTES, MAX_KEY_BYTES, MAX_TEXT_BYTES
from libs.otlp.shredder import Shredder
from scripts.otlp import differential, oddities, samples
from scripts.otlp.differential import COMPILED, REFERENCE, SIGNALS, compare, mutated
from scripts.otlp.mutations import LENGTH, START, VARINT, Field, put_together, varint
from tests.unit.libs.otlp.native_reader import read_block, read_first_block
from tests.unit.libs.otlp.requests import NOW_NS, attributes, logs, message, metrics, nested, spans, value

CASES = Path(__file__).with_name("fuzz_cases.txt")


def walked(signal: str, body: bytes) -> bool:
    """Return whether the compiled walk took a message, after checking that it agrees with the reference."""
    assert compare(signal, [body])[1] == []
    return COMPILED[signal].walk(list(differential.messages([body])))[1] == []


def log_record(raw: bytes) -> bytes:
    """Return an export of one log record, given its bytes."""
    return put_together([Field(1, LENGTH, [Field(2, LENGTH, [Field(2, LENGTH, raw)])])])


def any_value(raw: bytes) -> bytes:
    """Return an export of a log record with one attribute, given the bytes of its AnyValue."""
    pair = put_together([Field(1, LENGTH, b"key"), Field(2, LENGTH, raw)])
    return log_record(put_together([Field(6, LENGTH, pair)]))


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("count", [0, 4, 20])
def test_typical_messages_give_the_bytes_of_the_reference(signal: str, count: int) -> None:
    source = random.Random(count)
    batch = [message(samples.request(signal, 50, count, source), offset=i) for i in range(5)]
    assert COMPILED[signal](batch) == REFERENCE[signal](batch)
    assert COMPILED[signal].walk(batch)[1] == []


@pytest.mark.parametrize("signal", SIGNALS)
def test_odd_messages_give_the_bytes_of_the_reference(signal: str) -> None:
    source = random.Random(7)
    for _ in range(60):
        bodies = [oddities.request(signal, source).SerializeToString() for _ in range(differential.BATCH)]
        assert compare(signal, bodies)[1] == []


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("seed", [1, 20261121])
def test_mutated_messages_are_judged_and_read_as_by_the_reference(signal: str, seed: int) -> None:
    accepted = 0
    for number in range(40):
        count, disagreed = compare(signal, mutated(signal, seed, number))
        accepted += count
        assert disagreed == []
    assert accepted > 100


def test_messages_that_were_once_judged_wrongly_are_kept_and_judged_right() -> None:
    lines = [line.split() for line in CASES.read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    for signal, body, *_ in lines:
        assert compare(signal, [bytes.fromhex(body)])[1] == [], (signal, body)


@pytest.mark.parametrize(
    ("raw", "taken"),
    [
        (b"", True),
        (b"\x18" + varint(2**64 - 1), True),
        (b"\x18" + b"\xff" * 9 + b"\x7f", False),
        (b"\x18" + b"\x80" * 10 + b"\x00", False),
        (b"\x10\x80\x80\x00", True),
        (b"\x18\x01\x10\x01", False),
        (b"\x10\x01\x0a\x00", False),
        (b"\x0a\x00\x0a\x01x", False),
        (b"\x0a\x02\xc0\x80", False),
        (b"\x0a\x03\xed\xa0\x80", False),
        (b"\x0a\x04\xf4\x90\x80\x80", False),
        (b"\x0a\x04\xf4\x8f\xbf\xbf", True),
        (b"\x0a\x05\xe2\x82\xacab", True),
        (b"\x0a\x0aasciiascii\xe2", False),
        (b"\x0a\x81\x00x", True),
        (b"\x3a\x02\xff\x00", True),
        (b"\x2a\x00", True),
        (b"\x1b\x08\x01\x1c", False),
    ],
    ids=lambda v: v.hex() if isinstance(v, bytes) else "",
)
def test_a_value_is_read_at_once_or_left_to_the_reference(raw: bytes, taken: bool) -> None:
    assert walked("logs", any_value(raw)) is taken


@pytest.mark.parametrize(
    ("raw", "taken"),
    [
        (put_together([Field(15, VARINT, 2**64 - 1), Field(200, LENGTH, b"abc"), Field(17, 5, b"1234")]), True),
        (put_together([Field(15, START, b"\x08\x01")]), False),
        (put_together([Field(2**28, VARINT, 1)]), False),
        (b"\x0b\x0c", False),
        (b"\x00\x01", False),
        (b"\x10" + varint(3, 5), True),
        (b"\x12\x80\x80\x80\x80\x80\x00", False),
        (b"\x08\x01", False),
        (b"\x09\x01", False),
        (b"\x1a\x02\xff\xff", False),
        (b"\x1a\x01a\x1a\x01b", True),
        (b"\x4a\x21" + b"\x01" * 33, True),
        (b"\x41" + b"\x01" * 8, False),
    ],
    ids=lambda v: v.hex() if isinstance(v, bytes) else "",
)
def test_a_record_with_unknown_broken_or_repeated_fields(raw: bytes, taken: bool) -> None:
    assert walked("logs", log_record(raw)) is taken


def histogram(*fields: Field) -> bytes:
    """Return an export of a histogram point of those fields."""
    metric = Field(2, LENGTH, [Field(9, LENGTH, [Field(1, LENGTH, list(fields))])])
    return put_together([Field(1, LENGTH, [Field(2, LENGTH, [metric])])])


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ([Field(6, LENGTH, b"\x01" + bytes(7) + b"\x02" + bytes(7))], True),
        ([Field(6, 1, b"\x01" + bytes(7)), Field(6, 1, b"\x02" + bytes(7))], False),
        ([Field(6, LENGTH, b"\x01" + bytes(7)), Field(6, LENGTH, b"\x02" + bytes(7))], False),
        ([Field(6, LENGTH, bytes(7))], False),
        ([Field(6, LENGTH, b"")], True),
        ([Field(5, 1, b"\x00" * 6 + b"\xf0\x3f")], True),
    ],
    ids=["packed", "unpacked", "twice", "cut", "empty", "sum"],
)
def test_repeated_numbers_packed_and_unpacked(fields: list[Field], taken: bool) -> None:
    assert walked("metrics", histogram(*fields)) is taken


def test_exponential_buckets_of_any_varint_are_read() -> None:
    for raw, taken in ((varint(1) + varint(2**64 - 1) + varint(0, 3), True), (b"\x80", False)):
        point = Field(1, LENGTH, [Field(8, LENGTH, [Field(1, VARINT, 2**64 - 5), Field(2, LENGTH, raw)])])
        metric = Field(2, LENGTH, [Field(10, LENGTH, [point])])
        assert walked("metrics", put_together([Field(1, LENGTH, [Field(2, LENGTH, [metric])])])) is taken


def test_of_a_oneof_the_last_member_counts() -> None:
    number = [Field(4, 1, b"\x00" * 6 + b"\xf0\x3f"), Field(6, 1, b"\x07" + bytes(7))]
    for points in (number, number[::-1]):
        metric = Field(2, LENGTH, [Field(5, LENGTH, [Field(1, LENGTH, list(points))])])
        assert walked("metrics", put_together([Field(1, LENGTH, [Field(2, LENGTH, [metric])])]))
    both = [Field(5, LENGTH, [Field(1, LENGTH, b"")]), Field(7, LENGTH, [Field(1, LENGTH, b"")])]
    assert not walked("metrics", put_together([Field(1, LENGTH, [Field(2, LENGTH, [Field(2, LENGTH, list(both))])])]))


def test_a_point_or_exemplar_without_a_value_is_no_number_and_not_zero() -> None:
    values: list[dict[str, Any]] = [{}, {"as_double": 0.0}, {"as_int": 0}, {"as_double": -0.0}, {"as_double": 2.5}, {}]
    values += [{"as_int": -7}, {"as_double": float("nan")}, {"as_double": float("-inf")}]
    points = [m.NumberDataPoint(time_unix_nano=NOW_NS, exemplars=[m.Exemplar(**one)], **one) for one in values]
    for data in ({"gauge": m.Gauge(data_points=points)}, {"sum": m.Sum(data_points=points, is_monotonic=True)}):
        body = metrics(m.Metric(name="n", **data)).SerializeToString()
        assert walked("metrics", body)
        rows = read_block(COMPILED["metrics"]([message(body)]).body)
        expected = ["nan", "0.0", "0.0", "-0.0", "2.5", "nan", "-7.0", "nan", "-inf"]
        assert [str(row["Value"]) for row in rows] == expected
        assert [str(row["Exemplars.Value"][0]) for row in rows] == expected


def test_a_null_in_json_is_no_value() -> None:
    points = [{"asDouble": None, "timeUnixNano": "1795766636000000000"}, {"asInt": "3"}, {"asDouble": 0}]
    document = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": points}}]}]}]}
    batch = COMPILED["metrics"]([message(json.dumps(document).encode())])
    assert [str(row["Value"]) for row in read_block(batch.body)] == ["nan", "3.0", "0.0"]


@pytest.mark.parametrize(
    "record",
    [
        LogRecord(attributes=attributes({f"k{i}": i for i in range(MAX_ATTRIBUTES + 1)})),
        LogRecord(attributes=attributes({"k" * (MAX_KEY_BYTES + 1): 1})),
        LogRecord(attributes=attributes({"k": "v" * (MAX_TEXT_BYTES + 1)})),
        LogRecord(attributes=attributes({"k": "\x01" * 20_000})),
        LogRecord(attributes=attributes({"k": ["\x01" * 20_000]})),
        LogRecord(body=nested(40)),
        LogRecord(time_unix_nano=2**63),
    ],
    ids=["many", "key", "value", "control", "escaped", "deep", "time"],
)
def test_what_is_cut_or_refused_is_left_to_the_reference_and_its_neighbours_are_not(record: LogRecord) -> None:
    batch = [message(logs(one), offset=i) for i, one in enumerate((LogRecord(), record, LogRecord()))]
    whole, reference = COMPILED["logs"](batch), REFERENCE["logs"](batch)
    assert (whole.rows, whole.truncated, whole.rejected) == (reference.rows, reference.truncated, reference.rejected)
    assert walked("logs", batch[0].value)


def rows_of(body: bytes) -> list[dict[str, Any]]:
    """Return the rows of a body of several blocks, by coordinates."""
    rows: list[dict[str, Any]] = []
    while body:
        found, body = read_first_block(body)
        rows += found
    return sorted(rows, key=lambda row: (row["IngestOffset"], row["IngestIndex"]))


def test_json_and_unusual_messages_become_a_second_block_and_lose_nothing() -> None:
    batch = [
        message(logs(LogRecord(body=value("one"))), offset=0),
        message(b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"two"}}]}]}]}', offset=1),
        message(b"\xff", offset=2),
        message(logs(LogRecord(attributes=attributes({"a": [1]}), body=value("three"))), offset=3),
        replace(message(logs(LogRecord(body=value("part"))), offset=4), first_index=5),
    ]
    decoded = COMPILED["logs"](batch)
    found = rows_of(decoded.body)
    assert found == rows_of(REFERENCE["logs"](batch).body)
    assert [(row["Body"], row["IngestIndex"]) for row in found] == [("one", 0), ("two", 0), ("three", 0), ("part", 5)]
    assert [(one.index, one.reason) for one in decoded.rejected] == [(2, "undecodable")]


def test_a_large_batch_becomes_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columnar, "BLOCK_BYTES", 5_000)
    source = random.Random(3)
    batch = [message(samples.request("spans", 10, 4, source), offset=i) for i in range(12)]
    blocks, left = COMPILED["spans"].walk(batch)
    assert (len(blocks) > 3, left) == (True, [])
    assert rows_of(COMPILED["spans"](batch).body) == rows_of(REFERENCE["spans"](batch).body)


@pytest.mark.parametrize("signal", SIGNALS)
def test_no_messages_and_no_rows_give_an_empty_block(signal: str) -> None:
    assert COMPILED[signal]([]) == REFERENCE[signal]([])
    assert COMPILED[signal]([message(b"")]) == REFERENCE[signal]([message(b"")])
    empty = [message(metrics(m.Metric(name="empty")))]
    assert COMPILED["metrics"](empty) == REFERENCE["metrics"](empty)


def test_attributes_are_sorted_by_their_bytes_and_of_equal_keys_the_last_counts() -> None:
    keys = ["b", "a", "ab", "", "é", "z", "b", "aaaaaaaab", "aaaaaaaaa", "\U0001f642", "\uffff"]
    record = LogRecord()
    for number, key in enumerate(keys):
        record.attributes.add(key=key).value.int_value = number
    (row,) = read_block(COMPILED["logs"]([message(logs(record))]).body)
    assert list(row["LogAttributes"]) == sorted(set(keys), key=lambda key: key.encode())
    assert row["LogAttributes"]["b"] == "6"
    assert walked("logs", logs(record).SerializeToString())


def test_buffers_grow_with_the_batch_and_are_given_back() -> None:
    decoder = COMPILED["spans"]
    many = spans(*(Span(attributes=attributes({f"k{i}": [i, 0.5] for i in range(30)})) for _ in range(3000)))
    batch = [message(many)]
    assert decoder(batch) == REFERENCE["spans"](batch)
    shredder: Shredder = decoder._shredder()
    assert shredder._rows.nbytes + shredder.data.nbytes < 200 * 1024 * 1024


def test_threads_do_not_share_buffers() -> None:
    batches = [[message(samples.request("logs", 40, 4, random.Random(i)), offset=i)] for i in range(8)]
    expected = [REFERENCE["logs"](batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert list(pool.map(COMPILED["logs"], batches)) == expected


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_same_messages_always_give_the_same_bytes(signal: str) -> None:
    source = random.Random(5)
    batch = [message(oddities.request(signal, source), offset=i) for i in range(40)]
    first = COMPILED[signal](batch)
    COMPILED[signal]([message(samples.request(signal, 100, 20, source))])
    assert COMPILED[signal](batch) == first


@pytest.mark.parametrize("signal", SIGNALS)
def test_warming_up_decodes_one_row_by_the_walk(signal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, seen = COMPILED[signal], list[tuple[int, bytes, list[int]]]()
    block = columnar.ColumnarDecoder._block

    def watched(self: Any, batch: Any, indexes: Any) -> tuple[int, bytes, list[int]]:
        seen.append(block(self, batch, indexes))
        return seen[-1]

    monkeypatch.setattr(columnar.ColumnarDecoder, "_block", watched)
    decoder.warm_up()
    assert [(rows, left) for rows, _, left in seen] == [(1, [])]
