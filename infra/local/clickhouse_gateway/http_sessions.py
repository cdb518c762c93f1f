"""Sessions over HTTP: one for each request, or kept under a client's `session_id` between requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from infra.local.clickhouse_gateway.engine import Engine
from infra.local.clickhouse_gateway.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, EngineError
from infra.local.clickhouse_gateway.http_request import HttpQuery
from infra.local.clickhouse_gateway.session import Session, quote_identifier


@dataclass
class _Kept:
    session: Session
    busy: bool
    expires: float


class HttpSessions:
    """Lends sessions to requests. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._guard = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._running: set[Session] = set()

    @contextmanager
    def lend(self, request: HttpQuery) -> Iterator[Session]:
        """Lend the session a request asks for.

        Raises EngineError 373 when it is in use, 372 when it must exist and does not.
        """
        session = self._take(request) if request.session_id else self._fresh(request)
        session.begin()
        with self._guard:
            self._running.add(session)
        try:
            yield session
        finally:
            with self._guard:
                self._running.discard(session)
            self._give_back(request, session)

    def cancel_all(self) -> None:
        """Stop every running query."""
        with self._guard:
            running = list(self._running)
        for session in running:
            session.cancel()

    def close(self) -> None:
        """Close the kept sessions."""
        with self._guard:
            kept, self._kept = self._kept, {}
        for entry in kept.values():
            if not entry.busy:
                entry.session.close()

    def _take(self, request: HttpQuery) -> Session:
        key = f"{request.user}\0{request.session_id}"
        with self._guard:
            self._expire()
            entry = self._kept.get(key)
            if entry is not None and entry.busy:
                reason = f"Session {request.session_id} is locked by another query"
                raise EngineError(SESSION_IS_LOCKED, reason, "SESSION_IS_LOCKED")
            if entry is None and request.session_must_exist:
                raise EngineError(SESSION_NOT_FOUND, f"Session {request.session_id} not found", "SESSION_NOT_FOUND")
            if entry is None:
                entry = self._kept[key] = _Kept(self._fresh(request), True, 0.0)
                return entry.session
            entry.busy = True
        if request.database:
            list(entry.session.run(f"USE {quote_identifier(request.database)}", "TSV", {}, stream=False))
        return entry.session

    def _fresh(self, request: HttpQuery) -> Session:
        return Session(self._engine, request.database, request.query_id)

    def _give_back(self, request: HttpQuery, session: Session) -> None:
        if not request.session_id:
            session.close()
            return
        with self._guard:
            entry = self._kept.get(f"{request.user}\0{request.session_id}")
            if entry is not None:
                entry.busy = False
                entry.expires = time.monotonic() + request.session_seconds

    def _expire(self) -> None:
        now = time.monotonic()
        for key in [k for k, entry in self._kept.items() if not entry.busy and entry.expires < now]:
            self._kept.pop(key).session.close()
