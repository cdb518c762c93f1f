"""Compile the Python files that the image's processes import, and no others: on a read-only root none is kept later.

Much of what the packages bring is never imported; compiled all the same, it would be a tenth of the image.
"""

from __future__ import annotations

import asyncio
import compileall
import importlib
import pkgutil
import sys
from pathlib import Path

import services
from libs.messaging.faust_events import build_app
from scripts import warm_otlp

COMMANDS = ("access_keys", "check_ready", "create_tenant", "create_topics", "migrate", "set_retention", "warm_otlp")
# What is imported only once a process runs: modules, and packages that load their own parts one by one
LATE = (
    "encodings.idna", "pydantic.v1", "uvicorn.lifespan.off", "uvicorn.loops.auto", "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto", "venusian",
)  # fmt: skip
LATE_PARTS = ("faust", "mode")


def main() -> int:
    """Import them, which writes their compiled files, and warm the decoders; exit code 1 where that is switched off."""
    if sys.dont_write_bytecode:
        print("compile_used: PYTHONDONTWRITEBYTECODE is set, nothing would be kept", file=sys.stderr)
        return 1
    entries = [f"services.{found.name}.__main__" for found in pkgutil.iter_modules(services.__path__)]
    for name in (*entries, *(f"scripts.{command}" for command in COMMANDS), *LATE):
        importlib.import_module(name)
    asyncio.run(_faust())
    for name in LATE_PARTS:
        compileall.compile_dir(Path(str(importlib.import_module(name).__file__)).parent, quiet=1)
    warm_otlp.main()
    print(f"compile_used: {len(sys.modules)} modules")
    return 0


async def _faust() -> None:
    build_app("compile_used", "127.0.0.1:9092")  # it connects to nothing before it is started


if __name__ == "__main__":
    sys.exit(main())
