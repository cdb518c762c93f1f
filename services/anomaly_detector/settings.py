"""Settings of the detector."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from libs.runtime.settings import ServiceSettings


class AnomalyDetectorSettings(ServiceSettings):
    """Where the rules are; the built-in ones when `ANOMALY_RULES_FILE` is not set."""

    health_port: int = Field(default=9104, ge=0, le=65535)
    anomaly_rules_file: Path | None = None
    """A YAML file of rules, in place of the built-in ones."""
