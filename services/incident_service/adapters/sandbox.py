"""Renders people's templates in a process of its own that is ended when it takes too long."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from prometheus_client import Counter

from libs.kernel.errors import InvalidInput, Unavailable
from services.incident_service.domain.communication import BODY_CHARS, SUBJECT_CHARS, Rendered, Template

WORKER = "services.incident_service.adapters.sandbox_worker"
SECONDS = 5.0
AT_ONCE = 2
RENDERED = Counter("incidentscope_incident_templates_rendered", "Templates rendered", ["outcome"])
_KEPT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")  # of the environment: no credentials


class SandboxRenderer:
    """Implements ports.Renderer; at most two templates are rendered at a time, the others wait."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def render(self, template: Template, facts: dict[str, object]) -> Rendered:
        """Return a message; raises InvalidInput when the template is wrong, takes too long or makes too much."""
        limits = {"subject": SUBJECT_CHARS, "body": BODY_CHARS}
        asked = {"subject": template.subject, "body": template.body, "facts": facts, "limits": limits}
        async with self._turn:
            answered = await self._ask(json.dumps(asked).encode())
        if "error" in answered:
            RENDERED.labels("refused").inc()
            raise InvalidInput("template", f"the template cannot be rendered: {answered['error'][:500]}")
        RENDERED.labels("ok").inc()
        subject = " ".join(answered["subject"].split())  # one line, whatever was put in: it becomes a header
        return Rendered(subject, answered["body"].strip())

    async def _ask(self, asked: bytes) -> dict[str, str]:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", WORKER, stdin=pipe, stdout=pipe, stderr=pipe, env=environment
            )
        except OSError as exc:
            raise Unavailable(f"templates cannot be rendered now: {exc}") from exc
        try:
            async with asyncio.timeout(self._seconds):
                made, complaint = await process.communicate(asked)
        except TimeoutError:
            return {"error": f"it takes longer than {self._seconds:.0f} s"}
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            return _died(process.returncode or 0, complaint)
        answered: dict[str, str] = json.loads(made)
        return answered


def _died(code: int, complaint: bytes) -> dict[str, str]:
    if code < 0 or b"MemoryError" in complaint:
        return {"error": "it needs too much time or memory"}
    raise Unavailable(f"templates cannot be rendered now: {complaint.decode(errors='replace')[-200:]}")
