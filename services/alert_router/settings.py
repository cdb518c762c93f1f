"""Settings of the router."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from libs.runtime.settings import ServiceSettings
from services.alert_router.domain.durations import parse_duration
from services.alert_router.domain.route import Route


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class AlertRouterSettings(ServiceSettings):
    """Where the doors are, how groups are made and when they are told. Durations are written like 30s, 5m or 4h."""

    health_port: int = Field(default=9093, ge=0, le=65535)
    """The port of the Alertmanager API, the webhooks, health and metrics."""
    alert_max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    """The largest request body that is taken, decompressed."""
    alert_service_labels: str = ""
    """The labels that can name the service an alert is about, the most telling first, with commas between; when empty,
    those of the alert conventions. Names of exporters are passed over, whatever label has them."""
    alert_conventions_file: Path | None = None
    """A TOML file like `services/alert_router/conventions.toml` that adds to it: under `[service]`, `labels` that name
    services (they go before the built-in ones), `pods`, `exporters` and `likely_exporters`; under `[severity]`, and for
    one tenant alone under `[tenants.<id>.severity]`, `labels` and the words that are `critical`, `warning` and `minor`;
    under `[heartbeats]` and `[inhibitors]`, `names` of alerts."""
    alert_resolve_timeout: Duration = timedelta(minutes=5)
    """How long an alert pushed without an end may go unrepeated before there is no data of it."""
    alert_webhook_resolve_timeout: Duration = timedelta(hours=5)
    """The same for alerts from an Alertmanager's webhook, which repeats every `repeat_interval` (4h by default)."""
    alert_receiver: str = "incidents"
    """The receiver's name in notifications."""
    alert_group_by: str = "service"
    """The labels whose values make a group, with commas between; where `service` is among them, alerts that name no
    service go by their name and all their labels but `severity`."""
    alert_group_wait: Duration = timedelta(seconds=5)
    """How long a new group waits for further alerts before it is told."""
    alert_group_interval: Duration = timedelta(seconds=15)
    """How long a group waits before what changed in it is told."""
    alert_repeat_interval: Duration = timedelta(hours=4)
    """How often a group that does not change is told again."""
    alert_start_delay: Duration = timedelta(seconds=5)
    """How long after a start it catches up with alerts that came meanwhile before it looks at groups."""

    @property
    def route(self) -> Route:
        """Return the root route; raises ValueError when it cannot work."""
        return Route(
            self.alert_receiver,
            _names(self.alert_group_by),
            self.alert_group_wait,
            self.alert_group_interval,
            self.alert_repeat_interval,
        )

    @property
    def service_labels(self) -> tuple[str, ...]:
        """Return the labels that alone can name the service, in order; none to leave it to the conventions."""
        return _names(self.alert_service_labels)

    @model_validator(mode="after")
    def _route_works(self) -> AlertRouterSettings:
        _ = self.route
        return self


def _names(written: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in written.split(",")) if name)
