from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest

from libs.kernel.errors import InvalidInput
from libs.messaging.dlq import STRIPPED, DeadLetters, Rejection, first_index, open_letter
from libs.messaging.memory import MemoryBroker
from libs.messaging.ports import DeliveryFailed, MessageTooLarge, OutgoingRecord, Record, TopicPartition

RECORD = Record("otel.logs", 4, 77, b"key", b"\xff", (("x-tenant-id", b"acme"), ("h", b"1")), 1_700_000_000_123)


def letter_of(record: Record) -> Record:
    """Return what is in the dead-letter topic for a record."""
    broker = MemoryBroker({"otel.logs.dlq": 1})
    DeadLetters(broker.producer()).send(record, "undecodable", "it is bad")
    return broker.read(TopicPartition("otel.logs.dlq", 0), 0, 10)[0]


def test_a_letter_opens_to_the_record_it_was() -> None:
    letter = open_letter(letter_of(RECORD))
    assert (letter.record, letter.reason, first_index(letter.record)) == (RECORD, "undecodable", 0)


def test_a_part_of_a_message_keeps_the_number_of_its_first_row() -> None:
    part = replace(RECORD, headers=(*RECORD.headers, ("dlq_index", b"12")))
    assert first_index(open_letter(letter_of(part)).record) == 12


@pytest.mark.parametrize("broken", ["dlq_topic", "dlq_partition", "dlq_offset"])
@pytest.mark.parametrize("value", [None, b"x y"])
def test_a_message_that_does_not_say_where_it_comes_from_is_no_letter(broken: str, value: bytes | None) -> None:
    if broken == "dlq_topic" and value:
        return
    letter = letter_of(RECORD)
    headers = tuple(h for h in letter.headers if h[0] != broken) + (((broken, value),) if value else ())
    with pytest.raises(InvalidInput) as refused:
        open_letter(replace(letter, headers=headers))
    assert refused.value.reason == "no_coordinates"


def letters_in(room: int, *records: Record) -> list[Record]:
    """Return what is in a dead-letter topic that takes messages of that many bytes."""
    broker = MemoryBroker({"otel.logs.dlq": 1}, room)
    DeadLetters(broker.producer()).send_all([Rejection(record, "undecodable", "it is bad") for record in records])
    return broker.read(TopicPartition("otel.logs.dlq", 0), 0, 10)


def test_a_letter_its_topic_does_not_take_goes_without_its_body_and_says_what_is_missing() -> None:
    body = b"\xff" * 5000
    before = STRIPPED.labels("otel.logs.dlq")._value.get()
    small, large = letters_in(2000, replace(RECORD, value=body), RECORD)
    assert (small.value, large.value, small.key) == (RECORD.value, b"", b"key")  # what fits has gone first, whole
    opened = open_letter(large)
    assert (opened.reason, opened.record.offset, opened.record.headers) == ("undecodable", 77, RECORD.headers)
    assert (large.header("dlq_body_bytes"), large.header("dlq_body_sha256")) == ("5000", sha256(body).hexdigest())
    assert "without its body" in opened.omitted
    assert "partition 4, offset 77" in opened.omitted
    assert open_letter(small).omitted == ""
    assert STRIPPED.labels("otel.logs.dlq")._value.get() == before + 1


def test_large_keys_and_headers_are_left_out_too() -> None:
    padded = replace(RECORD, key=b"k" * 40_000, value=b"v" * 100_000, headers=(("h", b"h" * 40_000),))
    (letter,) = letters_in(70_000, padded)
    assert (letter.key, letter.value, letter.header("h")) == (None, b"", None)
    assert "its body, key and headers" in open_letter(letter).omitted


class Batching:
    """A producer whose topic refuses whole batches for one record in them, as a broker does."""

    def __init__(self) -> None:
        self.written: list[OutgoingRecord] = []

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        if sum(len(r.value) for r in records) > 1000:
            raise MessageTooLarge("too large", range(len(records)))
        self.written += records

    def close(self) -> None:
        """Do nothing."""


def test_letters_refused_for_the_batch_they_are_in_keep_their_bodies() -> None:
    producer = Batching()
    rejections = [Rejection(replace(RECORD, value=b"x" * size), "undecodable", "bad") for size in (600, 2000, 700)]
    DeadLetters(producer).send_all(rejections)
    assert [len(r.value) for r in producer.written] == [600, 0, 700]


def test_a_broker_that_is_away_stops_the_reader_also_while_bodies_are_left_out() -> None:
    class Leaving(Batching):
        def send(self, records: Sequence[OutgoingRecord]) -> None:
            if len(records) == 1:
                raise DeliveryFailed("gone")
            super().send(records)

    rejections = [Rejection(replace(RECORD, value=b"x" * 2000), "undecodable", "bad")] * 2
    with pytest.raises(DeliveryFailed):
        DeadLetters(Leaving()).send_all(rejections)


def test_a_topic_that_takes_not_even_a_letter_without_its_body_stops_the_reader_with_advice() -> None:
    with pytest.raises(DeliveryFailed, match=r"otel\.logs\.dlq .* raise its max\.message\.bytes"):
        letters_in(100, RECORD)
