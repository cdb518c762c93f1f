"""The part of the incident service in memory that is about hypotheses."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import Message
from incidentscope.correlation.v1 import correlation_events_pb2 as correlation_events
from incidentscope.correlation.v1 import correlation_pb2 as correlation
from incidentscope.incident.v1 import incident_pb2
from incidentscope.incident.v1 import incident_service_pb2 as contract

from libs.kernel.clock import Clock
from libs.kernel.ids import uuid7
from services.console.ports import RefusalReason, Refused
from tests.unit.services.console.stamps import stamp


class MemoryHypotheses:
    """Versions, feedback and similar incidents; the latter are put there by tests."""

    clock: Clock
    analyses: dict[str, correlation_events.HypothesesPublished]
    note: Callable[..., None]
    _find: Callable[[str, str], incident_pb2.Incident]

    def __init__(self) -> None:
        self.older: dict[str, list[correlation_events.HypothesesPublished]] = {}
        self.feedback: list[correlation.Feedback] = []
        self.similar: dict[str, list[correlation.SimilarIncident]] = {}

    def analysis(self, incident_id: str, version: int) -> correlation_events.HypothesesPublished:
        """Return an analysis, the latest for version 0; raises Refused."""
        kept = self._kept(incident_id)
        found = kept[:1] if version == 0 else [a for a in kept if a.version == version]
        if not found:
            raise Refused(RefusalReason.NOT_FOUND, f"There is no analysis {version or 'yet'}.")
        return found[0]

    def _kept(self, incident_id: str) -> list[correlation_events.HypothesesPublished]:
        latest = self.analyses.get(incident_id)
        return ([latest] if latest is not None else []) + self.older.get(incident_id, [])

    def _ListHypothesisVersions(self, tenant: str, request: contract.ListHypothesisVersionsRequest) -> Message:
        self._find(tenant, request.id)
        versions = []
        for analysis in self._kept(request.id):
            first = min(analysis.hypotheses, key=lambda h: h.rank, default=correlation.Hypothesis())
            versions.append(
                correlation.AnalysisVersion(
                    version=analysis.version, analysed_at=analysis.analysed_at, verdict=analysis.verdict,
                    change=analysis.change, change_statement=analysis.change_statement, service=first.service,
                    confidence=first.confidence, statement=first.statement or analysis.reason,
                )
            )  # fmt: skip
        return contract.ListHypothesisVersionsResponse(versions=versions)

    def _GiveHypothesisFeedback(self, tenant: str, request: contract.GiveHypothesisFeedbackRequest) -> Message:
        self._find(tenant, request.id)
        analysis = self.analysis(request.id, request.analysis_version)
        judged = next((h for h in analysis.hypotheses if h.rank == request.rank), correlation.Hypothesis())
        if request.rank and not judged.rank:
            raise Refused(RefusalReason.INVALID_ARGUMENT, f"analysis {analysis.version} has no such hypothesis")
        given = correlation.Feedback(
            id=uuid7(self.clock.now()), incident_id=request.id, analysis_version=request.analysis_version,
            rank=request.rank, verdict=request.verdict, service=judged.service, cause_kind=judged.cause_kind,
            confidence=judged.confidence, real_service=request.real_service, real_cause=request.real_cause,
            note=request.note, actor=request.actor, given_at=stamp(self.clock.now()),
        )  # fmt: skip
        self.feedback.insert(0, given)
        text = f"Judged by {request.actor}: {judged.service or request.real_service}"
        kind = incident_pb2.TIMELINE_KIND_HYPOTHESIS
        self.note(request.id, kind, self.clock.now(), request.actor, text)
        return contract.GiveHypothesisFeedbackResponse(feedback=given)

    def _ListHypothesisFeedback(self, tenant: str, request: contract.ListHypothesisFeedbackRequest) -> Message:
        self._find(tenant, request.id)
        found = [f for f in self.feedback if f.incident_id == request.id]
        return contract.ListHypothesisFeedbackResponse(feedback=found)

    def _ListSimilarIncidents(self, tenant: str, request: contract.ListSimilarIncidentsRequest) -> Message:
        self._find(tenant, request.id)
        return contract.ListSimilarIncidentsResponse(incidents=self.similar.get(request.id, []))
