"""Label sets: text form, order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cmp_to_key

Labels = Mapping[str, str]

PLAIN_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def text(labels: Labels) -> str:
    """Return a label set as Prometheus prints it, such as `{alertname="Down", job="api"}`."""
    return "{" + ", ".join(f"{_name(n)}={_quoted(labels[n])}" for n in sorted(labels)) + "}"


def _name(name: str) -> str:
    return name if PLAIN_NAME.fullmatch(name) else _quoted(name)


def _quoted(value: str) -> str:
    escaped = "".join(ESCAPES.get(c) or (c if c >= " " and c != "\x7f" else f"\\x{ord(c):02x}") for c in value)
    return f'"{escaped}"'


def compare(a: Labels, b: Labels) -> int:
    """Order label sets as notifications list them: by job, by instance, then as label sets; negative if a is first."""
    for name in ("job", "instance"):
        if a.get(name) != b.get(name):
            return _compare_values(a.get(name), b.get(name), missing_first=False)
    if len(a) != len(b):
        return len(a) - len(b)
    for name in sorted(a.keys() | b.keys()):
        if a.get(name) != b.get(name):
            return _compare_values(a.get(name), b.get(name), missing_first=True)
    return 0


def _compare_values(a: str | None, b: str | None, missing_first: bool) -> int:
    if a is None or b is None:
        return -1 if (a is None) == missing_first else 1
    return -1 if a < b else 1


order = cmp_to_key(compare)
"""A sort key for label sets."""
