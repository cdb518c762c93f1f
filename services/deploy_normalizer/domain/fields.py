"""Reading JSON that others wrote: refusals name the field, and no text gets in that UTF-8 or PostgreSQL cannot hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from libs.kernel.errors import InvalidInput

Json = Mapping[str, object]
Known = TypeVar("Known")

NAME_CHARS = 255  # longest service, environment, version, repository: they are keys and labels downstream
PROSE_CHARS = 1000  # descriptions beyond this are cut
URL_CHARS = 2000
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)  # before this it is some system's zero time
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


class MissingField(InvalidInput):
    """A field that is needed is absent, null or empty."""

    def __init__(self, path: str) -> None:
        super().__init__("missing_field", f"the field `{path}` is missing or empty")
        self.path = path


class BadField(InvalidInput):
    """A field has a value that cannot be used."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__("bad_field", f"the field `{path}` {problem}")
        self.path = path


def lookup(body: Json, path: str) -> object:
    """Return the value at a dotted path; None when any step is absent, null or not an object."""
    value: object = body
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def section(body: Json, path: str) -> Json:
    """Return the object at a path; raises MissingField or BadField."""
    value = lookup(body, path)
    if value is None:
        raise MissingField(path)
    if not isinstance(value, Mapping):
        raise BadField(path, "must be an object")
    return value


def text_of(value: object, path: str, limit: int = NAME_CHARS) -> str:
    """Return a value found at a path as text, trimmed; empty when it is null; raises BadField."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadField(path, "must be text")
    text = _storable(value, path).strip()
    if len(text) > limit:
        raise BadField(path, f"is longer than {limit} characters")
    return text


def optional_text(body: Json, path: str, limit: int = NAME_CHARS) -> str:
    """Return the text at a path, trimmed; empty when absent or null; raises BadField."""
    return text_of(lookup(body, path), path, limit)


def optional_version(body: Json, path: str) -> str:
    """Return the version at a path, a text or a whole number; empty when absent or null; raises BadField."""
    value = lookup(body, path)
    number = isinstance(value, int) and not isinstance(value, bool)
    return text_of(str(value) if number else value, path)


def required_text(body: Json, path: str, limit: int = NAME_CHARS) -> str:
    """Return the text at a path; raises MissingField when absent or empty, else as `optional_text`."""
    text = optional_text(body, path, limit)
    if not text:
        raise MissingField(path)
    return text


def one_of(body: Json, path: str, known: Mapping[str, Known]) -> Known:
    """Return what the text at a path stands for; raises MissingField or BadField."""
    text = required_text(body, path)
    if text not in known:
        raise BadField(path, f"has the unknown value {text!r}; known are {', '.join(known)}")
    return known[text]


def prose(body: Json, path: str) -> str:
    """Return free text at a path, cut to PROSE_CHARS; raises BadField."""
    return optional_text(body, path, limit=5 * 1024 * 1024)[:PROSE_CHARS]


def identifier(body: Json, path: str) -> str:
    """Return the positive whole number or text at a path as text; raises MissingField or BadField."""
    value = lookup(body, path)
    if isinstance(value, bool) or (isinstance(value, int) and not 0 < value < 2**63):
        raise BadField(path, "must be a positive whole number")
    if isinstance(value, int):
        return str(value)
    return required_text(body, path)


def instant_of(text: str, path: str) -> datetime | None:
    """Return the instant of an RFC 3339 text at a path in UTC; None when empty or a zero time; raises BadField."""
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise BadField(path, f"has no time zone: {text!r}")
        instant = instant.astimezone(UTC)
    except OverflowError:
        return None
    except ValueError as exc:
        raise BadField(path, f"is not an RFC 3339 instant: {text!r}") from exc
    if instant > _LATEST:
        raise BadField(path, f"is too far in the future: {text!r}")
    return instant if instant >= _EARLIEST else None


def optional_instant(body: Json, path: str) -> datetime | None:
    """Return the RFC 3339 instant at a path in UTC; None when absent, empty or a zero time; raises BadField."""
    return instant_of(optional_text(body, path), path)


def required_instant(body: Json, path: str) -> datetime:
    """Return the RFC 3339 instant at a path in UTC; raises MissingField or BadField."""
    instant = optional_instant(body, path)
    if instant is None:
        raise MissingField(path)
    return instant


def link(body: Json, path: str) -> str:
    """Return the web address at a path; empty when absent, too long, or not http(s), as pages will link to it."""
    text = optional_text(body, path, limit=5 * 1024 * 1024)
    usable = text.lower().startswith(("https://", "http://")) and len(text) <= URL_CHARS
    return text if usable else ""


def _storable(text: str, path: str) -> str:
    if "\x00" in text:
        raise BadField(path, "contains a NUL character")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise BadField(path, "contains half of a surrogate pair")
    return text
