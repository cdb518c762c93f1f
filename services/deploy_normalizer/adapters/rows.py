"""Reports and deploys to and from PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from services.deploy_normalizer.domain.deploy import Deploy, Kind, Movement, Provider, Report, Status

_INSTANTS = ("at", "requested_at", "began_at")
COLUMNS = tuple("tenant_id" if f.name == "tenant" else f.name for f in fields(Deploy))


def report_to_json(report: Report) -> dict[str, Any]:
    """Return a report as a JSON object, instants in RFC 3339."""
    content = asdict(report)
    return content | {name: content[name].isoformat() for name in _INSTANTS if content[name] is not None}


def report_from_json(content: Mapping[str, Any]) -> Report:
    """Return the report that `report_to_json` made the object of; older ones have no kind and are of deploys."""
    instants = {name: datetime.fromisoformat(content[name]) for name in _INSTANTS if content[name] is not None}
    kinds = {
        "provider": Provider(content["provider"]),
        "status": Status(content["status"]),
        "kind": Kind(content.get("kind", Kind.DEPLOY)),
    }
    return Report(**{**content, **instants, **kinds})


def deploy_to_row(deploy: Deploy) -> tuple[Any, ...]:
    """Return the values of COLUMNS."""
    return tuple(getattr(deploy, f.name) for f in fields(Deploy))


def deploy_from_row(row: tuple[Any, ...]) -> Deploy:
    """Return the deploy of a row of COLUMNS; the session's time zone does not matter."""
    values = dict(zip((f.name for f in fields(Deploy)), row, strict=True))
    instants = {name: value.astimezone(UTC) for name, value in values.items() if isinstance(value, datetime)}
    words = {"provider": Provider, "status": Status, "kind": Kind, "movement": Movement}
    kinds = {name: word(values[name]) for name, word in words.items()}
    return Deploy(**{**values, **instants, **kinds})
