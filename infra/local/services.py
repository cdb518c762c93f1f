"""The services of the suite, as data: how each is started and asked whether it is ready."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from infra.local.clickhouse import PROJECT
from infra.local.part import Part, Say, http_problem
from infra.local.ports import Ports
from infra.local.processes import Command


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `port` answers /readyz; `extra` are the further ports it listens on, by environment variable."""

    name: str
    port: str
    extra: Mapping[str, str]

    @property
    def module(self) -> str:
        """Return what is run."""
        return f"services.{self.name}"


SERVICES = (
    Service("otlp_receiver", "otlp_http", {"OTLP_GRPC_PORT": "otlp_grpc"}),
    Service("log_consumer", "log_consumer", {}),
    Service("metric_consumer", "metric_consumer", {}),
    Service("trace_consumer", "trace_consumer", {}),
    Service("anomaly_detector", "anomaly_detector", {}),
    Service("alert_router", "alert_router", {}),
    Service("incident_service", "incident_service", {"INCIDENT_GRPC_PORT": "incident_grpc"}),
    Service("deploy_normalizer", "deploy_http", {"DEPLOY_GRPC_PORT": "deploy_grpc"}),
    Service("correlation_engine", "correlation_engine", {}),
    Service("console", "console", {}),
)


def part(service: Service, ports: Ports, environment: Mapping[str, str]) -> Part:
    """Return how to run a service with the stack's environment."""
    own = {name: str(ports[port]) for name, port in service.extra.items()}
    complete = {**environment, **own, "HEALTH_PORT": str(ports[service.port]), "MALLOC_ARENA_MAX": "2"}

    def prepare(_say: Say) -> Command:
        return Command([sys.executable, "-m", service.module], complete, PROJECT)

    return Part(
        service.name,
        (service.port, *service.extra.values()),
        prepare,
        lambda: http_problem(ports[service.port], "/readyz"),
    )
