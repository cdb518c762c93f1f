"""One client of the native protocol: its packets in, the engine's answers out."""

from __future__ import annotations

import hmac
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from infra.local.clickhouse_gateway.compression import Codec
from infra.local.clickhouse_gateway.engine import Engine
from infra.local.clickhouse_gateway.errors import (
    AUTHENTICATION_FAILED,
    NOT_IMPLEMENTED,
    QUERY_WAS_CANCELLED,
    UNEXPECTED_PACKET,
    UNKNOWN_PACKET,
    EngineError,
)
from infra.local.clickhouse_gateway.native_blocks import BlockShape, header_block
from infra.local.clickhouse_gateway.native_protocol import ClientPacket, PacketReader, PacketWriter, Query
from infra.local.clickhouse_gateway.native_result import ResultBlocks
from infra.local.clickhouse_gateway.native_revisions import OLDEST, REVISION
from infra.local.clickhouse_gateway.session import Session, quote_identifier, refuse_local_file
from infra.local.clickhouse_gateway.spool import SpoolFile, SpoolFolder
from infra.local.clickhouse_gateway.sql import DataKind, Insert, find_input_call, parse_insert, split_output_format
from infra.local.clickhouse_gateway.streams import ByteStream, Truncated
from infra.local.clickhouse_gateway.watch import Watch

T = TypeVar("T")

HELLO_SECONDS = 10.0
PACKET_SECONDS = 300.0
IDLE_SECONDS = 3600.0
_LINGER_SECONDS = 1.0
_HTTP_FIRST_BYTES = frozenset(b"GHOPD")  # GET HEAD OPTIONS POST PUT PATCH DELETE


@dataclass(frozen=True)
class Credentials:
    """Who may connect."""

    user: str = "default"
    password: str = field(default="", repr=False)

    def check(self, user: str, password: str) -> None:
        """Raise EngineError 516 unless both match."""
        known = hmac.compare_digest((user or "default").encode(), self.user.encode())
        if not (hmac.compare_digest(password.encode(), self.password.encode()) and known):
            reason = "Authentication failed: password is incorrect, or there is no user with such name"
            raise EngineError(AUTHENTICATION_FAILED, f"{user}: {reason}.", "AUTHENTICATION_FAILED")


