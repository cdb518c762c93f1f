"""How much a past incident resembles another, and in what: a weighted sum that can be said in words.

| what they share                                     | weight | counted by                                     |
|-----------------------------------------------------|--------|------------------------------------------------|
| the service that caused it                          | .40    | whole when a person confirmed the past cause,  |
|                                                     |        | half when it was only suspected, else nothing  |
| the kind of cause                                   | .10    | the same                                       |
| affected services                                   | .20    | common ones as a share of all (Jaccard)        |
| classes of evidence for the first suspect           | .15    | the same share                                 |
| shapes of log lines among that evidence             | .15    | the same share                                 |

So a confirmed past cause weighs twice an unconfirmed one, and a rejected one nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from services.incident_service.domain.hypotheses import Cause, Standing
from services.incident_service.domain.model import shorten

CAUSE, KIND, SERVICES, EVIDENCE, SIGNATURES = 0.4, 0.1, 0.2, 0.15, 0.15
TRUST = {Standing.CONFIRMED: 1.0, Standing.SUSPECTED: 0.5}
LEAST = 0.3
NAMED = 3  # names in one reason
NAME_CHARS = 80  # of each


@dataclass(frozen=True, slots=True)
class Profile:
    """What incidents are compared by."""

    cause: Cause
    services: tuple[str, ...]
    evidence_kinds: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An incident to compare with, and how it ended."""

    id: str
    title: str
    opened_at: datetime
    resolved_at: datetime | None
    resolution: str
    profile: Profile


@dataclass(frozen=True, slots=True)
class Similar:
    """A past incident, how similar it is (0 to 1), and why, the weightiest first."""

    incident: PastIncident
    similarity: float
    reasons: tuple[str, ...]


def most_similar(profile: Profile, past: Iterable[PastIncident], limit: int) -> list[Similar]:
    """Return the past incidents that resemble a profile, most similar first, the newer first among equals."""
    compared = (compare(profile, incident) for incident in past)
    found = [similar for similar in compared if similar.similarity >= LEAST]
    found.sort(key=lambda s: (round(s.similarity, 6), s.incident.opened_at), reverse=True)
    return found[:limit]


def compare(profile: Profile, past: PastIncident) -> Similar:
    """Return how similar a past incident is and why."""
    parts = [
        _cause(profile.cause, past.profile.cause),
        _kind(profile.cause, past.profile.cause),
        _shared(SERVICES, "affected services", profile.services, past.profile.services),
        _shared(EVIDENCE, "classes of evidence", profile.evidence_kinds, past.profile.evidence_kinds),
        _shared(SIGNATURES, "log lines", profile.signatures, past.profile.signatures),
    ]
    told = sorted((part for part in parts if part[0] > 0), key=lambda part: -part[0])
    return Similar(past, min(1.0, sum(weight for weight, _ in told)), tuple(reason for _, reason in told))


def _cause(mine: Cause, past: Cause) -> tuple[float, str]:
    if not mine.service or mine.service != past.service or mine.standing is Standing.REJECTED:
        return 0.0, ""
    how = f"confirmed by {past.by}" if past.standing is Standing.CONFIRMED else "never confirmed"
    return CAUSE * TRUST.get(past.standing, 0.0), f"the same cause: {past.service} ({how})"


def _kind(mine: Cause, past: Cause) -> tuple[float, str]:
    if not mine.kind or mine.kind != past.kind or mine.standing is Standing.REJECTED:
        return 0.0, ""
    words = past.kind.removeprefix("CAUSE_KIND_").replace("_", " ").lower()
    return KIND * TRUST.get(past.standing, 0.0), f"the same kind of cause: {words}"


def _shared(weight: float, what: str, mine: Collection[str], past: Collection[str]) -> tuple[float, str]:
    both, either = set(mine) & set(past), set(mine) | set(past)
    if not both:
        return 0.0, ""
    shown = [shorten(name, NAME_CHARS) for name in sorted(both)[:NAMED]]
    more = f" and {len(both) - NAMED} more" if len(both) > NAMED else ""
    return weight * len(both) / len(either), f"{len(both)} of {len(either)} {what}: {', '.join(shown)}{more}"
