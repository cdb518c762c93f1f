"""What people find about hypotheses: what is recorded, what then counts as the cause, how honest confidence was."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.incident_service.domain.model import Change, Decision, Entry, EntryKind, Incident, Reason, shorten
from services.incident_service.domain.records import Feedback, FeedbackVerdict

SOURCE = "grpc"
REJECTED = "Rejected by"  # how a rejection begins on the timeline
BINS = 10
TOLD_CHARS = 300  # of a cause or a note on the timeline


@dataclass(frozen=True, slots=True)
class Suspect:
    """A hypothesis as it can be judged; rank 0 stands for none."""

    rank: int = 0
    service: str = ""
    cause_kind: str = ""
    confidence: float = 0.0
    statement: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person says about a hypothesis."""

    verdict: FeedbackVerdict
    real_service: str
    real_cause: str
    note: str
    actor: str


@dataclass(frozen=True, slots=True)
class Judged:
    """Which hypothesis of which analysis a finding is about."""

    analysis_version: int
    suspect: Suspect


class Standing(StrEnum):
    """How well the cause of an incident is known."""

    UNKNOWN = "unknown"
    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Cause:
    """What is known of a cause; `by` is who judged it."""

    standing: Standing
    service: str = ""
    kind: str = ""
    statement: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Bin:
    """Judged hypotheses of like confidence; `lower` is inside the bin."""

    lower: float
    upper: float
    judged: int
    confirmed: int
    mean_confidence: float


def judge(incident: Incident, judged: Judged, finding: Finding, feedback_id: str, now: datetime) -> Decision:
    """Record a finding, whatever the status; the incident itself keeps its version."""
    suspect = judged.suspect
    record = Feedback(
        id=feedback_id,
        incident_id=incident.id,
        analysis_version=judged.analysis_version,
        rank=suspect.rank,
        verdict=finding.verdict,
        service=suspect.service,
        cause_kind=suspect.cause_kind,
        confidence=suspect.confidence,
        statement=suspect.statement,
        real_service=finding.real_service,
        real_cause=finding.real_cause,
        note=finding.note,
        actor=finding.actor,
        given_at=now,
    )
    entry = Entry(EntryKind.HYPOTHESIS, now, finding.actor, SOURCE, _told(record))
    return Decision(Reason.FEEDBACK_GIVEN, incident, (entry,), Change.UPDATED, records=(record,))


def _told(given: Feedback) -> str:
    which = f"hypothesis {given.rank} of analysis {given.analysis_version}, {given.service}"
    match given.verdict:
        case FeedbackVerdict.CONFIRMED:
            said = f"Cause confirmed by {given.actor}: {which}: {given.statement}"
        case FeedbackVerdict.REJECTED:
            said = f"{REJECTED} {given.actor}: {which}, is not the cause"
        case FeedbackVerdict.REAL_CAUSE:
            where = f"{given.real_service}: " if given.real_service else ""
            said = f"Real cause named by {given.actor}: {where}{given.real_cause}"
    return shorten(said, 2 * TOLD_CHARS) + (f"\n{shorten(given.note, TOLD_CHARS)}" if given.note else "")


def cause_of(suspect: Suspect | None, feedback: Iterable[Feedback]) -> Cause:
    """Return what is known of a cause: people's last word, else the hypothesis. `feedback` is oldest first."""
    found: Cause | None = None
    rejected: dict[str, str] = {}
    for given in feedback:
        if given.verdict is FeedbackVerdict.REJECTED:
            rejected[given.service] = given.actor
            found = None if found is not None and found.service == given.service else found
            continue
        found = _confirmed(given)
        rejected.pop(found.service, None)
    if found is not None:
        return found
    if suspect is None or not suspect.service:
        return Cause(Standing.UNKNOWN)
    if suspect.service in rejected:
        by = rejected[suspect.service]
        return Cause(Standing.REJECTED, suspect.service, suspect.cause_kind, suspect.statement, by)
    return Cause(Standing.SUSPECTED, suspect.service, suspect.cause_kind, suspect.statement)


def _confirmed(given: Feedback) -> Cause:
    if given.verdict is FeedbackVerdict.CONFIRMED:
        return Cause(Standing.CONFIRMED, given.service, given.cause_kind, given.statement, given.actor)
    same = given.real_service == given.service
    kind = given.cause_kind if same else ""
    return Cause(Standing.CONFIRMED, given.real_service, kind, given.real_cause, given.actor)


def held(given: Feedback) -> bool | None:
    """Tell whether the hypothesis judged was the cause; None when none was judged or the real service is not known."""
    if given.rank == 0:
        return None
    if given.verdict is FeedbackVerdict.REAL_CAUSE:
        return given.real_service == given.service if given.real_service else None
    return given.verdict is FeedbackVerdict.CONFIRMED


def calibration(feedback: Iterable[Feedback]) -> tuple[list[Bin], float]:
    """Return ten bins of confidence and the expected calibration error. `feedback` is oldest first.

    A hypothesis (an incident's service and cause) counts once, by the last word on it and the confidence it then had.
    """
    last: Mapping[tuple[str, str, str], Feedback] = {
        (given.incident_id, given.service, given.cause_kind): given for given in feedback if held(given) is not None
    }
    by_bin: dict[int, list[Feedback]] = {}
    for given in last.values():
        by_bin.setdefault(min(BINS - 1, math.floor(given.confidence * BINS + 1e-9)), []).append(given)
    bins = [_bin(number, by_bin.get(number, ())) for number in range(BINS)]
    judged = sum(b.judged for b in bins)
    off = sum(abs(b.judged * b.mean_confidence - b.confirmed) for b in bins)
    return bins, off / judged if judged else 0.0


def _bin(number: int, judged: Sequence[Feedback]) -> Bin:
    confirmed = sum(held(given) is True for given in judged)
    mean = sum(given.confidence for given in judged) / len(judged) if judged else 0.0
    return Bin(number / BINS, (number + 1) / BINS, len(judged), confirmed, mean)
