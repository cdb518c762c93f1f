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

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True)

    kafka_bootstrap: str = "127.0.0.1:9092"
    postgres_url: str = "postgresql://postgres@127.0.0.1:5433/incidentscope"
    clickhouse_url: str = "clickhouse://default@127.0.0.1:9000/incidentscope?http_port=8123"
    host: str = "127.0.0.1"
    health_port: int = Field(ge=0, le=65535)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    console_url: str = "http://127.0.0.1:8080"
    tenants_file: Path | None = Field(default=None, validation_alias="INCIDENTSCOPE_TENANTS_FILE")
    anonymous_tenant: str = Field(default="", validation_alias="INCIDENTSCOPE_ANONYMOUS_TENANT")
    anonymous_role: str = Field(
        default="admin", pattern="^(viewer|responder|admin)$", validation_alias="INCIDENTSCOPE_ANONYMOUS_ROLE"
    )
    trust_tenant_header: bool = Field(default=False, validation_alias="INCIDENTSCOPE_TRUST_TENANT_HEADER")
    service_secret: SecretStr = Field(default=SecretStr(""), validation_alias="INCIDENTSCOPE_SERVICE_SECRET")
    access_most_stale_seconds: float = Field(default=900.0, gt=0)
