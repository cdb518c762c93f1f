"""What the client cannot unpack is stepped over, message by message, and nothing readable with it."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaError

from libs.messaging.ports import TopicPartition
from libs.messaging.unreadable import Stepping


class Failed:
    """An error in a message's place."""

    def __init__(self, offset: int, partition: int = 0) -> None:
        self._offset, self._partition = offset, partition

    def topic(self) -> str:
        """Return the topic."""
        return "t"

    def partition(self) -> int:
        """Return the partition."""
        return self._partition

    def offset(self) -> int:
        """Return the first offset of the batch."""
        return self._offset

    def error(self) -> KafkaError:
        """Return the error."""
        return KafkaError(KafkaError._BAD_COMPRESSION, "it bursts")


class Client:
    """Keeps where it was sent to."""

    def __init__(self) -> None:
        self.sought: list[tuple[int, int]] = []

    def seek(self, place: object) -> None:
        """Keep partition and offset."""
        self.sought.append((place.partition, place.offset))  # type: ignore[attr-defined]


def stepped(stepping: Stepping, client: Client, errors: Iterable[Failed]) -> list[tuple[int, int]]:
    records = list(stepping.over(client, errors))
    assert all(r.unreadable == "it bursts" for r in records)
    return [(r.partition, r.offset) for r in records]


def test_a_batch_is_stepped_over_one_message_after_the_other_though_its_start_alone_is_told() -> None:
    stepping, client = Stepping(), Client()
    assert [stepped(stepping, client, [Failed(5)]) for _ in range(3)] == [[(0, 5)], [(0, 6)], [(0, 7)]]
    assert client.sought == [(0, 6), (0, 7), (0, 8)]
    assert stepped(stepping, client, [Failed(50)]) == [(0, 50)]


def test_an_error_told_again_before_the_step_steps_no_further() -> None:
    stepping, client = Stepping(), Client()
    assert stepped(stepping, client, [Failed(5), Failed(5), Failed(9, partition=1)]) == [(0, 5), (1, 9)]


def test_a_partition_read_from_elsewhere_is_stepped_over_from_there() -> None:
    stepping, client = Stepping(), Client()
    stepped(stepping, client, [Failed(5)])
    stepping.forget([TopicPartition("t", 0)])
    assert stepped(stepping, client, [Failed(5)]) == [(0, 5)]
