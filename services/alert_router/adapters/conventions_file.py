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


class _File(_Table):
    service: _Service = _Service()


def load_conventions(path: Path | None = None, service_labels: tuple[str, ...] = ()) -> Conventions:
    """Return the built-in conventions with those of a file; raises ConventionsInvalid.

    The file's labels go before the built-in ones; `service_labels`, if any, are the only ones.
    """
    built_in = _read(resources.files("services.alert_router").joinpath(BUILT_IN).read_text(), BUILT_IN)
    own = _read_path(path) if path else _File()
    naming = Naming(
        labels=service_labels or (*own.service.labels, *built_in.service.labels),
        pods=(*own.service.pods, *built_in.service.pods),
        exporters=(*own.service.exporters, *built_in.service.exporters),
        likely_exporters=(*own.service.likely_exporters, *built_in.service.likely_exporters),
    )
    return Conventions(naming)


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
