"""What senders mean by their labels, from TOML files: the built-in one, and one that adds to it."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from libs.kernel.errors import IncidentScopeError
from services.alert_router.domain.conventions import Conventions
from services.alert_router.domain.naming import Naming
from services.alert_router.domain.severity import Severities, Severity, compact

BUILT_IN = "conventions.toml"
Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[list[Name], Field(max_length=1000)]


class ConventionsInvalid(IncidentScopeError):
    """The conventions cannot be used; the text names the file, the place and what is wrong."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Service(_Table):
    labels: Names = []
    pods: Names = []
    exporters: Names = []
    likely_exporters: Names = []


class _Severity(_Table):
    labels: Names = []
    critical: Names = []
    warning: Names = []
    minor: Names = []

    def words(self) -> dict[str, Severity]:
        """Return what each word means; one in two lists means the worse."""
        grades = ((Severity.MINOR, self.minor), (Severity.WARNING, self.warning), (Severity.CRITICAL, self.critical))
        return {compact(word): severity for severity, words in grades for word in words}


class _Tenant(_Table):
    severity: _Severity


class _Alerts(_Table):
    names: Names = []

    def compacted(self) -> set[str]:
        """Return the names as they are compared."""
        return {compact(name) for name in self.names}


class _File(_Table):
    service: _Service = _Service()
    severity: _Severity = _Severity()
    heartbeats: _Alerts = _Alerts()
    inhibitors: _Alerts = _Alerts()
    tenants: dict[str, _Tenant] = {}


def load_conventions(path: Path | None = None, service_labels: tuple[str, ...] = ()) -> Conventions:
    """Return the built-in conventions with those of a file; raises ConventionsInvalid.

    The file's labels go before the built-in ones; `service_labels`, if any, are the only ones.
    """
    built_in = _read(resources.files("services.alert_router").joinpath(BUILT_IN).read_text(), BUILT_IN)
    own = _read_path(path) if path else _File()
    severities = _severities(own.severity, _severities(built_in.severity, Severities()))
    return Conventions(
        _naming(own.service, built_in.service, service_labels),
        severities,
        {tenant: _severities(table.severity, severities) for tenant, table in own.tenants.items()},
        built_in.heartbeats.compacted() | own.heartbeats.compacted(),
        built_in.inhibitors.compacted() | own.inhibitors.compacted(),
    )


def _naming(own: _Service, built_in: _Service, only: tuple[str, ...]) -> Naming:
    return Naming(
        labels=only or (*own.labels, *built_in.labels),
        pods=(*own.pods, *built_in.pods),
        exporters=(*own.exporters, *built_in.exporters),
        likely_exporters=(*own.likely_exporters, *built_in.likely_exporters),
    )


def _severities(table: _Severity, others: Severities) -> Severities:
    return others.extended(tuple(table.labels), table.words())


def _read_path(path: Path) -> _File:
    try:
        return _read(path.read_text(), str(path))
    except OSError as exc:
        raise ConventionsInvalid(f"cannot read the alert conventions {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConventionsInvalid(f"the alert conventions {path} are not UTF-8 text") from exc


def _read(written: str, name: str) -> _File:
    try:
        return _File.model_validate(tomllib.loads(written))
    except ValidationError as exc:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        raise ConventionsInvalid(f"the alert conventions {name} are wrong: {problems}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConventionsInvalid(f"the alert conventions {name} cannot be read as TOML: {exc}") from exc
