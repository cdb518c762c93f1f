"""Where bodies are checked: small ones and protobuf at once, JSON in processes beside this one.

Python makes 5 MiB of JSON into messages in half a second to two: on the event loop, every other export would wait for
it, and in a thread each would wait for the interpreter's lock. A tenant has one body in work at a time, so that there
is a process left for the others.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal as signals
import threading
from collections import Counter as Tally
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Final

import structlog

from libs.kernel.errors import Unavailable
from services.otlp_receiver.decode import check
from services.otlp_receiver.domain import Checked, Encoding, Signal

AT_ONCE_BYTES: Final = 4096  # of JSON: at most three milliseconds
MOST_WAITING: Final = 32  # bodies, of all tenants
MOST_OF_ONE_TENANT: Final = 8
NICENESS: Final = 5  # what others send comes first where there are few cores
log = structlog.get_logger()


class Checkers:
    """Checks bodies. The processes start with the first JSON that is too large to be checked at once."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: Tally[str] = Tally()
        self._turns: dict[str, asyncio.Lock] = {}

    async def check(self, signal: Signal, tenant: str, encoding: Encoding, body: bytes) -> Checked:
        """Return what there is to say about a body; raises Unavailable when too many wait already."""
        if encoding is not Encoding.JSON or len(body) <= AT_ONCE_BYTES:
            return check(signal, encoding, body)
        if self._waiting.total() >= MOST_WAITING or self._waiting[tenant] >= MOST_OF_ONE_TENANT:
            raise Unavailable("too many JSON exports wait to be checked")
        self._waiting[tenant] += 1
        try:
            async with self._turns.setdefault(tenant, asyncio.Lock()):
                return await self._beside(signal, body)
        finally:
            self._waiting[tenant] -= 1
            if not self._waiting[tenant]:
                del self._waiting[tenant]
                self._turns.pop(tenant, None)

    async def _beside(self, signal: Signal, body: bytes) -> Checked:
        pool = self._pool = self._pool or _pool(self._processes)
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, check, signal, Encoding.JSON, body)
        except BrokenProcessPool as error:  # killed, for its memory perhaps
            log.error("checker_died", error=str(error))
            if self._pool is pool:
                self._pool = None
            pool.shutdown(wait=False)
            raise Unavailable("the process that checked the export died") from error

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _pool(processes: int) -> ProcessPoolExecutor:
    spawning = multiprocessing.get_context("spawn")  # a fork would inherit threads' locks and the broker's sockets
    return ProcessPoolExecutor(processes, spawning, _prepare)


def _prepare() -> None:
    """Make a process stop when its parent is gone, however that died, and leave signals to the parent."""
    signals.signal(signals.SIGINT, signals.SIG_IGN)
    os.nice(NICENESS)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(0)
