"""Single machine instructions for compiled functions: loads and stores at a byte position, without any check.

Callers keep positions within the array. A copy may touch up to 15 bytes behind what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from llvmlite import ir
from numba import types
from numba.core import cgutils  # noqa: F401  (registers the code generators)
from numba.extending import intrinsic

from libs.otlp.compiled import Bytes

A = TypeVar("A")

BYTE: Final = ir.IntType(8)
WORD: Final = ir.IntType(64)
DOUBLE_WORD: Final = ir.IntType(128)


def _base(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return value if isinstance(kind, types.CPointer) else context.make_array(kind)(context, builder, value).data


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any, kind: Any) -> Any:
    base = _base(context, builder, array_type, array)
    return builder.bitcast(builder.gep(base, [at]), kind.as_pointer())


def _first(_: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _base(context, builder, signature.args[0], args[0])

    return types.CPointer(array.dtype)(array), generate


def _load(context: Any, builder: Any, signature: Any, args: Any, kind: Any) -> Any:
    word = builder.load(_pointer(context, builder, signature.args[0], args[0], args[1], kind))
    word.align = 1
    return word


def _load8(_: Any, data: Any, at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(_load(context, builder, signature, args, BYTE), WORD)

    return types.int64(data, at), generate


def _load64(_: Any, data: Any, at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _load(context, builder, signature, args, WORD)

    return types.int64(data, at), generate


def _load64_big_endian(_: Any, data: Any, at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bswap(_load(context, builder, signature, args, WORD))

    return types.uint64(data, at), generate


def _store8(_: Any, data: Any, at: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(
            builder.trunc(args[2], BYTE), _pointer(context, builder, signature.args[0], args[0], args[1], BYTE)
        )
        return context.get_dummy_value()

    return types.none(data, at, types.int64), generate


def _store64(_: Any, data: Any, at: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        store = builder.store(args[2], _pointer(context, builder, signature.args[0], args[0], args[1], WORD))
        store.align = 1
        return context.get_dummy_value()

    return types.none(data, at, types.int64), generate


def _copy16(_: Any, out: Any, to: Any, data: Any, at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = builder.load(_pointer(context, builder, signature.args[2], args[2], args[3], DOUBLE_WORD))
        store = builder.store(word, _pointer(context, builder, signature.args[0], args[0], args[1], DOUBLE_WORD))
        word.align = store.align = 1
        return context.get_dummy_value()

    return types.none(out, to, data, at), generate


def _bits(_: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], WORD)

    return types.int64(types.float64), generate


def _double(_: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate


def _instructions(generator: Callable[..., Any]) -> Any:
    return intrinsic(generator)


# An array's first element as a pointer that is indexed like the array: passing it on counts no references
first: Final[Callable[[A], A]] = _instructions(_first)
load8: Final[Callable[[Bytes, int], int]] = _instructions(_load8)
load64: Final[Callable[[Bytes, int], int]] = _instructions(_load64)  # little-endian
load64_big_endian: Final[Callable[[Bytes, int], int]] = _instructions(_load64_big_endian)  # unsigned
store8: Final[Callable[[Bytes, int, int], None]] = _instructions(_store8)
store64: Final[Callable[[Bytes, int, int], None]] = _instructions(_store64)
copy16: Final[Callable[[Bytes, int, Bytes, int], None]] = _instructions(_copy16)
bits: Final[Callable[[float], int]] = _instructions(_bits)
double: Final[Callable[[int], float]] = _instructions(_double)
