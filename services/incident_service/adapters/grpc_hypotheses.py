"""gRPC: hypotheses by version, what people found about them, similar incidents, calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incidentscope.correlation.v1 import correlation_pb2 as pb
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.incident.v1 import incident_service_pb2 as rpc
from incidentscope.incident.v1 import incident_service_pb2_grpc

from libs.kernel.errors import InvalidInput
from libs.runtime.grpc_server import current_tenant
from services.incident_service.adapters import requests as check
from services.incident_service.adapters.encode import timestamp
from services.incident_service.adapters.grpc_calls import reading, writing
from services.incident_service.domain.hypotheses import Finding, Standing, Suspect
from services.incident_service.domain.records import Feedback, FeedbackVerdict
from services.incident_service.domain.similarity import Similar
from services.incident_service.handlers.hypotheses import Hypotheses
from services.incident_service.handlers.writes import Writes
from services.incident_service.ports import Transaction

if TYPE_CHECKING:
    Base = incident_service_pb2_grpc.IncidentServiceServicer
else:
    Base = object
CAUSE_CHARS = 2000
MOST_VERSION = 2**31 - 1
VERDICTS = {v: pb.FeedbackVerdict.Value(f"FEEDBACK_VERDICT_{v.name}") for v in FeedbackVerdict}
STANDINGS = {
    Standing.UNKNOWN: pb.CAUSE_STANDING_UNSPECIFIED,
    Standing.SUSPECTED: pb.CAUSE_STANDING_SUSPECTED,
    Standing.CONFIRMED: pb.CAUSE_STANDING_CONFIRMED,
    Standing.REJECTED: pb.CAUSE_STANDING_REJECTED,
}


class HypothesisRpcs(Base):
    """The rpcs around likely causes."""

    writes: Writes
    hypotheses: Hypotheses

    @reading
    async def GetHypotheses(self, request: rpc.GetHypothesesRequest) -> rpc.GetHypothesesResponse:
        """Return the latest analysis, or that of a version."""
        version = _number("version", request.version)
        encoded = await self.hypotheses.analysis(current_tenant(), check.incident_id(request.id), version)
        return rpc.GetHypothesesResponse(analysis=HypothesesPublished.FromString(encoded))

    @reading
    async def ListHypothesisVersions(
        self, request: rpc.ListHypothesisVersionsRequest
    ) -> rpc.ListHypothesisVersionsResponse:
        """List the analyses of an incident."""
        incident_id = check.incident_id(request.id)
        size = check.page_size(request.page_size, most=200, usual=50)
        scope = f"analyses {incident_id}"
        older_than = check.number_position(scope, request.page_token) or None
        found = await self.hypotheses.analyses(current_tenant(), incident_id, size + 1, older_than)
        versions = [_version(HypothesesPublished.FromString(encoded)) for encoded in found[:size]]
        token = check.page_token(scope, str(versions[-1].version)) if len(found) > size else ""
        return rpc.ListHypothesisVersionsResponse(versions=versions, next_page_token=token)

    @writing(rpc.GiveHypothesisFeedbackResponse)
    async def GiveHypothesisFeedback(
        self, request: rpc.GiveHypothesisFeedbackRequest, tx: Transaction
    ) -> rpc.GiveHypothesisFeedbackResponse:
        """Record what a person found about a hypothesis."""
        incident_id, finding = check.incident_id(request.id), _finding(request)
        which = _number("analysis_version", request.analysis_version, 1), _rank(request, finding)
        given = await self.hypotheses.judge(tx, incident_id, which, finding, _suspects)
        return rpc.GiveHypothesisFeedbackResponse(feedback=_feedback(given))

    @reading
    async def ListHypothesisFeedback(
        self, request: rpc.ListHypothesisFeedbackRequest
    ) -> rpc.ListHypothesisFeedbackResponse:
        """List what people found about an incident's hypotheses."""
        found = await self.hypotheses.feedback(current_tenant(), check.incident_id(request.id))
        return rpc.ListHypothesisFeedbackResponse(feedback=[_feedback(given) for given in found])

    @reading
    async def ListSimilarIncidents(self, request: rpc.ListSimilarIncidentsRequest) -> rpc.ListSimilarIncidentsResponse:
        """List past incidents that resemble one."""
        size = check.page_size(request.page_size, most=20, usual=5)
        found = await self.hypotheses.similar(current_tenant(), check.incident_id(request.id), size)
        return rpc.ListSimilarIncidentsResponse(incidents=[_similar(similar) for similar in found])

    @reading
    async def GetHypothesisCalibration(
        self, _request: rpc.GetHypothesisCalibrationRequest
    ) -> rpc.GetHypothesisCalibrationResponse:
        """Return how often hypotheses of like confidence were the cause."""
        bins, error = await self.hypotheses.calibration(current_tenant())
        counted = [
            pb.ConfidenceBin(
                lower=b.lower, upper=b.upper, judged=b.judged, confirmed=b.confirmed, mean_confidence=b.mean_confidence
            )
            for b in bins
        ]
        return rpc.GetHypothesisCalibrationResponse(bins=counted, expected_calibration_error=error)


