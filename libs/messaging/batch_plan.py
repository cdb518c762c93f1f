"""What a batch is going to be, written down before it is inserted, so that a successor can rebuild exactly it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from libs.messaging.ports import Record
from libs.otlp.fingerprint import fingerprint

PREFIX: Final = "plan1"


@dataclass(frozen=True, slots=True)
class Extent:
    """A range of offsets of one partition, both ends included."""

    topic: str
    partition: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A contiguous range of one partition: its last offset, and what its rows are.

    Kept as the metadata of a commit at the range's first offset. `version` is the decoder's, `digest` the hash of
    the encoded rows.
    """

    last: int
    version: int
    rows: int
    digest: str

    def text(self) -> str:
        """Return the plan as commit metadata."""
        return f"{PREFIX}:{self.last}:{self.version}:{self.rows}:{self.digest}"

    def token(self, table: str, records: Sequence[Record]) -> str:
        """Return the deduplication token: another range, decoder or row set gives another token."""
        first = records[0]
        place = f"{first.topic}:{first.partition}:{first.offset}-{self.last}"
        return f"v{self.version}:{table}:{place}:{self.rows}:{self.digest}"


def parse_plan(metadata: str) -> Plan | None:
    """Return the plan in commit metadata, None when there is none (also when it is someone else's text)."""
    parts = metadata.split(":")
    if len(parts) != 5 or parts[0] != PREFIX:
        return None
    try:
        return Plan(int(parts[1]), int(parts[2]), int(parts[3]), parts[4])
    except ValueError:
        return None


def digest(body: bytes) -> str:
    """Return the hash of encoded rows, 16 hex digits."""
    return fingerprint(body)
