"""Numbers and names in sentences."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN_NAMES = 3
SHOWN_TEXT = 160


def ahead(minutes: float) -> str:
    """Return how long before the onset something was; the onset is known to the minute."""
    return "in the minute of the onset" if minutes < 1 else f"{minutes:.0f} min before the onset"


def names(values: Sequence[str]) -> str:
    """Return names as a list in words, the tail counted when it is long."""
    shown = list(values[:SHOWN_NAMES])
    rest = len(values) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def excerpt(text: str) -> str:
    """Return the text on one line, cut where a reader would stop."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_TEXT else line[: SHOWN_TEXT - 1] + "…"
