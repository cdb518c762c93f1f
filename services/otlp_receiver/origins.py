"""Origins: which pages may send from a browser."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://[a-z0-9.*_-]+(?::(?:[0-9]{1,5}|\*))?|https?://\[[0-9a-f:]+\](?::[0-9]{1,5})?"
)
_ANYTHING = "[^/]*"


@dataclass(frozen=True, slots=True)
class Origins:
    """Origins as browsers write them, `https://shop.example.com`; `*` stands for any part of one, alone for all."""

    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, written: str) -> Origins:
        """Return the origins of a list with commas; raises ValueError for what is none."""
        names = tuple(name for part in written.split(",") if (name := part.strip().lower().rstrip("/")))
        for name in names:
            if name not in ("*", "null") and not _ORIGIN.fullmatch(name):
                raise ValueError(
                    f"{name[:100]!r} is no origin such as https://shop.example.com or https://*.example.com"
                )
        return cls(names)

    @property
    def pattern(self) -> str:
        """Return them as a regular expression for a whole origin; without any it matches none."""
        return (
            "|".join(".*" if name == "*" else re.escape(name).replace(r"\*", _ANYTHING) for name in self.names)
            or "(?!)"
        )

    def admit(self, origin: str) -> bool:
        """Tell whether the pages of an origin may send."""
        return re.fullmatch(self.pattern, origin, re.IGNORECASE) is not None


NO_ORIGINS = Origins()
