"""What people type to search a list: words, all of which must be found."""

from __future__ import annotations

from libs.kernel.errors import InvalidInput

QUERY_CHARS, MOST_WORDS = 200, 10


def words(q: str) -> tuple[str, ...]:
    """Return the words of a search, each once and in a fixed order; raises InvalidInput naming `q`."""
    if len(q) > QUERY_CHARS:
        raise InvalidInput("q", f"q has {len(q)} characters, at most {QUERY_CHARS} are allowed")
    if "\x00" in q:
        raise InvalidInput("q", "q contains a NUL character")
    found = q.split()
    if len(found) > MOST_WORDS:
        raise InvalidInput("q", f"q has {len(found)} words, at most {MOST_WORDS} are allowed")
    return tuple(sorted(set(found)))


def holds(wanted: tuple[str, ...], *texts: str) -> bool:
    """Tell whether each word is in one of the texts, in any case."""
    lowered = [text.lower() for text in texts]
    return all(any(word.lower() in text for text in lowered) for word in wanted)
