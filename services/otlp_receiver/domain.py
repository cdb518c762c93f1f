"""What can be wrong with an export, and how each protocol says so."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Signal(StrEnum):
    """The three signals; the value is the last part of the HTTP path."""

    LOGS = "logs"
    METRICS = "metrics"
    TRACES = "traces"


class Encoding(StrEnum):
    """How an export is written; the value is its media type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


BEACON: Final = "text/plain"  # all that a page may send of itself as it closes, by `navigator.sendBeacon`


class Outcome(StrEnum):
    """How an export ended; a metric label."""

    ACCEPTED = "accepted"
    EMPTY = "empty"


class Reason(StrEnum):
    """Why an export was not taken; a metric label."""

    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    TOO_OFTEN = "too_often"
    MEDIA_TYPE = "unsupported_media_type"
    CONTENT_ENCODING = "unsupported_content_encoding"
    ORIGIN = "origin_not_allowed"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    UNDECODABLE = "undecodable"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a body: nothing at all, or why it is refused. Crosses processes, which exceptions do badly."""

    empty: bool = False
    reason: Reason | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """One refusal in both protocols: the HTTP status and the gRPC code (google.rpc.Code)."""

    http: int
    grpc: int


STATUSES: Final = {
    Reason.UNAUTHENTICATED: Status(401, 16),
    Reason.FORBIDDEN: Status(403, 7),
    Reason.TOO_OFTEN: Status(429, 8),
    Reason.MEDIA_TYPE: Status(415, 3),
    Reason.CONTENT_ENCODING: Status(415, 3),
    Reason.ORIGIN: Status(403, 7),
    Reason.TOO_LARGE: Status(413, 8),
    Reason.TOO_SLOW: Status(408, 4),
    Reason.UNDECODABLE: Status(400, 3),
    Reason.UNAVAILABLE: Status(503, 14),
}


class ExportRefused(Exception):
    """The export is not taken; the text is for the sender."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def status(self) -> Status:
        """Return how to say so."""
        return STATUSES[self.reason]


def media_type(content_type: str) -> Encoding:
    """Return the encoding a Content-Type names, parameters aside; raises ExportRefused. A beacon's text is JSON."""
    name = bare(content_type)
    if name == BEACON:
        return Encoding.JSON
    try:
        return Encoding(name)
    except ValueError:
        raise not_otlp(name) from None


def bare(content_type: str) -> str:
    """Return a Content-Type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def not_otlp(name: str) -> ExportRefused:
    """Return the refusal of a media type."""
    return ExportRefused(Reason.MEDIA_TYPE, f"Content-Type {name[:100]!r} is not OTLP; send {' or '.join(Encoding)}")
