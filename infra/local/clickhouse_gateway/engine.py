"""The embedded ClickHouse engine: one per process, one owner per data folder."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from xml.sax.saxutils import escape

from infra.local.clickhouse_gateway.errors import parse_engine_error

_MIB = 1 << 20
_CONFIG_FILE = "engine.xml"
_LOCK_FILE = "gateway.lock"
# Telemetry comes in many small inserts: merged more parts at a time, each row is rewritten less often.
_MERGE_TREE = {"merge_selector_base": 10}


class FolderInUse(Exception):
    """Another gateway owns the data folder."""


class Connection(Protocol):
    """What this package uses of an embedded connection; see chdb's `_chdb.connect`."""

    def query(self, query_str: str, format: str, *, params: Mapping[str, str]) -> Any: ...
    def send_query(self, query_str: str, format: str, *, params: Mapping[str, str]) -> Any: ...
    def streaming_fetch_result(self, streaming_result: Any) -> Any: ...
    def streaming_cancel_query(self, streaming_result: Any) -> None: ...
    def classify_query(self, sql: str, target_database: str) -> dict[str, Any]: ...
    def close(self) -> None: ...


def server_settings(memory_bytes: int) -> dict[str, int]:
    """Return the server settings of a small shared machine; sizes in bytes."""
    return {
        "max_server_memory_usage": memory_bytes,
        "mark_cache_size": 64 * _MIB,
        "primary_index_cache_size": 64 * _MIB,
        "index_mark_cache_size": 16 * _MIB,
        "uncompressed_cache_size": 0,
        "compiled_expression_cache_size": 16 * _MIB,
        "query_condition_cache_size": 16 * _MIB,
        "parquet_metadata_cache_size": 8 * _MIB,
        "iceberg_metadata_files_cache_size": 0,
        "vector_similarity_index_cache_size": 16 * _MIB,
        "text_index_tokens_cache_size": 16 * _MIB,
        "text_index_header_cache_size": 16 * _MIB,
        "text_index_postings_cache_size": 16 * _MIB,
        "background_pool_size": 2,
        "background_merges_mutations_concurrency_ratio": 2,
        "os_threads_nice_value_merge_mutate": 10,  # merges take what inserts and queries leave; no effect unprivileged
        "max_thread_pool_size": 512,
        "max_io_thread_pool_size": 16,
        "max_active_parts_loading_thread_pool_size": 4,
        "max_outdated_parts_loading_thread_pool_size": 4,
        "max_parts_cleaning_thread_pool_size": 4,
        "prefetch_threadpool_pool_size": 8,
        "load_marks_threadpool_pool_size": 8,
        "threadpool_writer_pool_size": 8,
        "threadpool_local_fs_reader_pool_size": 8,
        "threadpool_remote_fs_reader_pool_size": 8,
    }


class Engine:
    """Owns a data folder for as long as it is open. Thread-safe.

    Raises FolderInUse when another process owns the folder, EngineError when the engine does not start.
    """

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock_folder(folder)
        config = folder / _CONFIG_FILE
        config.write_text(_config_xml(server_settings(memory_bytes)))
        self._address = f"{folder / 'engine'}?config-file={config}"
        self._count = 0
        self._guard = threading.Lock()
        self._root = self.connect()
        self.version = self._scalar("SELECT version()")
        self.timezone = self._scalar("SELECT timezone()")

    def connect(self) -> Connection:
        """Open an independent connection; it takes a tenth of a millisecond."""
        engine: Any = import_module("chdb")._chdb
        try:
            connection: Connection = engine.connect(self._address)
        except RuntimeError as exc:
            raise parse_engine_error(str(exc)) from exc
        return connection

    def next_marker(self) -> str:
        """Return a name for a session, by which its running query can be found."""
        with self._guard:
            self._count += 1
            return f"gateway-session-{self._count}"

    def kill(self, marker: str) -> None:
        """Cancel the running query of a session, if there is one."""
        self._command(f"KILL QUERY WHERE startsWith(Settings['log_comment'], '{marker} ') ASYNC")

    def ping(self) -> None:
        """Raise EngineError when the engine does not answer."""
        self._command("SELECT 1")

    def close(self) -> None:
        """Close the engine and give the folder back. Sessions must be closed before."""
        self._root.close()
        os.close(self._lock)

    def _command(self, sql: str) -> None:
        connection = self.connect()
        try:
            connection.query(sql, "TSV", params={})
        except RuntimeError as exc:
            raise parse_engine_error(str(exc)) from exc
        finally:
            connection.close()

    def _scalar(self, sql: str) -> str:
        data: bytes = self._root.query(sql, "TSV", params={}).bytes()
        return data.decode().strip()


def _lock_folder(folder: Path) -> int:
    handle = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise FolderInUse(
            f"data folder {folder} is in use by another ClickHouse gateway (pid {owner}); stop it first"
        ) from None
    os.truncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def _config_xml(settings: Mapping[str, int]) -> str:
    lines = [f"  <{name}>{escape(str(value))}</{name}>" for name, value in settings.items()]
    tables = [f"  <merge_tree><{name}>{value}</{name}></merge_tree>" for name, value in _MERGE_TREE.items()]
    return "\n".join(["<clickhouse>", *lines, *tables, "</clickhouse>", ""])