class NativeConnection:
    """Serves one socket until the client leaves, breaks the protocol, or `stop` is called from another thread."""

    def __init__(
        self, sock: socket.socket, engine: Engine, spool: SpoolFolder, credentials: Credentials, watch: Watch
    ) -> None:
        self._socket = sock
        self._engine = engine
        self._spool = spool
        self._credentials = credentials
        self._watch = watch
        self._reader = PacketReader(ByteStream(sock.recv))
        self._writer = PacketWriter(sock)
        self._session: Session | None = None
        self.busy = False

    def serve(self) -> None:
        """Answer packets until the end of the connection; never raises on what a client does."""
        try:
            self._session = self._greet()
            while self._next_packet(self._session):
                pass
        except EngineError as exc:
            self._refuse(exc)
        except (Truncated, OSError):
            pass  # the client is gone, there is nobody to tell
        finally:
            if self._session is not None:
                self._session.close()
            self._socket.close()

    def stop(self, *, force: bool) -> bool:
        """End the connection if no query runs, or always with force; return whether it was told to end."""
        if self.busy and not force:
            return False
        if self.busy and self._session is not None:
            self._session.cancel()
        with suppress(OSError):  # already closed by the other side
            self._socket.shutdown(socket.SHUT_RDWR)
        return True

    def _greet(self) -> Session:
        self._socket.settimeout(HELLO_SECONDS)
        kind = self._reader.kind()
        if kind in _HTTP_FIRST_BYTES:
            body = "This port speaks ClickHouse's native protocol; the HTTP interface is on the other port.\n"
            self._socket.sendall(f"HTTP/1.0 400 Bad Request\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            raise Truncated
        if kind != ClientPacket.HELLO:
            raise EngineError(
                UNEXPECTED_PACKET,
                f"A client must begin with a hello, not packet {kind}",
                "UNEXPECTED_PACKET_FROM_CLIENT",
            )
        hello = self._reader.hello()
        if hello.revision < OLDEST:
            raise EngineError(
                NOT_IMPLEMENTED, f"Client revision {hello.revision} is older than {OLDEST}", "NOT_IMPLEMENTED"
            )
        self._credentials.check(hello.user, hello.password)
        session = Session(self._engine, hello.database)
        self._writer.hello(self._engine.version, self._engine.timezone)
        self._writer.flush()
        self._reader.revision = self._writer.revision = min(hello.revision, REVISION)
        self._reader.addendum()
        return session

    def _next_packet(self, session: Session) -> bool:
        self._socket.settimeout(IDLE_SECONDS)
        if self._reader.at_end():
            return False
        self._socket.settimeout(PACKET_SECONDS)
        kind = self._reader.kind()
        if kind == ClientPacket.PING:
            self._writer.pong()
        elif kind == ClientPacket.QUERY:
            self._answer(self._reader.query(), session)
        elif kind != ClientPacket.CANCEL:  # a cancellation may come after the query's end
            known = kind in set(ClientPacket)
            code, name = (UNEXPECTED_PACKET, "UNEXPECTED_PACKET") if known else (UNKNOWN_PACKET, "UNKNOWN_PACKET")
            raise EngineError(code, f"Packet {kind} from the client was not expected here", f"{name}_FROM_CLIENT")
        self._writer.flush()
        return True

    def _answer(self, query: Query, session: Session) -> None:
        self.busy = True
        session.begin()
        statement = Statement(query, session, self._reader, self._writer, self._spool)
        try:
            with statement:
                statement.receive_tables()
                with self._watch.over(self._socket, session.cancel):
                    receive = statement.start()
                if receive is not None:
                    with self._spool.file() as rows:
                        statement.receive_rows(rows)
                        with self._watch.over(self._socket, session.cancel):
                            receive(rows)
        except QueryFailed as failed:
            if failed.error.code != QUERY_WAS_CANCELLED or not session.cancelled:
                self._writer.exception(failed.error)
                return
            self._writer.end_of_stream()
        else:
            self._writer.end_of_stream()
        finally:
            self.busy = False

    def _refuse(self, error: EngineError) -> None:
        """Tell the client why the connection ends, and let it read that before the socket closes."""
        try:
            self._writer.exception(error)
            self._writer.flush()
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(_LINGER_SECONDS)
            while self._socket.recv(1 << 16):
                pass
        except OSError:
            pass  # it did not wait for the reason


class QueryFailed(Exception):
    """A statement failed; the connection goes on."""

    def __init__(self, error: EngineError) -> None:
        super().__init__(str(error))
        self.error = error


class Statement:
    """One query of a client, from its tables and rows to its result."""

    def __init__(
        self, query: Query, session: Session, reader: PacketReader, writer: PacketWriter, spool: SpoolFolder
    ) -> None:
        self._query = query
        self._session = session
        self._reader = reader
        self._writer = writer
        self._spool = spool
        self._codec = Codec() if query.compressed else None
        self._tables: list[str] = []
        self._table_error: EngineError | None = None
        self._began = time.monotonic_ns()

    def __enter__(self) -> Statement:
        return self

    def __exit__(self, *_exc: object) -> None:
        for name in self._tables:
            self._session.drop_table(name)

    def receive_tables(self) -> None:
        """Read the external tables that come with a query; an empty block ends them."""
        while True:
            with self._spool.file() as rows:
                name, shape = self._receive_block(rows)
                if not shape.columns and not name:
                    return
                try:
                    self._add_table(name, shape, rows)
                except (EngineError, QueryFailed) as exc:
                    self._table_error = self._table_error or (exc.error if isinstance(exc, QueryFailed) else exc)

    def start(self) -> Callable[[SpoolFile], None] | None:
        """Run the statement, or when it is an INSERT whose rows follow, return what inserts them.

        Raises QueryFailed.
        """
        return self._guarded(self._start)

    def receive_rows(self, rows: SpoolFile) -> None:
        """Read the blocks of an INSERT up to the empty one that ends them."""
        sink = _OverflowSink(rows)
        while True:
            self._expect_data()
            _name, shape = self._reader.block(self._codec, sink)
            self._writer.block_received()
            if not shape.columns:
                break
        if sink.error is not None:
            raise QueryFailed(sink.error)

    def _start(self) -> Callable[[SpoolFile], None] | None:
        if self._table_error is not None:
            raise self._table_error
        sql = self._query.text
        strict = bool(self._query.important)
        self._session.apply(self._query.settings, strict=strict, query_id=self._query.query_id)
        insert = parse_insert(sql)
        if insert is not None:
            return self._start_insert(insert, sql)
        self._select(split_output_format(sql)[0], self._session.classify(sql))
        return None

    def _start_insert(self, insert: Insert, sql: str) -> Callable[[SpoolFile], None] | None:
        refuse_local_file(insert)
        call = find_input_call(insert.tail) if insert.kind is DataKind.QUERY else None
        inline = call.data if call else insert.tail
        if (insert.kind is DataKind.QUERY and call is None) or (
            insert.kind is DataKind.VALUES and inline.strip(" \t\r\n;")
        ):
            self._select(sql, self._session.classify(sql))
            return None
        if inline.strip(" \t\r\n;"):
            with self._spool.file() as rows:
                rows.write(inline.encode())
                self._insert(insert, call.format if call else insert.format, rows)
            return None
        self._writer.data(header_block(self._session.insert_columns(insert), self._writer.revision), self._codec)
        self._writer.flush()
        return lambda rows: self._guarded(lambda: self._insert(insert, "Native", rows))

    def _insert(self, insert: Insert, data_format: str, rows: SpoolFile) -> None:
        if not rows.size:
            return
        written = self._session.insert(insert, data_format, rows.path)
        self._writer.progress(0, 0, written, nanoseconds=self._elapsed())

    def _select(self, sql: str, kind: str) -> None:
        result = ResultBlocks(self._session, sql, self._query.parameters, self._writer.revision)
        chunks = self._session.run(sql, "Native", self._query.parameters, stream=True)
        for block in result.with_header(chunks, describe_empty=kind == "READ_ONLY"):
            self._writer.data(block, self._codec)
        self._writer.progress(result.rows, result.size, nanoseconds=self._elapsed())
        self._writer.profile(result.rows, result.blocks, result.size)

    def _elapsed(self) -> int:
        return time.monotonic_ns() - self._began

    def _add_table(self, name: str, shape: BlockShape, rows: SpoolFile) -> None:
        quoted = quote_identifier(name)
        if quoted not in self._tables:
            columns = ", ".join(f"{quote_identifier(column)} {kind}" for column, kind in shape.columns)
            self._session.create_table(quoted, columns)
            self._tables.append(quoted)
        if shape.rows:
            names = ", ".join(quote_identifier(column) for column, _kind in shape.columns)
            self._session.insert(Insert(quoted, False, names, "", DataKind.FORMAT, "Native", ""), "Native", rows.path)

    def _receive_block(self, rows: SpoolFile) -> tuple[str, BlockShape]:
        self._expect_data()
        return self._reader.block(self._codec, rows)

    def _expect_data(self) -> None:
        while (kind := self._reader.kind()) != ClientPacket.DATA:
            if kind != ClientPacket.CANCEL:
                raise EngineError(
                    UNEXPECTED_PACKET, f"Data was expected, not packet {kind}", "UNEXPECTED_PACKET_FROM_CLIENT"
                )

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except EngineError as exc:
            raise QueryFailed(exc) from exc


class _OverflowSink:
    """Keeps rows up to the spool's limit; beyond it reads on without keeping, so that the client hears the reason."""

    def __init__(self, rows: SpoolFile) -> None:
        self._rows = rows
        self.error: EngineError | None = None

    def write(self, data: memoryview, /) -> None:
        if self.error is None:
            try:
                self._rows.write(data)
            except EngineError as exc:
                self.error = exc
