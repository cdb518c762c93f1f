"""What people type, checked before it goes anywhere; errors are said to the person."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from libs.kernel.errors import InvalidInput

MAX_NOTE = 10_000
MAX_ACTOR = 100


def checked_id(incident_id: str) -> str:
    """Return a canonical incident id; raises InvalidInput with reason `bad_id`."""
    try:
        canonical = str(uuid.UUID(incident_id))
    except ValueError as exc:
        raise InvalidInput("bad_id", "An incident id is a UUID, such as 01920000-0000-7000-8000-000000000000.") from exc
    if canonical != incident_id.lower():
        raise InvalidInput("bad_id", "An incident id is written with hyphens and without braces.")
    return canonical


def checked_actor(actor: str) -> str:
    """Return a person's name without surrounding space; raises InvalidInput with reason `no_actor` or `long_actor`."""
    name = " ".join(actor.split())
    if not name:
        raise InvalidInput("no_actor", "Say who you are: the timeline records who did what.")
    if len(name) > MAX_ACTOR:
        raise InvalidInput("long_actor", f"The name is too long: at most {MAX_ACTOR} characters.")
    return name


def checked_note(text: str) -> str:
    """Return a note without surrounding space; raises InvalidInput with reason `long_note`. It may be empty."""
    note = text.replace("\r\n", "\n").strip()
    if len(note) > MAX_NOTE:
        raise InvalidInput("long_note", f"The note has {len(note):,} characters; at most {MAX_NOTE:,} are kept.")
    return note


def checked_due(text: str) -> datetime | None:
    """Return a date, as browsers send it, as its end in UTC, None when empty; raises InvalidInput with `bad_due`."""
    if not text.strip():
        return None
    try:
        day = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise InvalidInput("bad_due", f"Not a date: {text[:40]!r}. Use one such as 2026-01-31.") from exc
    at = day if day.tzinfo else day.replace(tzinfo=UTC)
    return at.replace(hour=23, minute=59) if len(text.strip()) <= 10 else at
