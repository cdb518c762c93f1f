"""Single OTLP values as the text our columns hold, in the forms the Collector's exporter writes."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from libs.kernel.errors import InvalidInput
from libs.otlp.batch import (
    KEPT_DAYS,
    KEPT_NANOSECONDS,
    MAX_ATTRIBUTES,
    MAX_KEY_BYTES,
    MAX_NAME_BYTES,
    MAX_NANOSECONDS,
    MAX_NESTING,
    MAX_TEXT_BYTES,
    NEWEST_NANOSECONDS,
    OLDEST_NANOSECONDS,
)
from libs.otlp.native import EncodedMap, encode_map


@dataclass(slots=True)
class Cuts:
    """How many attributes, levels and ends of texts were left out so far, and how many texts were repaired."""

    count: int = 0


def text(value: Any, cuts: Cuts, limit: int = MAX_TEXT_BYTES) -> str:
    """Return an AnyValue as text: a string as it is, bytes as base64, everything else as JSON.

    What goes beyond `limit` bytes or MAX_NESTING levels is cut.
    """
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return string(value.string_value, cuts, limit)
    write = _TEXT.get(kind)
    return bounded(write(value, cuts), cuts, limit) if write else ""


def string(value: str | bytes, cuts: Cuts, limit: int = MAX_NAME_BYTES) -> str:
    """Return a string, repaired if it came as bytes (see as_bytes.py) that are not UTF-8, and bounded."""
    return bounded(repaired(value, cuts), cuts, limit)


def repaired(value: str | bytes, cuts: Cuts) -> str:
    """Return a string with U+FFFD for what is not UTF-8; counts once if there is any."""
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        cuts.count += 1
        return value.decode(errors="replace")


def bounded(whole: str, cuts: Cuts, limit: int) -> str:
    """Return a text, cut to so many bytes of UTF-8 and whole characters."""
    if 4 * len(whole) <= limit:
        return whole
    raw = whole.encode("utf-8", "replace")
    if len(raw) <= limit:
        return whole
    cuts.count += 1
    return raw[:limit].decode("utf-8", "ignore")


def number(value: float) -> str:
    """Return a float in the shortest form that reads back the same; an exponent only far from 1."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    shortest = repr(value)
    if "e" in shortest and 1e-6 <= abs(value) < 1e21:
        return format(Decimal(shortest), "f")
    return shortest.removesuffix(".0").replace("e-0", "e-").replace("e+0", "e+")


def _json(value: Any, depth: int, cuts: Cuts) -> str:
    if depth == 0:
        cuts.count += 1
    match value.WhichOneof("value") if depth else None:
        case "array_value":
            return "[" + ",".join([_json(item, depth - 1, cuts) for item in value.array_value.values]) + "]"
        case "kvlist_value":
            items = sorted({repaired(item.key, cuts): item.value for item in value.kvlist_value.values}.items())
            return "{" + ",".join([f"{_quoted(key)}:{_json(item, depth - 1, cuts)}" for key, item in items]) + "}"
        case "string_value":
            return _quoted(repaired(value.string_value, cuts))
        case "bytes_value":
            return _quoted(_base64(value))
        case kind if kind is None or (kind == "double_value" and not math.isfinite(value.double_value)):
            return "null"
        case kind:
            return _TEXT[kind](value, cuts)


def _base64(value: Any) -> str:
    return base64.b64encode(value.bytes_value).decode()


_TEXT: Final[dict[str | None, Callable[[Any, Cuts], str]]] = {
    "int_value": lambda value, _: str(value.int_value),
    "bool_value": lambda value, _: "true" if value.bool_value else "false",
    "double_value": lambda value, _: number(value.double_value),
    "bytes_value": lambda value, _: _base64(value),
    "array_value": lambda value, cuts: _json(value, MAX_NESTING, cuts),
    "kvlist_value": lambda value, cuts: _json(value, MAX_NESTING, cuts),
}


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def attributes(items: Any, cuts: Cuts) -> EncodedMap:
    """Return key-values as an encoded map sorted by key."""
    return encode_map(pairs(items, cuts))


def pairs(items: Any, cuts: Cuts) -> list[tuple[str, str]]:
    """Return the first MAX_ATTRIBUTES key-values as pairs of text."""
    cuts.count += max(len(items) - MAX_ATTRIBUTES, 0)
    return [(string(item.key, cuts, MAX_KEY_BYTES), text(item.value, cuts)) for item in items[:MAX_ATTRIBUTES]]


def identifier(raw: bytes, size: int) -> str:
    """Return a trace or span id in lower-case hex; one of another size, or of zeros, is none: the empty string."""
    return raw.hex() if len(raw) == size and raw.strip(b"\0") else ""


def nanoseconds(value: int) -> int:
    """Return Unix nanoseconds if a column can hold them; raises InvalidInput `timestamp_out_of_range`."""
    if value > MAX_NANOSECONDS:
        raise InvalidInput("timestamp_out_of_range", f"the time {value} ns lies after the year 2262")
    return value


def kept_time(value: int, received: int) -> int:
    """Return the time of a row, Unix nanoseconds as is when it was received, if the tables keep it.

    Raises InvalidInput `timestamp_out_of_range`: such a row would be deleted as soon as it is stored.
    """
    oldest = oldest_kept(received)
    if not oldest <= nanoseconds(value) <= NEWEST_NANOSECONDS:
        days = f"within {KEPT_DAYS} days before it came and the year 2105"
        raise InvalidInput("timestamp_out_of_range", f"the time {value} ns since 1970 does not lie {days}")
    return value


def oldest_kept(received: int) -> int:
    """Return the earliest time that is kept of what was received then, both Unix nanoseconds."""
    return max(received - KEPT_NANOSECONDS, OLDEST_NANOSECONDS)
