"""What an analysis of causes does to its incident: a line on the timeline, and the services it found to suffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.kernel import quantities
from services.incident_service.domain.model import (
    Change,
    Decision,
    Entry,
    EntryKind,
    Incident,
    Reason,
    changed,
    unique,
)

SOURCE = "correlation.hypotheses"
ACTOR = "correlation_engine"


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What an analysis says in the end; `service` and `cause_kind` are empty when no cause was named."""

    service: str = ""
    cause_kind: str = ""


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis: `statement` names the cause or says why there is none, `confidence` is 0 to 1.

    `evidence_kinds` and `signatures` (shapes of log lines) are those that speak for the first hypothesis.
    """

    incident_id: str
    version: int
    conclusion: Conclusion
    statement: str
    confidence: float
    impacted: Sequence[str]
    analysed_at: datetime
    evidence_kinds: Sequence[str] = ()
    signatures: Sequence[str] = ()

    @property
    def cause_named(self) -> bool:
        """Tell whether a cause was named."""
        return bool(self.conclusion.service)


@dataclass(frozen=True, slots=True)
class StoredAnalysis:
    """What is kept of the latest analysis to compare with."""

    version: int
    conclusion: Conclusion


def apply_analysis(incident: Incident, analysis: Analysis, latest: StoredAnalysis | None, now: datetime) -> Decision:
    """Tell what the analysis adds: nothing when it is old or concludes the same and finds no new service."""
    if latest is not None and analysis.version <= latest.version:
        return Decision(Reason.OLD_ANALYSIS, incident)
    services = unique(incident.services, analysis.impacted if analysis.cause_named else ())
    same = latest is not None and latest.conclusion == analysis.conclusion
    if same and services == incident.services:
        return Decision(Reason.SAME_CONCLUSION, incident)
    reason = Reason.CAUSE_NAMED if analysis.cause_named else Reason.NOT_ENOUGH_EVIDENCE
    updated = changed(incident, now, services=services)
    entry = Entry(EntryKind.HYPOTHESIS, now, ACTOR, SOURCE, _told(analysis))
    return Decision(reason, updated, (entry,), Change.UPDATED)


def _told(analysis: Analysis) -> str:
    if not analysis.cause_named:
        return f"Not enough evidence to name a cause: {analysis.statement}"
    sure = f" ({quantities.confidence(analysis.confidence)} confident)" if analysis.confidence > 0 else ""
    return f"Likely cause: {analysis.conclusion.service}: {analysis.statement}{sure}"
