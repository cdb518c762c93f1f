"""Whether the body of an export is one: pure, so that it can run in another process."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

from libs.kernel.errors import InvalidInput
from libs.otlp import walk
from libs.otlp.foreign import require_own_types
from libs.otlp.logs import LOGS
from libs.otlp.metrics import METRICS
from libs.otlp.spans import SPANS
from services.otlp_receiver.domain import Checked, Encoding, Reason, Signal

MAX_RECORDS: Final = 100_000  # of one export; empty ones take two bytes each, and a thousand times that once decoded
MAX_JSON_OBJECTS: Final = 500_000  # also arrays; counted before anything is made of them
EXACT_BYTES: Final = 16 * 1024  # of a body of which every record is looked into; the consumer does it with all others
KINDS: Final = {Signal.LOGS: LOGS, Signal.METRICS: METRICS, Signal.TRACES: SPANS}


def check(signal: Signal, encoding: Encoding, body: bytes) -> Checked:
    """Return what there is to say about a body."""
    if encoding is Encoding.JSON and max(body.count(b"{"), body.count(b"[")) > MAX_JSON_OBJECTS:
        return _too_many(f"{MAX_JSON_OBJECTS} JSON objects")
    kind = KINDS[signal]
    try:
        request = walk.parse(kind.request, body, encoding)
        found = getattr(request, kind.resources)
        inner: Iterable[Any] = chain.from_iterable(getattr(resource, kind.scopes) for resource in found)
        if sum(_size(getattr(scope, kind.records), signal) for scope in inner) > MAX_RECORDS:
            return _too_many(f"{MAX_RECORDS} records")
        require_own_types(request if len(body) <= EXACT_BYTES else walk.first_of(kind, request))
    except InvalidInput as error:
        return Checked(reason=Reason.UNDECODABLE, problem=f"{error.reason}: {error}")
    return _meaning(kind, request, encoding, body)


def _meaning(kind: walk.Signal, request: Any, encoding: Encoding, body: bytes) -> Checked:
    try:
        walk.require_records(kind, request, body, encoding)
    except InvalidInput as error:
        problem = f"{error.reason}: {error}"
        has_records = next(kind.each(request), None) is not None
        return Checked(reason=Reason.UNDECODABLE, problem=problem) if has_records else Checked(ignored=problem)
    return Checked(empty=not getattr(request, kind.resources))


def _size(records: Any, signal: Signal) -> int:
    if signal is not Signal.METRICS:
        return len(records)
    kinds = ((metric, metric.WhichOneof("data")) for metric in records)
    return len(records) + sum(len(getattr(metric, kind).data_points) for metric, kind in kinds if kind)


def _too_many(what: str) -> Checked:
    return Checked(reason=Reason.TOO_LARGE, problem=f"the export has more than {what}; send smaller batches")
