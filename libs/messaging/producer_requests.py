"""Two requests of Kafka's protocol that aiokafka does not have: DescribeProducers and WriteTxnMarkers.

Fields as in https://kafka.apache.org/protocol, both in flexible versions (KIP-482).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields
from aiokafka.structs import TopicPartition


class DescribeProducersResponse_v0(Response):  # type: ignore[misc]  # aiokafka has no types
    """Who writes to which partitions."""

    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("topics", CompactArray(
            ("name", CompactString("utf-8")),
            ("partitions", CompactArray(
                ("partition_index", Int32),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("active_producers", CompactArray(
                    ("producer_id", Int64),
                    ("producer_epoch", Int32),
                    ("last_sequence", Int32),
                    ("last_timestamp", Int64),
                    ("coordinator_epoch", Int32),
                    ("current_txn_start_offset", Int64),
                    ("tags", TaggedFields),
                )),
                ("tags", TaggedFields),
            )),
            ("tags", TaggedFields),
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class DescribeProducersRequest_v0(RequestStruct):  # type: ignore[misc]  # as above
    """The partitions asked about."""

    API_KEY = 61
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = DescribeProducersResponse_v0
    SCHEMA = Schema(
        ("topics", CompactArray(
            ("name", CompactString("utf-8")), ("partition_indexes", CompactArray(Int32)), ("tags", TaggedFields),
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class DescribeProducers(Request[DescribeProducersRequest_v0]):  # type: ignore[misc]  # as above
    """Asks a leader who writes to its partitions."""

    API_KEY = 61

    def __init__(self, places: Sequence[TopicPartition]) -> None:
        self._topics: dict[str, list[int]] = {}
        for place in places:
            self._topics.setdefault(place.topic, []).append(place.partition)

    def build(self, request_struct_class: type[DescribeProducersRequest_v0]) -> DescribeProducersRequest_v0:
        """Return the request."""
        topics: list[tuple[Any, ...]] = [(name, indexes, {}) for name, indexes in self._topics.items()]
        return request_struct_class(topics, {})


class WriteTxnMarkersResponse_v1(Response):  # type: ignore[misc]  # as above
    """What became of each marker."""

    API_KEY = 27
    API_VERSION = 1
    SCHEMA = Schema(
        ("markers", CompactArray(
            ("producer_id", Int64),
            ("topics", CompactArray(
                ("name", CompactString("utf-8")),
                ("partitions", CompactArray(
                    ("partition_index", Int32), ("error_code", Int16), ("tags", TaggedFields),
                )),
                ("tags", TaggedFields),
            )),
            ("tags", TaggedFields),
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class WriteTxnMarkersRequest_v1(RequestStruct):  # type: ignore[misc]  # as above
    """The end of a transaction, for partitions of one leader."""

    API_KEY = 27
    API_VERSION = 1
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = WriteTxnMarkersResponse_v1
    SCHEMA = Schema(
        ("markers", CompactArray(
            ("producer_id", Int64),
            ("producer_epoch", Int16),
            ("transaction_result", Boolean),
            ("topics", CompactArray(
                ("name", CompactString("utf-8")), ("partition_indexes", CompactArray(Int32)), ("tags", TaggedFields),
            )),
            ("coordinator_epoch", Int32),
            ("tags", TaggedFields),
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class EndTransaction(Request[WriteTxnMarkersRequest_v1]):  # type: ignore[misc]  # as above
    """Aborts what a producer left open on a partition, as `Admin.abortTransaction` does."""

    API_KEY = 27

    def __init__(self, place: TopicPartition, producer_id: int, producer_epoch: int, coordinator_epoch: int) -> None:
        self._place = place
        self._producer = (producer_id, producer_epoch)
        self._coordinator_epoch = coordinator_epoch

    def build(self, request_struct_class: type[WriteTxnMarkersRequest_v1]) -> WriteTxnMarkersRequest_v1:
        """Return the request."""
        topics: list[tuple[Any, ...]] = [(self._place.topic, [self._place.partition], {})]
        return request_struct_class([(*self._producer, False, topics, self._coordinator_epoch, {})], {})
