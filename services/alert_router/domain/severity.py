"""How urgent an alert is, from the words of its sender."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from services.alert_router.domain.labels import Labels

WORDS = re.compile(r"[a-z0-9]+")


class Severity(IntEnum):
    """How urgent an alert is; ordered."""

    UNSPECIFIED = 0
    MINOR = 1
    WARNING = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True)
class Severities:
    """The labels that say how bad it is, and what the words in them mean, each as `compact` has it."""

    labels: tuple[str, ...] = ()
    words: Mapping[str, Severity] = field(default_factory=dict)

    def of(self, labels: Labels) -> Severity:
        """Return what the first of the labels says; a warning when it is not known, unspecified when none is there."""
        written = next((labels[name] for name in self.labels if labels.get(name, "").strip()), "")
        if not written:
            return Severity.UNSPECIFIED
        whole = self.words.get(compact(written))
        parts = [w for w in WORDS.findall(written.lower()) if not w.isdigit()]
        return whole or max((self.words[w] for w in parts if w in self.words), default=Severity.WARNING)

    def extended(self, labels: tuple[str, ...], words: Mapping[str, Severity]) -> Severities:
        """Return these with others before them."""
        return Severities((*labels, *self.labels), {**self.words, **words})


def compact(written: str) -> str:
    """Return a word as it is looked up: letters and digits, in lower case."""
    return "".join(WORDS.findall(written.lower()))
