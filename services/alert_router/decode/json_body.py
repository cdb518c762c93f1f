"""Reading JSON that a stranger wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

from libs.kernel.errors import InvalidInput
from services.alert_router.domain.alert import Alert

RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")
ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)  # how Go writes "not set"


@dataclass(frozen=True, slots=True)
class Rejected:
    """One alert of a batch that cannot be used: its place, why as a stable label, and in words."""

    index: int
    reason: str
    message: str


@dataclass(slots=True)
class Batch:
    """What one request brought."""

    alerts: list[Alert] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def parse(body: bytes) -> Any:
    """Return the JSON value of a body; raises InvalidInput, reason malformed_json."""
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except RecursionError as exc:
        raise InvalidInput("malformed_json", "the body is nested too deeply") from exc
    except ValueError as exc:
        raise InvalidInput("malformed_json", f"the body is not JSON: {str(exc)[:200]}") from exc


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def collect(items: Iterable[Any], read: Callable[[Mapping[str, Any]], Alert]) -> Batch:
    """Return the alerts of a list, one by one, so that a bad one does not cost the others."""
    batch = Batch()
    for index, item in enumerate(items):
        try:
            if not isinstance(item, dict):
                raise InvalidInput("not_an_object", "an alert must be a JSON object")
            batch.alerts.append(read(item))
        except InvalidInput as exc:
            batch.rejected.append(Rejected(index, exc.reason, str(exc)))
    return batch


def text(item: Mapping[str, Any], name: str) -> str:
    """Return a text member, empty when absent or null; raises InvalidInput, reason bad_field."""
    value = item.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput("bad_field", f"{name} must be a string")
    return value


def texts(item: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return a member that maps texts to texts, empty when absent or null; raises InvalidInput, reason bad_field."""
    value = item.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise InvalidInput("bad_field", f"{name} must be an object of strings")
    return value


def instant(item: Mapping[str, Any], name: str) -> datetime | None:
    """Return a time member in UTC, None when absent or Go's zero time; raises InvalidInput, reason bad_time."""
    written = text(item, name)
    if not written:
        return None
    if not RFC_3339.fullmatch(written):
        raise InvalidInput("bad_time", f"{name} is not an RFC 3339 time: {written[:64]!r}")
    try:
        value = datetime.fromisoformat(written.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidInput("bad_time", f"{name} is not a time: {written[:64]!r}") from exc
    return None if value == ZERO_TIME else value
