"""The boundary of every decoder: messages with their coordinates in, one block and what was refused out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from libs.otlp.native import STRING, UINT32, UINT64, Column

PROTOBUF = "application/x-protobuf"
PROTOBUFS = frozenset({PROTOBUF, "application/protobuf"})
JSON = "application/json"

# What lies beyond these is cut, and counted on the row
MAX_ATTRIBUTES = 1024  # of one resource, scope, record, event or link; SDKs stop at 128 by default
MAX_NESTING = 32  # levels of lists and maps inside one attribute value
MAX_KEY_BYTES = 1024
MAX_NAME_BYTES = 4 * 1024  # of names, units, states, severities, versions and schema addresses
MAX_TEXT_BYTES = 64 * 1024  # of one attribute value, written as text; of a description, of a status message
MAX_BODY_BYTES = 1024 * 1024  # of a log record's body

# Ids of another length are no ids
TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8

# What lies beyond these is refused
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_NANOSECONDS = (1 << 63) - 1  # what DateTime64(9) can hold, the year 2262
KEPT_DAYS = 400  # the time to live of the raw tables: a row that is older when it comes is gone with the next merge
KEPT_NANOSECONDS = KEPT_DAYS * 86_400 * 1_000_000_000
OLDEST_NANOSECONDS = 946_684_800_000_000_000  # 2000: what lies before was written in seconds, milli- or microseconds
NEWEST_NANOSECONDS = 4_260_211_200_000_000_000  # 2105: from then on the end of the time to live overflows

INGEST_COLUMNS = (
    Column("TruncatedCount", UINT32),  # what was cut or repaired, see values.Cuts; the resource's included
    Column("IngestTopic", STRING),
    Column("IngestPartition", UINT32),
    Column("IngestOffset", UINT64),
    Column("IngestIndex", UINT32),
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message off the broker.

    `received_ms` is its broker timestamp, Unix milliseconds: it stands in for times the sender left out.
    `first_index` numbers its first row: not 0 where it is a part of the message that had these coordinates.
    """

    value: bytes
    tenant: str
    topic: str
    partition: int
    offset: int
    received_ms: int
    content_type: str = ""
    first_index: int = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message, or a part of one, that can not become rows.

    `part` is the refused part as an export request of its own, in protobuf; None when it is all of the message.
    `first_index` is the number its first row would have had.
    """

    index: int
    reason: str
    error: str
    part: bytes | None = None
    first_index: int = 0


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """Rows of one table as `FORMAT Native` blocks, and what was refused; `truncated` counts rows that are not whole."""

    columns: tuple[str, ...]
    body: bytes
    rows: int
    rejected: tuple[Rejected, ...]
    truncated: int = 0


Decode = Callable[[Sequence[Message]], DecodedBatch]
