"""A query's result in `FORMAT Native` on its way to a client of some revision: blocks with their full types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from infra.local.clickhouse_gateway.errors import NOT_IMPLEMENTED, EngineError
from infra.local.clickhouse_gateway.native_blocks import BlockShape, block_shape, header_block, split_blocks
from infra.local.clickhouse_gateway.native_revisions import CUSTOM_SERIALIZATION
from infra.local.clickhouse_gateway.session import Chunk, Session

_BARE_DATETIME = "DateTime"


class ResultBlocks:
    """Turns a result into the blocks to send, counting them."""

    def __init__(self, session: Session, sql: str, params: Mapping[str, str], revision: int) -> None:
        self._session = session
        self._sql = sql
        self._params = params
        self._revision = revision
        self._columns: list[tuple[str, str]] = []
        self._verbatim = False
        self.rows = self.blocks = self.size = 0

    def of(self, chunks: Iterable[Chunk]) -> Iterator[bytes]:
        """Yield the blocks of rows. Raises EngineError 48 on columns that a client of the revision cannot be sent."""
        for chunk in chunks:
            for block in split_blocks(chunk.data, chunk.rows) if chunk.data else ():
                ready = self._rewritten(block)
                self.blocks += 1
                yield ready
            self.rows += chunk.rows
            self.size += len(chunk.data)

    def with_header(self, chunks: Iterable[Chunk], *, describe_empty: bool) -> Iterator[bytes]:
        """Do the same after a block without rows; a result of none has it too, if the engine can tell its columns."""
        for block in self.of(chunks):
            if self.blocks == 1:
                yield from self._header(self._columns)
            yield block
        if not self.blocks and describe_empty:
            yield from self._header(self._session.describe(self._sql, self._params))

    def _header(self, columns: list[tuple[str, str]]) -> Iterator[bytes]:
        if columns:
            yield header_block(columns, self._revision)

    def _rewritten(self, block: bytes) -> bytes:
        shape = None if self._verbatim else block_shape(block)
        if not self.blocks:
            self._learn(shape)
        if self._verbatim:
            return block
        if shape is None:
            reason = "Columns of a type unknown here are sent alone, or last, or over HTTP in another format"
            raise EngineError(NOT_IMPLEMENTED, reason, "NOT_IMPLEMENTED")
        return shape.rewritten(block, [kind for _name, kind in self._columns], self._revision)

    def _learn(self, shape: BlockShape | None) -> None:
        """Take the columns from the first block; what older clients read as the engine wrote it stays untouched."""
        columns = self._full_types(shape) if shape else self._session.describe_aside(self._sql, self._params)
        self._columns = columns
        self._verbatim = self._revision < CUSTOM_SERIALIZATION and (shape is None or columns == shape.columns)

    def _full_types(self, shape: BlockShape) -> list[tuple[str, str]]:
        """Give back to DateTime its time zone, which the engine's Native format leaves out."""
        if all(kind != _BARE_DATETIME for _name, kind in shape.columns):
            return shape.columns
        described = self._session.describe_aside(self._sql, self._params)
        if [name for name, _kind in described] != [name for name, _kind in shape.columns]:
            return shape.columns
        pairs = zip(shape.columns, described, strict=True)
        return [(name, told if kind == _BARE_DATETIME else kind) for (name, kind), (_name, told) in pairs]
