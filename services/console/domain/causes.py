"""What surrounds the likely causes of an incident: their story, checks, history, feedback and similar incidents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One step from the change over the first sign to who suffers; `part` is the words people read.

    `to_the_minute`: it began some time in the minute of `at`.
    """

    part: str
    service: str
    statement: str
    at: datetime | None = None
    url: str = ""
    to_the_minute: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at, and what to see there if the hypothesis holds or not; `query` is ClickHouse SQL."""

    kind: str
    service: str
    look_at: str
    confirms: str
    refutes: str
    url: str = ""
    query: str = ""


@dataclass(frozen=True, slots=True)
class AnalysisVersion:
    """One publication in the history of analyses; `service` is empty without a suspect."""

    version: int
    named: bool
    change: str
    service: str
    confidence: float
    statement: str
    analysed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person found; `verdict` is `confirmed`, `rejected` or `real cause`."""

    verdict: str
    service: str
    cause: str
    rank: int
    analysis_version: int
    real_service: str
    real_cause: str
    note: str
    actor: str
    given_at: datetime


@dataclass(frozen=True, slots=True)
class SimilarIncident:
    """A past incident; `standing` is how well its cause is known: `confirmed`, `suspected`, `rejected` or `unknown`."""

    id: str
    title: str
    similarity: float
    reasons: tuple[str, ...]
    cause_service: str
    cause: str
    standing: str
    judged_by: str
    resolution: str
    opened_at: datetime
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Background:
    """What is known around an incident's hypotheses; versions and feedback newest first."""

    versions: tuple[AnalysisVersion, ...] = ()
    feedback: tuple[Feedback, ...] = ()
    similar: tuple[SimilarIncident, ...] = ()

    @property
    def real_cause(self) -> Feedback | None:
        """Return the last real cause that was named, unless a hypothesis was confirmed since."""
        last = next((f for f in self.feedback if f.verdict in ("confirmed", "real cause")), None)
        return last if last is not None and last.verdict == "real cause" else None

    def word_on(self, service: str, cause: str) -> Feedback | None:
        """Return the last word on a hypothesis, by its service and kind of cause."""
        return _last(f for f in self.feedback if (f.service, f.cause) == (service, cause) and f.verdict != "real cause")


def _last(newest_first: Iterable[Feedback]) -> Feedback | None:
    return next(iter(newest_first), None)
