"""What can be wrong with the machine, as one sentence that says what to do."""

from __future__ import annotations

from pathlib import Path

from libs.kernel.errors import IncidentScopeError

TAIL_LINES = 15


class LocalStackError(IncidentScopeError):
    """The stack cannot do what was asked; the text says what to do about it."""


class PartFailed(LocalStackError):
    """A part stopped or did not get ready; the text ends with the last lines of its log."""

    def __init__(self, part: str, what: str, log: Path) -> None:
        lines = tail(log, TAIL_LINES)
        shown = "".join(f"\n  | {line}" for line in lines) or "\n  | (nothing logged)"
        super().__init__(f"{part} {what}; the last lines of {log}:{shown}")
        self.part = part


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a text file, without reading more than 256 KiB of it; empty when it is missing."""
    if lines <= 0:
        return []
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - 256 * 1024))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]
