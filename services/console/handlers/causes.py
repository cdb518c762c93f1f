"""What surrounds likely causes: read for the pages, and the forms by which people judge them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import Message
from incidentscope.correlation.v1 import correlation_pb2 as correlation
from incidentscope.incident.v1 import incident_service_pb2 as contract

from libs.kernel.clock import Clock
from libs.kernel.errors import InvalidInput
from services.console import decode
from services.console.domain import views, windows
from services.console.domain.causes import AnalysisVersion, Background, Feedback, SimilarIncident
from services.console.handlers.checks import checked_id, checked_note
from services.console.handlers.parts import Parts
from services.console.ports import Incidents, RefusalReason, Refused

MAX_CAUSE = 2000
MAX_SERVICE = 200
_VERSIONS = 50
MOST_VERSION = 2**31 - 1


async def background_of(incidents: Incidents, tenant: str, incident_id: str, parts: Parts) -> Background:
    """Return what surrounds an incident's hypotheses; what cannot be read is named in `parts`."""
    nothing: tuple[AnalysisVersion, ...] = ()
    unjudged: tuple[Feedback, ...] = ()
    unlike: tuple[SimilarIncident, ...] = ()
    versions, feedback, similar = await asyncio.gather(
        parts.take("History of causes", _versions(incidents, tenant, incident_id), nothing),
        parts.take("Feedback", _feedback(incidents, tenant, incident_id), unjudged),
        parts.take("Similar incidents", _similar(incidents, tenant, incident_id), unlike),
    )
    return Background(versions, feedback, similar)


async def _versions(incidents: Incidents, tenant: str, incident_id: str) -> tuple[AnalysisVersion, ...]:
    request = contract.ListHypothesisVersionsRequest(id=incident_id, page_size=_VERSIONS)
    answer = await incidents.call(tenant, request, contract.ListHypothesisVersionsResponse)
    return tuple(decode.analysis_version(version) for version in answer.versions)


async def _feedback(incidents: Incidents, tenant: str, incident_id: str) -> tuple[Feedback, ...]:
    request = contract.ListHypothesisFeedbackRequest(id=incident_id)
    answer = await incidents.call(tenant, request, contract.ListHypothesisFeedbackResponse)
    return tuple(decode.feedback(given) for given in answer.feedback)


async def _similar(incidents: Incidents, tenant: str, incident_id: str) -> tuple[SimilarIncident, ...]:
    request = contract.ListSimilarIncidentsRequest(id=incident_id)
    answer = await incidents.call(tenant, request, contract.ListSimilarIncidentsResponse)
    return tuple(decode.similar_incident(similar) for similar in answer.incidents)


@dataclass(frozen=True, slots=True)
class CausePages:
    """Puts the pages about analyses together."""

    incidents: Incidents
    clock: Clock

    async def page(self, tenant: str, incident_id: str, version: int) -> views.AnalysisPage:
        """Return the page of one analysis; raises InvalidInput, Refused with NOT_FOUND, or Unavailable."""
        if not 0 < version <= MOST_VERSION:
            raise Refused(RefusalReason.NOT_FOUND, "Analyses are numbered from 1.")
        parts = Parts()
        request = contract.GetHypothesesRequest(id=checked_id(incident_id), version=version)
        opened, found, background = await asyncio.gather(
            self.incidents.get(tenant, contract.GetIncidentRequest(id=incident_id)),
            self.incidents.hypotheses(tenant, request),
            background_of(self.incidents, tenant, incident_id, parts),
        )
        incident, analysis = decode.incident(opened.incident), decode.analysis(found.analysis)
        now = self.clock.now()
        window = windows.around_onset(incident, views.onset(incident, analysis, now), now)
        return views.AnalysisPage(incident, now, window, analysis, background, parts.missing)


def confirm(form: Mapping[str, str]) -> Message:
    """Return the request to confirm the hypothesis a form names; raises InvalidInput."""
    return _judged(form, "judged", correlation.FEEDBACK_VERDICT_CONFIRMED)


def reject(form: Mapping[str, str]) -> Message:
    """Return the request to reject the hypothesis a form names; raises InvalidInput."""
    return _judged(form, "judged", correlation.FEEDBACK_VERDICT_REJECTED)


def name_cause(form: Mapping[str, str]) -> Message:
    """Return the request to record the real cause; raises InvalidInput."""
    cause = form.get("cause", "").replace("\r\n", "\n").strip()
    service = " ".join(form.get("cause_service", "").split())
    if not cause:
        raise InvalidInput("no_cause", "The cause is empty: say in a sentence what it was.")
    if len(cause) > MAX_CAUSE:
        raise InvalidInput("long_cause", f"The cause has {len(cause):,} characters; at most {MAX_CAUSE:,} are kept.")
    if len(service) > MAX_SERVICE:
        raise InvalidInput("long_service", f"The service's name is too long: at most {MAX_SERVICE} characters.")
    request = _judged(form, "about", correlation.FEEDBACK_VERDICT_REAL_CAUSE)
    request.real_cause, request.real_service = cause, service
    return request


def _judged(
    form: Mapping[str, str], field: str, verdict: correlation.FeedbackVerdict.ValueType
) -> contract.GiveHypothesisFeedbackRequest:
    version, _, rank = form.get(field, "").partition(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in (version, rank)):
        raise InvalidInput("bad_hypothesis", "Nothing was analysed yet, or the form is old: reload the page.")
    note = checked_note(form.get("text", ""))
    return contract.GiveHypothesisFeedbackRequest(
        analysis_version=int(version), rank=int(rank), verdict=verdict, note=note
    )
