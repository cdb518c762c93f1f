"""gRPC: the whole service. Each method checks the request, calls the use case of the caller's tenant, and answers."""

from __future__ import annotations

from dataclasses import dataclass

from incidentscope.incident.v1 import incident_service_pb2_grpc

from libs.kernel.clock import Clock
from services.incident_service.adapters.grpc_hypotheses import HypothesisRpcs
from services.incident_service.adapters.grpc_lifecycle import LifecycleRpcs
from services.incident_service.adapters.grpc_postmortems import PostmortemRpcs
from services.incident_service.adapters.grpc_response import CommunicationRpcs, ResponseRpcs
from services.incident_service.adapters.grpc_watch import WatchRpcs
from services.incident_service.handlers.communication import Communication
from services.incident_service.handlers.hypotheses import Hypotheses
from services.incident_service.handlers.incidents import Incidents
from services.incident_service.handlers.postmortems import Postmortems
from services.incident_service.handlers.response import Response
from services.incident_service.handlers.watch import Watches
from services.incident_service.handlers.writes import Writes

SERVICE_NAME = "incidentscope.incident.v1.IncidentService"


@dataclass
class IncidentServicer(
    LifecycleRpcs,
    ResponseRpcs,
    CommunicationRpcs,
    PostmortemRpcs,
    WatchRpcs,
    HypothesisRpcs,
    incident_service_pb2_grpc.IncidentServiceServicer,
):
    """Every method of the contract."""

    writes: Writes
    incidents: Incidents
    responses: Response
    communication: Communication
    postmortems: Postmortems
    watches: Watches
    hypotheses: Hypotheses
    clock: Clock
