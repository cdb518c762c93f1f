"""What stands ahead of a column in a Native block: versions, and the types that only the data knows.

A JSON or Dynamic column names its real types there, so reading the prefix turns its type into a concrete one.
"""

from __future__ import annotations

from infra.local.clickhouse_gateway.errors import INCORRECT_DATA, EngineError
from infra.local.clickhouse_gateway.native_types import TypeNode, parse_type
from infra.local.clickhouse_gateway.streams import ByteStream

_LOW_CARDINALITY_VERSION_BYTES = 8
_MAX_TYPES = 1000
_MAX_PATHS = 10_000
_MAX_NAME_BYTES = 1 << 16
_SHARED_VARIANT = "SharedVariant"
_JSON_V1, _JSON_AS_STRING, _JSON_V2 = 0, 1, 2
_DYNAMIC_V1, _DYNAMIC_V2 = 1, 2
_VARIANT_BASIC = 0

_STRING = parse_type("String")
_SHARED_PATHS = parse_type("Array(Tuple(String, String))")


def read_prefix(stream: ByteStream, node: TypeNode) -> TypeNode:
    """Pass a column's prefix, and return its concrete type. Raises EngineError 117 on a layout it does not know."""
    match node.name:
        case "LowCardinality":
            stream.skip(_LOW_CARDINALITY_VERSION_BYTES)
            return node
        case "JSON":
            return _json(stream, node)
        case "Dynamic":
            return _dynamic(stream)
        case "Variant":
            _expect("Variant", stream.uint64(), _VARIANT_BASIC)
    if not node.children:
        return node
    return TypeNode(node.name, node.width, tuple(read_prefix(stream, child) for child in node.children))


def _json(stream: ByteStream, node: TypeNode) -> TypeNode:
    """Typed paths, then the paths of this block, then what did not get a path of its own."""
    version = stream.uint64()
    if version == _JSON_AS_STRING:
        return _STRING
    _expect("JSON", version, _JSON_V1, _JSON_V2)
    if version == _JSON_V1:
        stream.varint()  # the most paths
    paths = _names(stream, _MAX_PATHS)
    typed = [read_prefix(stream, child) for child in node.children]
    dynamic = [_dynamic(stream) for _ in paths]
    return TypeNode("Tuple", 0, (*typed, *dynamic, _SHARED_PATHS))


def _dynamic(stream: ByteStream) -> TypeNode:
    """A Variant of the types it names and of the shared one, in alphabetical order."""
    version = stream.uint64()
    _expect("Dynamic", version, _DYNAMIC_V1, _DYNAMIC_V2)
    if version == _DYNAMIC_V1:
        stream.varint()  # the most types
    names = sorted([*_names(stream, _MAX_TYPES), _SHARED_VARIANT])
    _expect("Variant", stream.uint64(), _VARIANT_BASIC)
    types = [_STRING if name == _SHARED_VARIANT else parse_type(name) for name in names]
    return TypeNode("Variant", 0, tuple(read_prefix(stream, child) for child in types))


def _names(stream: ByteStream, most: int) -> list[str]:
    count = stream.varint()
    if count > most:
        raise EngineError(INCORRECT_DATA, f"A column names {count} types or paths", "INCORRECT_DATA")
    return [stream.text(_MAX_NAME_BYTES) for _ in range(count)]


def _expect(kind: str, version: int, *known: int) -> None:
    if version not in known:
        raise EngineError(INCORRECT_DATA, f"Unknown layout {version} of a {kind} column", "INCORRECT_DATA")
