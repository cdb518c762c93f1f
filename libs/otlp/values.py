"""Single OTLP values as the text our columns hold, in the forms the Collector's exporter writes."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from libs.kernel.errors import InvalidInput
from libs.otlp.batch import MAX_ATTRIBUTES, MAX_NANOSECONDS, MAX_NESTING
from libs.otlp.native import EncodedMap, encode_map


def text(value: Any) -> str:
    """Return an AnyValue as text: a string as it is, bytes as base64, everything else as JSON.

    Raises InvalidInput `nesting_too_deep`.
    """
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return str(value.string_value)
    write = _TEXT.get(kind)
    return write(value) if write else ""


def number(value: float) -> str:
    """Return a float in the shortest form that reads back the same; an exponent only far from 1."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    shortest = repr(value)
    if "e" in shortest and 1e-6 <= abs(value) < 1e21:
        return format(Decimal(shortest), "f")
    return shortest.removesuffix(".0").replace("e-0", "e-").replace("e+0", "e+")


def _json(value: Any, depth: int) -> str:
    if depth == 0:
        raise InvalidInput("nesting_too_deep", f"an attribute value nests deeper than {MAX_NESTING} levels")
    match value.WhichOneof("value"):
        case "array_value":
            return "[" + ",".join(_json(item, depth - 1) for item in value.array_value.values) + "]"
        case "kvlist_value":
            items = sorted({item.key: item.value for item in value.kvlist_value.values}.items())
            pairs = (f"{_quoted(key)}:{_json(item, depth - 1)}" for key, item in items)
            return "{" + ",".join(pairs) + "}"
        case "string_value" | "bytes_value":
            return _quoted(text(value))
        case "double_value" if not math.isfinite(value.double_value):
            return "null"
        case _:
            return text(value) or "null"


_TEXT: Final[dict[str | None, Callable[[Any], str]]] = {
    "int_value": lambda value: str(value.int_value),
    "bool_value": lambda value: "true" if value.bool_value else "false",
    "double_value": lambda value: number(value.double_value),
    "bytes_value": lambda value: base64.b64encode(value.bytes_value).decode(),
    "array_value": lambda value: _json(value, MAX_NESTING),
    "kvlist_value": lambda value: _json(value, MAX_NESTING),
}


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def attributes(items: Any) -> EncodedMap:
    """Return key-values as an encoded map sorted by key; raises as `pairs` does."""
    return encode_map(pairs(items))


def pairs(items: Any) -> Iterable[tuple[str, str]]:
    """Return key-values as pairs of text; raises InvalidInput `too_many_attributes`, `nesting_too_deep`."""
    if len(items) > MAX_ATTRIBUTES:
        raise InvalidInput("too_many_attributes", f"{len(items)} attributes, at most {MAX_ATTRIBUTES} are taken")
    return [(item.key, text(item.value)) for item in items]


def identifier(raw: bytes) -> str:
    """Return a trace or span id in lower-case hex; all zeros mean none and give the empty string."""
    return raw.hex() if raw.strip(b"\0") else ""


def nanoseconds(value: int) -> int:
    """Return Unix nanoseconds if a column can hold them; raises InvalidInput `timestamp_out_of_range`."""
    if value > MAX_NANOSECONDS:
        raise InvalidInput("timestamp_out_of_range", f"the time {value} ns lies after the year 2262")
    return value
