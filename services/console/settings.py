"""What an operator can set. Names in upper case are the environment variables."""

from __future__ import annotations

from pydantic import Field

from libs.runtime.settings import ServiceSettings
from services.console.domain.doors import Doors


class ConsoleSettings(ServiceSettings):
    """Where the console listens and whom it asks; pages, REST, health and metrics share one port.

    `console_allowed_hosts` lists further host names it answers to, separated by commas. Host names of one label,
    addresses and the host of `console_url` are always answered: names with a dot must be listed, so that no web site
    can reach a console on the visitor's own network under its own name (DNS rebinding).
    """

    health_port: int = Field(default=8080, ge=0, le=65535)
    """The port of pages, REST, health and metrics."""
    incident_grpc_target: str = "127.0.0.1:50051"
    """Where incident_service answers gRPC."""
    deploy_grpc_target: str = "127.0.0.1:50052"
    """Where deploy_normalizer answers gRPC."""
    otlp_grpc_target: str = "127.0.0.1:4317"
    """Where telemetry is sent to by OTLP/gRPC, as told on pages that have none yet."""
    otlp_http_url: str = "http://127.0.0.1:4318"
    """The same by OTLP/HTTP."""
    alert_router_url: str = "http://127.0.0.1:9093"
    """Where alerts are sent to, as told on a page without incidents."""
    deploy_webhook_url: str = "http://127.0.0.1:8081"
    """Where deploys are reported to, as told on pages without deploys."""
    call_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds that a call of another service may take before its part of the page says so."""
    console_allowed_hosts: str = ""
    """Further host names with a dot that the console answers to, with commas between."""

    @property
    def doors(self) -> Doors:
        """Return where data is sent to."""
        urls = (self.otlp_http_url, self.alert_router_url, self.deploy_webhook_url)
        return Doors(self.otlp_grpc_target, *(url.rstrip("/") for url in urls))

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Return the host names that are answered besides those that always are, in lower case."""
        return frozenset(h.strip().lower() for h in self.console_allowed_hosts.split(",") if h.strip())
