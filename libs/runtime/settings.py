"""Settings every service has; a service subclasses this and adds its own. All come from the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Where the servers are and how this process shows itself. Field names in upper case are the variables' names.

    Tenants and keys come from Postgres, or from `tenants_file` where it is set. `anonymous_tenant` and
    `trust_tenant_header` are for one machine: callers without a key have `anonymous_role`. `service_secret` signs what
    services call each other with. `access_most_stale_seconds` is how long keys are honoured while Postgres is away.
    """

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, use_attribute_docstrings=True)

    kafka_bootstrap: str = "127.0.0.1:9092"
    """Kafka's brokers, as `host:port` with commas between."""
    postgres_url: str = "postgresql://postgres@127.0.0.1:5433/incidentscope"
    """Postgres, as the role services connect as (`incidentscope_service` in production)."""
    clickhouse_url: str = "clickhouse://default@127.0.0.1:9000/incidentscope?http_port=8123"
    """ClickHouse: the native protocol's address, and the HTTP port of the same server for bulk inserts."""
    host: str = "127.0.0.1"
    """The address every port of the service is bound to."""
    health_port: int = Field(ge=0, le=65535)
    """The port of `/healthz`, `/readyz` and `/metrics`, and of the service's HTTP doors where it has any."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """`debug`, `info`, `warning` or `error`."""
    console_url: str = "http://127.0.0.1:8080"
    """Where people reach the console; links in messages start with it."""
    tenants_file: Path | None = Field(default=None, validation_alias="INCIDENTSCOPE_TENANTS_FILE")
    """A JSON file of tenants and key hashes, read in place of Postgres."""
    anonymous_tenant: str = Field(default="", validation_alias="INCIDENTSCOPE_ANONYMOUS_TENANT")
    """The tenant of callers without a key; without it they are refused. For one machine only."""
    anonymous_role: str = Field(
        default="admin", pattern="^(viewer|responder|admin)$", validation_alias="INCIDENTSCOPE_ANONYMOUS_ROLE"
    )
    """The role of callers without a key: `viewer`, `responder` or `admin`."""
    trust_tenant_header: bool = Field(default=False, validation_alias="INCIDENTSCOPE_TRUST_TENANT_HEADER")
    """Whether `x-tenant-id` of callers without a key is believed. For one machine only."""
    service_secret: SecretStr = Field(default=SecretStr(""), validation_alias="INCIDENTSCOPE_SERVICE_SECRET")
    """What services sign the tokens with that they call each other with; the same for all of them."""
    access_most_stale_seconds: float = Field(default=900.0, gt=0)
    """How long keys are honoured from memory while Postgres is away."""
