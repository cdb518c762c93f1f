"""Compile the Python files that the image's processes import, and no others: on a read-only root none is kept later.

Much of what the packages bring is never imported; compiled all the same, it would be a tenth of the image.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import services

COMMANDS = ("access_keys", "check_ready", "create_tenant", "create_topics", "migrate", "set_retention", "warm_otlp")
# What is imported only once a process runs.
LATE = (
    "encodings.idna", "faust.transport.drivers.aiokafka", "faust.transport.drivers.memory", "faust.stores.memory",
    "uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.protocols.http.auto", "uvicorn.protocols.websockets.auto",
)  # fmt: skip


def main() -> int:
    """Import them, which writes their compiled files; exit code 1 where that is switched off."""
    if sys.dont_write_bytecode:
        print("compile_used: PYTHONDONTWRITEBYTECODE is set, nothing would be kept", file=sys.stderr)
        return 1
    entries = [f"services.{found.name}.__main__" for found in pkgutil.iter_modules(services.__path__)]
    for name in (*entries, *(f"scripts.{command}" for command in COMMANDS), *LATE):
        importlib.import_module(name)
    print(f"compile_used: {len(sys.modules)} modules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