def _number(field: str, value: int, least: int = 0) -> int:
    if not least <= value <= MOST_VERSION:
        raise InvalidInput(field, f"{field} is required" if value == 0 else f"{field} must not be negative: {value}")
    return value


def _finding(request: rpc.GiveHypothesisFeedbackRequest) -> Finding:
    verdict = check.one_of("verdict", request.verdict, VERDICTS)
    real = verdict is FeedbackVerdict.REAL_CAUSE
    finding = Finding(
        verdict,
        check.text("real_service", request.real_service, check.NAME_CHARS, required=False),
        check.text("real_cause", request.real_cause, CAUSE_CHARS, required=real),
        check.text("note", request.note, check.TEXT_CHARS, required=False),
        check.actor(request.actor),
    )
    if not real and (finding.real_service or finding.real_cause):
        raise InvalidInput("real_cause", "real_service and real_cause belong to the verdict of a real cause only")
    return finding


def _rank(request: rpc.GiveHypothesisFeedbackRequest, finding: Finding) -> int:
    return _number("rank", request.rank, 0 if finding.verdict is FeedbackVerdict.REAL_CAUSE else 1)


def _suspects(encoded: bytes) -> list[Suspect]:
    found = HypothesesPublished.FromString(encoded).hypotheses
    return [
        Suspect(h.rank, _clean(h.service), _kind(h.cause_kind), min(1.0, max(0.0, h.confidence)), _clean(h.statement))
        for h in found
    ]


def _clean(text: str) -> str:
    return text.replace("\x00", "\ufffd")  # the one character Postgres cannot keep


def _kind(number: int) -> str:
    known = pb.CauseKind.DESCRIPTOR.values_by_number
    return str(known[number].name) if number in known else str(number)


def _version(analysis: HypothesesPublished) -> pb.AnalysisVersion:
    first = min(analysis.hypotheses, key=lambda h: h.rank, default=pb.Hypothesis())
    named = analysis.verdict == pb.VERDICT_CAUSE_NAMED
    return pb.AnalysisVersion(
        version=analysis.version,
        analysed_at=analysis.analysed_at,
        verdict=analysis.verdict,
        change=analysis.change,
        change_statement=analysis.change_statement,
        service=first.service,
        cause_kind=first.cause_kind,
        confidence=first.confidence,
        statement=first.statement if named else analysis.reason,
    )


def _feedback(given: Feedback) -> pb.Feedback:
    kinds = dict(pb.CauseKind.items())
    return pb.Feedback(
        id=given.id,
        incident_id=given.incident_id,
        analysis_version=given.analysis_version,
        rank=given.rank,
        verdict=VERDICTS[given.verdict],
        service=given.service,
        cause_kind=kinds.get(given.cause_kind, pb.CAUSE_KIND_UNSPECIFIED),
        confidence=given.confidence,
        real_service=given.real_service,
        real_cause=given.real_cause,
        note=given.note,
        actor=given.actor,
        given_at=timestamp(given.given_at),
    )


def _similar(similar: Similar) -> pb.SimilarIncident:
    past = similar.incident
    cause = past.profile.cause
    return pb.SimilarIncident(
        incident_id=past.id,
        title=past.title,
        opened_at=timestamp(past.opened_at),
        resolved_at=timestamp(past.resolved_at),
        similarity=similar.similarity,
        reasons=similar.reasons,
        cause_service=cause.service,
        cause=cause.statement,
        standing=STANDINGS[cause.standing],
        judged_by=cause.by,
        resolution=past.resolution,
        url=f"/incidents/{past.id}",
    )
