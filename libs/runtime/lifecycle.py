"""Start and stop of one process: whatever was started is stopped in reverse, whether start-up succeeds or not."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from libs.kernel.errors import IncidentScopeError
from libs.runtime.health import Health
from libs.runtime.http_protocol import KEEP_ALIVE_SECONDS, MOST_CONNECTIONS, PatientProtocol
from libs.runtime.logging import configure_logging
from libs.runtime.settings import ServiceSettings

log = structlog.get_logger()
Close = Callable[[], Awaitable[None] | None]
STOP_SECONDS = 15.0  # for one part to close, before it is left behind


class Lifecycle:
    """What a service's `start` hangs its parts on."""

    def __init__(self, service: str, settings: ServiceSettings) -> None:
        self.service = service
        self.settings = settings
        self.health = Health(service)
        self.stopping = asyncio.Event()
        self._closers: list[tuple[str, Close]] = []
        self._failure: BaseException | None = None
        self._loop = asyncio.get_running_loop()

    def push(self, close: Close, name: str = "") -> None:
        """Have something closed at the end; the last pushed is closed first."""
        self._closers.append((name or getattr(close, "__qualname__", repr(close)), close))

    def fail(self, error: BaseException) -> None:
        """Stop the process with exit code 1, keeping the first error."""
        if self._failure is None and not self.stopping.is_set():
            self._failure = error
        self.stopping.set()

    def background(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Run a coroutine for the life of the process; if it raises, the process stops."""
        task = asyncio.create_task(self._guard(name, work()), name=name)

        async def cancel() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.push(cancel, name)
        return task

    async def _guard(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            log.error("background_failed", part=name, error=repr(exc), exc_info=exc)
            self.fail(exc)

    def thread(self, name: str, target: Callable[[], None], stop: Callable[[], None]) -> threading.Thread:
        """Run a blocking loop in a thread; `stop` must make it return. If it raises, the process stops."""

        def body() -> None:
            try:
                target()
            except BaseException as exc:
                log.error("thread_failed", part=name, error=repr(exc), exc_info=exc)
                self._loop.call_soon_threadsafe(self.fail, exc)

        worker = threading.Thread(target=body, name=name, daemon=True)
        worker.start()

        async def join() -> None:
            stop()
            await asyncio.to_thread(worker.join, STOP_SECONDS)

        self.push(join, name)
        return worker

    async def serve_http(self, app: ASGIApp, port: int, host: str | None = None) -> int:
        """Serve an ASGI app inside this loop and return its port (a free one when 0 was asked for)."""
        host = host or self.settings.host
        config = uvicorn.Config(
            app, host=host, port=port, log_config=None, access_log=False, lifespan="off", ws="none",
            timeout_graceful_shutdown=5, server_header=False, http=PatientProtocol,
            timeout_keep_alive=KEEP_ALIVE_SECONDS, limit_concurrency=MOST_CONNECTIONS,
        )  # fmt: skip
        server = _Server(config)
        socket = _bind(host, port)
        task = asyncio.create_task(server.serve(sockets=[socket]), name=f"http:{port}")

        async def close() -> None:
            server.should_exit = True
            await asyncio.gather(task, return_exceptions=True)

        self.push(close, f"http:{port}")
        while not server.started and not task.done():  # noqa: ASYNC110  # uvicorn has a flag, not an event
            await asyncio.sleep(0.01)
        return int(socket.getsockname()[1])

    async def close(self) -> None:
        """Close everything pushed, last first; one that fails does not keep the others from closing."""
        while self._closers:
            name, close = self._closers.pop()
            try:
                result = close()
                if inspect.isawaitable(result):
                    await asyncio.wait_for(result, STOP_SECONDS)
            except (Exception, asyncio.CancelledError) as exc:
                log.warning("close_failed", part=name, error=repr(exc))

    @property
    def failure(self) -> BaseException | None:
        """Return the error that stopped the process, if one did."""
        return self._failure


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the lifecycle decides when to stop."""

    def install_signal_handlers(self) -> None:
        """Leave signals alone."""

    def capture_signals(self) -> Any:
        """Leave signals alone."""
        import contextlib

        return contextlib.nullcontext()


def _bind(host: str, port: int) -> Any:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as exc:
        bound.close()
        raise IncidentScopeError(f"cannot listen on {host}:{port}: {exc.strerror}; choose another port") from exc
    return bound


Start = Callable[[Lifecycle], Awaitable[None]]


def run(service: str, settings: ServiceSettings, start: Start) -> int:
    """Run a service until SIGTERM, SIGINT or a failed part; returns the exit code (0 stopped, 1 failed)."""
    configure_logging(service, settings.log_level)
    return asyncio.run(_run(service, settings, start))


async def _run(service: str, settings: ServiceSettings, start: Start) -> int:
    lifecycle = Lifecycle(service, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lifecycle.stopping.set)
    try:
        await start(lifecycle)
        lifecycle.health.started()
        log.info("started")
        await lifecycle.stopping.wait()
    except IncidentScopeError as exc:
        log.error("start_failed", error=str(exc))
        lifecycle.fail(exc)
    except Exception as exc:
        log.error("start_failed", error=repr(exc), exc_info=exc)
        lifecycle.fail(exc)
    finally:
        await lifecycle.close()
    log.info("stopped", outcome="failed" if lifecycle.failure else "ok")
    return 1 if lifecycle.failure else 0
