"""Runs the gateway: `python -m infra.local.clickhouse_gateway --data-dir D --native-port 9000 --http-port 8123`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from infra.local.clickhouse_gateway.engine import Engine, FolderInUse
from infra.local.clickhouse_gateway.errors import EngineError
from infra.local.clickhouse_gateway.http_server import HttpServer
from infra.local.clickhouse_gateway.native_connection import Credentials
from infra.local.clickhouse_gateway.native_server import NativeServer
from infra.local.clickhouse_gateway.spool import SpoolFolder

GRACE_SECONDS = 5.0
_BACKLOG = 128
_MIB = 1 << 20


class CannotStart(Exception):
    """One sentence saying why, for the person who started it."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 on a mistake."""
    parser = argparse.ArgumentParser(
        prog="clickhouse_gateway", description="ClickHouse's protocols over the embedded engine."
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="folder this process owns; made when missing")
    parser.add_argument("--native-port", type=_port, default=9000, help="default %(default)s")
    parser.add_argument("--http-port", type=_port, default=8123, help="default %(default)s")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on, default %(default)s")
    parser.add_argument(
        "--user", default=os.environ.get("CLICKHOUSE_USER", "default"), help="the one user, default %(default)s"
    )
    parser.add_argument(
        "--password", default=os.environ.get("CLICKHOUSE_PASSWORD", ""), help="default: CLICKHOUSE_PASSWORD, or none"
    )
    parser.add_argument(
        "--memory-mib", type=_positive, default=2048, help="most memory for queries, default %(default)s"
    )
    parser.add_argument(
        "--max-insert-mib", type=_positive, default=1024, help="most data of one insert, default %(default)s"
    )
    parser.add_argument("--pid-file", type=Path, help="written once both ports are open")
    return parser.parse_args(arguments)


def main() -> int:
    """Run until SIGTERM or SIGINT. Returns 0, or 2 when it cannot start."""
    arguments = parse_arguments()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        run(arguments)
    except CannotStart as exc:
        print(f"clickhouse_gateway: {exc}", file=sys.stderr)
        return 2
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Open both ports and the engine, serve, and close everything in order. Raises CannotStart."""
    listeners = [listen(arguments.host, port) for port in (arguments.native_port, arguments.http_port)]
    engine = open_engine(arguments)
    spool = SpoolFolder(arguments.data_dir / "spool", arguments.max_insert_mib * _MIB)
    credentials = Credentials(arguments.user, arguments.password)
    servers = (
        NativeServer(listeners[0], engine, spool, credentials),
        HttpServer(listeners[1], engine, spool, credentials),
    )
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    for server in servers:
        server.start()
    if arguments.pid_file:
        arguments.pid_file.write_text(f"{os.getpid()}\n")
    print(
        f"ready: native {arguments.host}:{arguments.native_port}, http {arguments.host}:{arguments.http_port}",
        flush=True,
    )
    asked.wait()
    _stop(servers, engine)
    if arguments.pid_file:
        arguments.pid_file.unlink(missing_ok=True)


def listen(host: str, port: int) -> socket.socket:
    """Open a port. Raises CannotStart when somebody has it."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise CannotStart(
            f"cannot listen on {host}:{port}: {exc.strerror}; stop what uses it or choose another port"
        ) from exc
    listener.listen(_BACKLOG)
    return listener


def open_engine(arguments: argparse.Namespace) -> Engine:
    """Open the data folder. Raises CannotStart."""
    try:
        return Engine(arguments.data_dir.resolve(), arguments.memory_mib * _MIB)
    except FolderInUse as exc:
        raise CannotStart(str(exc)) from exc
    except ImportError as exc:
        raise CannotStart(f"the Python package {exc.name} is missing; install chdb-core") from exc
    except (EngineError, OSError) as exc:
        raise CannotStart(f"data folder {arguments.data_dir} cannot be opened: {exc}") from exc


def _stop(servers: tuple[NativeServer, HttpServer], engine: Engine) -> None:
    threads = [threading.Thread(target=server.stop, args=(GRACE_SECONDS,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.close()


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port between 1 and 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
