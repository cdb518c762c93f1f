"""The fenced blocks of README.md, and their text with the addresses of a running stack in place of the default ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.local.ports import DEFAULTS, Ports

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"^(make|python|docker|curl|eval|export|git|\.) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, the line of the page it begins at, and what is in it."""

    language: str
    line: int
    text: str

    @property
    def has_commands(self) -> bool:
        """Return whether a line of it looks like something to type."""
        return PROGRAM.search(self.text) is not None

    def at(self, ports: Ports) -> str:
        """Return the text with the ports of a stack in place of the default ones, and nothing else changed."""
        text = self.text
        for name, number in DEFAULTS.items():
            text = re.sub(rf"\b127\.0\.0\.1:{number}\b", f"127.0.0.1:@{name}@", text)
        for name in DEFAULTS:
            text = text.replace(f"@{name}@", str(ports[name]))
        return text


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page in their order."""
    for match in FENCE.finditer(page):
        yield Block(match[1], page.count("\n", 0, match.start()) + 1, match[2])
