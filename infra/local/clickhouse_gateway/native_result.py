"""A query's result on its way to a native client: a header without rows first, then blocks with their full types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from infra.local.clickhouse_gateway.native_blocks import BlockShape, block_shape, header_block, split_blocks
from infra.local.clickhouse_gateway.session import Chunk, Session

_BARE_DATETIME = "DateTime"


class ResultBlocks:
    """Turns a result in `FORMAT Native` into the blocks to send, counting them."""

    def __init__(self, session: Session, sql: str, params: Mapping[str, str]) -> None:
        self._session = session
        self._sql = sql
        self._params = params
        self._types: list[str] = []
        self.rows = self.blocks = self.size = 0

    def of(self, chunks: Iterable[Chunk], *, describe_empty: bool) -> Iterator[bytes]:
        """Yield the blocks. A result without rows has a header too, if the engine can tell its columns."""
        for chunk in chunks:
            for block in split_blocks(chunk.data, chunk.rows) if chunk.data else ():
                if not self.blocks:
                    yield from self._header(block)
                self.blocks += 1
                yield self._with_types(block)
            self.rows += chunk.rows
            self.size += len(chunk.data)
        if not self.blocks and describe_empty:
            columns = self._session.describe(self._sql, self._params)
            yield from [header_block(columns)] if columns else []

    def _header(self, block: bytes) -> Iterator[bytes]:
        shape = block_shape(block)
        columns = self._full_types(shape) if shape else self._session.describe_aside(self._sql, self._params)
        if columns:
            yield header_block(columns)

    def _full_types(self, shape: BlockShape) -> list[tuple[str, str]]:
        """Give back to DateTime its time zone, which the engine's Native format leaves out."""
        if all(kind != _BARE_DATETIME for _name, kind in shape.columns):
            return shape.columns
        described = self._session.describe_aside(self._sql, self._params)
        if [name for name, _kind in described] != [name for name, _kind in shape.columns]:
            return shape.columns
        pairs = zip(shape.columns, described, strict=True)
        full = [(name, told if kind == _BARE_DATETIME else kind) for (name, kind), (_name, told) in pairs]
        if full != shape.columns:
            self._types = [kind for _name, kind in full]
        return full

    def _with_types(self, block: bytes) -> bytes:
        if not self._types:
            return block
        shape = block_shape(block)
        return block if shape is None else shape.retyped(block, self._types)
