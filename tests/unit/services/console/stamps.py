"""Instants as the contract has them."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def stamp(at: datetime) -> Timestamp:
    """Return a protobuf timestamp."""
    made = Timestamp()
    made.FromDatetime(at)
    return made
