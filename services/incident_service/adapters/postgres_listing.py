"""The statement behind a list of incidents: only the conditions that are asked for, so that each can use its index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from libs.storage.postgres import containing
from services.incident_service.adapters import postgres_rows as rows
from services.incident_service.domain.listing import Listing, Place, Sort, id_beginning
from services.incident_service.domain.model import Severity

_COLUMNS = {Sort.OPENED: "opened_at", Sort.UPDATED: "changed_at", Sort.SEVERITY: "severity"}
_LATEST = """(SELECT cause_service, cause FROM analysis a WHERE a.tenant_id = incident.tenant_id
AND a.incident_id = incident.id ORDER BY a.version DESC LIMIT 1) latest"""
_FILTERS = {
    "statuses": "status = ANY(%(statuses)s::text[])",
    "severities": "severity = ANY(%(severities)s::smallint[])",
    "services": f"""(services && %(services)s::text[]
OR EXISTS (SELECT 1 FROM {_LATEST} WHERE latest.cause_service = ANY(%(services)s::text[])))""",
    "since": "opened_at >= %(since)s",
    "until": "opened_at < %(until)s",
}
_NOTED = """EXISTS (SELECT 1 FROM timeline t WHERE t.tenant_id = incident.tenant_id AND t.incident_id = incident.id
AND t.kind = 'note' AND t.text ILIKE %({name})s)"""
_NAMED = f"EXISTS (SELECT 1 FROM {_LATEST} WHERE concat_ws(' ', latest.cause_service, latest.cause) ILIKE %({{name}})s)"


def select(wanted: Listing, limit: int, after: Place | None) -> tuple[str, dict[str, Any]]:
    """Return the statement for up to `limit` incidents behind a place, and its parameters but for the tenant."""
    values: dict[str, Any] = {
        "statuses": [s.value for s in wanted.statuses], "severities": [int(s) for s in wanted.severities],
        "services": list(wanted.services), "since": wanted.since, "until": wanted.until, "limit": limit,
    }  # fmt: skip
    column, way = _COLUMNS[wanted.sort], "ASC" if wanted.ascending else "DESC"
    conditions = ["tenant_id = %(tenant)s", *(c for name, c in _FILTERS.items() if values[name])]
    conditions += _words(wanted.words, values)
    if after is not None:
        key = int(after.key) if isinstance(after.key, Severity) else after.key
        values |= {"key": key, "id": after.id}
        conditions.append(f"({column}, id) {'>' if wanted.ascending else '<'} (%(key)s, %(id)s::uuid)")
    where = "\nAND ".join(conditions)
    text = f"SELECT {rows.INCIDENT} FROM incident WHERE {where}\nORDER BY {column} {way}, id {way} LIMIT %(limit)s"
    return text, values


def _words(words: tuple[str, ...], values: dict[str, Any]) -> Iterator[str]:
    for number, word in enumerate(words):
        name, prefix = f"word_{number}", f"id_{number}"
        values[name] = containing(word)
        places = [f"{text} ILIKE %({name})s" for text in ("title", "summary", "array_to_string(services, ' ')")]
        if (beginning := id_beginning(word)) is not None:
            values[prefix] = f"{beginning}%"
            places.append(f"id::text LIKE %({prefix})s")
        yield f"({' OR '.join([*places, _NAMED.format(name=name), _NOTED.format(name=name)])})"
