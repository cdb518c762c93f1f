"""Files of length-prefixed OTLP messages: each message follows its length, written as a varint."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from libs.otlp.logs import LOGS
from libs.otlp.metrics import METRICS
from libs.otlp.native import varint
from libs.otlp.spans import SPANS
from libs.otlp.walk import Signal
from scripts.otlp.samples import request

SIGNALS: Final[dict[str, Signal]] = {"logs": LOGS, "spans": SPANS, "metrics": METRICS}
PER_MESSAGE: Final = 500


def write(path: Path, messages: Iterable[bytes]) -> None:
    """Write a file of messages."""
    with path.open("wb") as file:
        for message in messages:
            file.write(varint(len(message)) + message)


def read(path: Path) -> Iterator[bytes]:
    """Yield the messages of a file; raises ValueError when it ends inside one."""
    content = path.read_bytes()
    at = 0
    while at < len(content):
        size = shift = 0
        while True:
            if at >= len(content) or shift > 28:
                raise ValueError(f"{path}: no message length at byte {at}")
            byte = content[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if size > len(content) - at:
            raise ValueError(f"{path}: {size} bytes are announced at byte {at}, {len(content) - at} are there")
        yield content[at : at + size]
        at += size


def find(folder: Path, signal: str) -> list[Path]:
    """Return a signal's files: `<signal>*.bin` and everything in `<signal>/`."""
    inside = sorted(path for path in (folder / signal).glob("*") if path.is_file())
    return sorted(folder.glob(f"{signal}*.bin")) + inside


def generate(signal: str, attributes: int, size: int, seed: int) -> Iterator[bytes]:
    """Yield typical messages of PER_MESSAGE records until they have so many bytes."""
    source = random.Random(f"{seed}/{signal}/{attributes}")
    while size > 0:
        message = request(signal, PER_MESSAGE, attributes, source)
        size -= len(message)
        yield message


def mean_attributes(signal: str, messages: Sequence[bytes]) -> int:
    """Return how many attributes a record (of metrics: a point) has on average, rounded."""
    shape = SIGNALS[signal]
    records = [
        len(owner.attributes)
        for message in messages
        for resource in getattr(shape.request.FromString(message), shape.resources)
        for scope in getattr(resource, shape.scopes)
        for record in getattr(scope, shape.records)
        for owner in _owners(record)
    ]
    return round(sum(records) / max(len(records), 1))


def _owners(record: Any) -> Sequence[Any]:
    kind = record.WhichOneof("data") if "data" in record.DESCRIPTOR.oneofs_by_name else None
    if kind is not None:
        points: Sequence[Any] = getattr(record, kind).data_points
        return points
    return [record] if hasattr(record, "attributes") else []
