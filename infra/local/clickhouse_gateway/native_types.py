"""ClickHouse type names as trees: how wide a value is on the wire, and what is inside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from infra.local.clickhouse_gateway.errors import EngineError

MAX_DEPTH = 64
_UNKNOWN_TYPE = 50

_WIDTHS = {
    "UInt8": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8, "UInt128": 16, "UInt256": 32,
    "Int8": 1, "Int16": 2, "Int32": 4, "Int64": 8, "Int128": 16, "Int256": 32,
    "Float32": 4, "Float64": 8, "BFloat16": 2, "Bool": 1, "Nothing": 1,
    "Date": 2, "Date32": 4, "DateTime": 4, "DateTime32": 4, "DateTime64": 8, "Time": 4, "Time64": 8,
    "Decimal32": 4, "Decimal64": 8, "Decimal128": 16, "Decimal256": 32,
    "Enum8": 1, "Enum16": 2, "UUID": 16, "IPv4": 4, "IPv6": 16,
    **{f"Interval{unit}": 8 for unit in (
        "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "Day", "Week", "Month", "Quarter",
        "Year",
    )},
}  # fmt: skip
_ALIASES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Tuple(Float64, Float64))",
    "LineString": "Array(Tuple(Float64, Float64))",
    "Polygon": "Array(Array(Tuple(Float64, Float64)))",
    "MultiLineString": "Array(Array(Tuple(Float64, Float64)))",
    "MultiPolygon": "Array(Array(Array(Tuple(Float64, Float64))))",
}
_WRAPPERS = {"Array": 1, "Map": 2, "Nullable": 1, "LowCardinality": 1}
_RECORDS = frozenset({"Tuple", "Nested"})
_DECIMAL_WIDTHS = ((9, 4), (18, 8), (38, 16), (76, 32))


@dataclass(frozen=True)
class TypeNode:
    """A type: `width` is the bytes of one value, 0 where it varies; `children` are the types inside it."""

    name: str
    width: int
    children: tuple[TypeNode, ...] = ()


@lru_cache(maxsize=4096)
def parse_type(text: str, depth: int = 0) -> TypeNode:
    """Read a type's name. Raises EngineError 50 on text that is not one; unknown names come back with width 0."""
    text = text.strip()
    if depth > MAX_DEPTH:
        raise EngineError(_UNKNOWN_TYPE, "Type is nested too deep", "UNKNOWN_TYPE")
    if text in _ALIASES:
        return parse_type(_ALIASES[text], depth)
    name, arguments = _split_call(text)
    if name == "SimpleAggregateFunction":
        return parse_type(_argument(arguments, 1, name), depth + 1)
    inner = _inner_types(name, arguments)
    return TypeNode(name, _width(name, arguments), tuple(parse_type(text, depth + 1) for text in inner))


def split_list(text: str) -> list[str]:
    """Cut a list of types or columns at its commas."""
    return [part.strip() for part in _split(text, ",")]


def _inner_types(name: str, arguments: list[str]) -> list[str]:
    """Return what is inside a type, in the order of the wire."""
    if name in _RECORDS:
        return [_without_name(argument) for argument in arguments]
    if name == "JSON":  # JSON(max_dynamic_paths=8, SKIP c, b Int64, a String): the typed paths, by name
        paths = [a for a in arguments if "=" not in a and not a.upper().startswith("SKIP ")]
        return [_without_name(path) for path in sorted(paths)]
    expected = _WRAPPERS.get(name)
    if expected is not None and len(arguments) != expected:
        raise EngineError(_UNKNOWN_TYPE, f"{name} takes {expected} types, not {len(arguments)}", "UNKNOWN_TYPE")
    return arguments if expected or name == "Variant" else []


def _width(name: str, arguments: list[str]) -> int:
    if name == "FixedString":
        return _number(_argument(arguments, 0, name))
    if name == "Decimal":
        precision = _number(_argument(arguments, 0, name))
        return next((width for most, width in _DECIMAL_WIDTHS if precision <= most), 0)
    return _WIDTHS.get(name, 0)


def _argument(arguments: list[str], at: int, name: str) -> str:
    if at >= len(arguments):
        raise EngineError(_UNKNOWN_TYPE, f"{name} lacks an argument", "UNKNOWN_TYPE")
    return arguments[at]


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise EngineError(_UNKNOWN_TYPE, f"A number was expected in a type, not {text[:40]!r}", "UNKNOWN_TYPE")
    return int(text)


def _split_call(text: str) -> tuple[str, list[str]]:
    opening = text.find("(")
    if opening < 0:
        return text, []
    if not text.endswith(")"):
        raise EngineError(_UNKNOWN_TYPE, f"Unbalanced type name {text[:80]!r}", "UNKNOWN_TYPE")
    return text[:opening], split_list(text[opening + 1 : -1])


def _without_name(text: str) -> str:
    """Drop the element name of `a UInt8`; a plain type has no space outside brackets and quotes."""
    parts = [part for part in _split(text, " ") if part]
    return parts[-1] if len(parts) > 1 else text


def _split(text: str, separator: str) -> Iterator[str]:
    """Cut at a separator that stands outside brackets and quotes."""
    depth = start = at = 0
    while at < len(text):
        char = text[at]
        if char in "'`\"":
            at = _closing_quote(text, at)
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == separator and depth == 0:
            yield text[start:at]
            start = at + 1
        at += 1
    if text[start:].strip():
        yield text[start:]


def _closing_quote(text: str, at: int) -> int:
    quote = text[at]
    at += 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    return at
