"""Compares the compiled decoders with the reference: what is accepted, and the bytes of every row."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final

from libs.otlp.batch import Decode, Message
from libs.otlp.columnar import ColumnarDecoder
from libs.otlp.columnar_logs import decode_logs
from libs.otlp.columnar_metrics import decode_metrics
from libs.otlp.columnar_spans import decode_spans
from libs.otlp.logs import LOGS
from libs.otlp.metrics import METRICS
from libs.otlp.reference import decode_logs as reference_logs
from libs.otlp.reference import decode_metrics as reference_metrics
from libs.otlp.reference import decode_spans as reference_spans
from libs.otlp.spans import SPANS
from scripts.otlp import oddities
from scripts.otlp.mutations import mutate

SIGNALS: Final = ("logs", "spans", "metrics")
COMPILED: Final[dict[str, ColumnarDecoder]] = {"logs": decode_logs, "spans": decode_spans, "metrics": decode_metrics}
REFERENCE: Final[dict[str, Decode]] = {"logs": reference_logs, "spans": reference_spans, "metrics": reference_metrics}
REQUESTS: Final = {"logs": LOGS.request, "spans": SPANS.request, "metrics": METRICS.request}
BATCH: Final = 16  # messages decoded together, so that what one leaves behind would show in the next


def mutated(signal: str, seed: int, number: int) -> list[bytes]:
    """Return a batch of messages, most of them damaged."""
    source = random.Random(f"{seed}/{signal}/{number}")
    return [_one(signal, source) for _ in range(BATCH)]


def _one(signal: str, source: random.Random) -> bytes:
    sent = source.choice(SIGNALS) if source.random() < 0.1 else signal  # at the wrong door, now and then
    body: bytes = oddities.request(sent, source).SerializeToString()
    return body if source.random() < 0.1 else mutate(body, REQUESTS[signal], source)


def compare(signal: str, bodies: Sequence[bytes]) -> tuple[int, list[bytes]]:
    """Return how many messages are accepted, and those the two decoders disagree on (all, if only together)."""
    accepted, agreed = _agree(signal, bodies)
    if agreed:
        return accepted, []
    alone = [body for body in bodies if not _agree(signal, [body])[1]]
    return accepted, alone or list(bodies)


def _agree(signal: str, bodies: Sequence[bytes]) -> tuple[int, bool]:
    batch = list(messages(bodies))
    blocks, left = COMPILED[signal].walk(batch)
    taken = REFERENCE[signal]([one for index, one in enumerate(batch) if index not in set(left)])
    rest = REFERENCE[signal]([batch[index] for index in left])
    accepted = len(batch) - sum(1 for one in rest.rejected if one.part is None)
    whole = b"".join(body for _, body in blocks)
    rows = sum(count for count, _ in blocks)
    return accepted, not taken.rejected and rows == taken.rows and (whole == taken.body or not rows)


def messages(bodies: Sequence[bytes]) -> Iterator[Message]:
    """Yield messages as they come off one partition."""
    for offset, body in enumerate(bodies):
        yield Message(body, "acme", "otel.test", 3, offset, 1_795_243_441_000, "application/x-protobuf")
