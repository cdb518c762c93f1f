"""Where telemetry, alerts and deploys are sent to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Doors:
    """The suite's doors as senders reach them: `host:port` for gRPC, URLs without a slash at the end for the others."""

    otlp_grpc: str
    otlp_http: str
    alerts: str
    deploys: str
