"""Reading on without what cannot be used: one field of the wrong type is no reason to lose the rest of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from services.deploy_normalizer.domain.fields import BadField, Json, MissingField

MOST_ASIDE = 20  # fields left aside in one body; one with more is not what its reader takes it for
Found = TypeVar("Found")


def read_usable(read: Callable[[Json], Found], body: Json) -> tuple[Found, tuple[BadField, ...]]:
    """Return what a reader finds in a body less the fields it cannot use, and those, each with what is wrong with it.

    A field that is needed is not left aside: raises BadField or MissingField for it, as the reader does.
    """
    aside: list[BadField] = []
    while True:
        try:
            return read(body), tuple(aside)
        except BadField as bad:
            less = without(body, bad.path)
            if less is None or len(aside) == MOST_ASIDE:
                raise
            aside.append(bad)
            body = less
        except MissingField as missing:
            raise next((bad for bad in aside if bad.path == missing.path), missing) from None


def without(body: Json, path: str) -> Json | None:
    """Return a body less what is at a dotted path, None where nothing is; a step may have dots in it."""
    if path in body:
        return {name: value for name, value in body.items() if name != path}
    step, _, rest = path.partition(".")
    inner = body.get(step)
    less = without(inner, rest) if rest and isinstance(inner, Mapping) else None
    return None if less is None else {**body, step: less}
