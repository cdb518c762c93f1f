from __future__ import annotations

from dataclasses import replace

import pytest

from libs.kernel.errors import InvalidInput
from libs.messaging.dlq import DeadLetters, first_index, open_letter
from libs.messaging.memory import MemoryBroker
from libs.messaging.ports import Record, TopicPartition

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
