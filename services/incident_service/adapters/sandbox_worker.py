"""`python -m services.incident_service.adapters.sandbox_worker` renders one template and ends.

Reads JSON {subject, body, facts, limits} from standard input and writes JSON {subject, body} or {error}.
Its own process, so that a template that computes for ever or fills memory can be ended; within it Jinja's immutable
sandbox keeps a template away from everything but the facts.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

CPU_SECONDS = 2
MEMORY_BYTES = 512 * 1024 * 1024


class TooLong(Exception):
    """A template makes more than is allowed."""


def render(source: str, facts: dict[str, Any], most: int) -> str:
    """Return what a template makes of facts; raises jinja2's errors or TooLong."""
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    environment.globals = {}  # no range, lipsum, cycler: facts only
    made: list[str] = []
    size = 0
    for piece in environment.from_string(source).generate(facts):
        size += len(piece)
        if size > most:
            raise TooLong(f"it makes more than {most} characters")
        made.append(piece)
    return "".join(made)


def answer(asked: dict[str, Any]) -> dict[str, str]:
    """Return the rendered parts, or what is wrong with them."""
    made: dict[str, str] = {}
    for part in ("subject", "body"):
        try:
            made[part] = render(asked[part], asked["facts"], asked["limits"][part])
        except SecurityError as exc:
            return {"error": f"{part}: not allowed in a template: {exc}"}
        except (TemplateError, TooLong, TypeError, ValueError, ArithmeticError, RecursionError, LookupError) as exc:
            line = f" (line {exc.lineno})" if isinstance(exc, TemplateSyntaxError) else ""
            return {"error": f"{part}{line}: {exc or type(exc).__name__}"}
        except MemoryError:
            return {"error": f"{part}: it needs too much memory"}
    return made


def main() -> int:
    """Render what standard input asks for, within limits of time and memory."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
