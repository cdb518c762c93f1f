"""Analyses, what people found about them, and past incidents to compare with, in schema `incident`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from libs.storage.postgres import Pool, transaction
from services.incident_service.adapters import postgres_rows as rows
from services.incident_service.adapters.postgres_transaction import ANALYSIS, LATEST_ANALYSIS
from services.incident_service.domain.hypotheses import Suspect, cause_of
from services.incident_service.domain.records import Feedback
from services.incident_service.domain.similarity import PastIncident, Profile

_ANALYSES = """SELECT event FROM analysis WHERE tenant_id = %(tenant)s AND incident_id = %(id)s
AND (%(older_than)s::integer IS NULL OR version < %(older_than)s) ORDER BY version DESC LIMIT %(limit)s"""
_FEEDBACK = f"""SELECT {rows.columns(Feedback)} FROM hypothesis_feedback WHERE tenant_id = %(tenant)s
AND (%(id)s::uuid IS NULL OR incident_id = %(id)s) ORDER BY id DESC LIMIT %(limit)s"""
_JUDGED = f"""SELECT {rows.columns(Feedback)} FROM hypothesis_feedback
WHERE tenant_id = %(tenant)s AND incident_id = ANY(%(ids)s::uuid[]) ORDER BY id"""
_LATEST = """LEFT JOIN LATERAL (
    SELECT cause_service, cause_kind, cause_confidence, cause, evidence_kinds, signatures FROM analysis
    WHERE tenant_id = i.tenant_id AND incident_id = i.id ORDER BY version DESC LIMIT 1) a ON true"""
_COMPARED = "i.id::text, i.title, i.services, i.opened_at, i.resolved_at, a.*"
_PROFILE = f"""SELECT {_COMPARED}, NULL AS resolution FROM incident i {_LATEST}
WHERE i.tenant_id = %(tenant)s AND i.id = %(id)s"""
_PAST = f"""SELECT {_COMPARED}, t.text AS resolution FROM (
    SELECT * FROM incident WHERE tenant_id = %(tenant)s AND id < %(id)s AND merged_into IS NULL
    ORDER BY id DESC LIMIT %(limit)s) i {_LATEST} LEFT JOIN LATERAL (
    SELECT text FROM timeline WHERE tenant_id = i.tenant_id AND incident_id = i.id AND kind = 'state_change'
    AND occurred_at = i.resolved_at ORDER BY number DESC LIMIT 1) t ON true"""


class PostgresHypotheses:
    """Implements ports.HypothesisStore over a pool whose connections see schema `incident` first."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def analysis(self, tenant: str, incident_id: str, version: int = 0) -> bytes | None:
        """Return an analysis as it was received, the latest for version 0."""
        statement = ANALYSIS if version else LATEST_ANALYSIS
        found = await self._all(tenant, statement, id=incident_id, version=version)
        return bytes(found[0]["event"]) if found else None

    async def analyses(self, tenant: str, incident_id: str, limit: int, older_than: int | None) -> list[bytes]:
        """Return analyses as they were received, newest first, of versions below the given one."""
        found = await self._all(tenant, _ANALYSES, id=incident_id, limit=limit, older_than=older_than)
        return [bytes(row["event"]) for row in found]

    async def feedback(self, tenant: str, incident_id: str | None, limit: int) -> list[Feedback]:
        """Return what people found last about one incident, or all when None, newest first."""
        return [rows.feedback(row) for row in await self._all(tenant, _FEEDBACK, id=incident_id, limit=limit)]

    async def profile(self, tenant: str, incident_id: str) -> Profile | None:
        """Return what an incident is compared by; None when there is no such incident."""
        found = await self._compared(tenant, _PROFILE, id=incident_id)
        return found[0].profile if found else None

    async def past(self, tenant: str, incident_id: str, limit: int) -> list[PastIncident]:
        """Return the newest incidents opened before one, those merged into others left out."""
        return await self._compared(tenant, _PAST, id=incident_id, limit=limit)

    async def _compared(self, tenant: str, statement: str, /, **values: Any) -> list[PastIncident]:
        async with transaction(self._pool, tenant) as conn:
            found = await rows.every(conn, statement, values | {"tenant": tenant})
            ids = [row["id"] for row in found]
            judged = await rows.every(conn, _JUDGED, {"tenant": tenant, "ids": ids})
        by_incident: dict[str, list[Feedback]] = {}
        for given in map(rows.feedback, judged):
            by_incident.setdefault(given.incident_id, []).append(given)
        return [_past(row, by_incident.get(row["id"], ())) for row in found]

    async def _all(self, tenant: str, statement: str, /, **values: Any) -> list[rows.Row]:
        async with transaction(self._pool, tenant) as conn:
            return await rows.every(conn, statement, values | {"tenant": tenant})


def _past(row: rows.Row, feedback: Iterable[Feedback]) -> PastIncident:
    suspect = Suspect(1, row["cause_service"] or "", row["cause_kind"] or "", row["cause_confidence"] or 0.0,
                      row["cause"] or "")  # fmt: skip
    return PastIncident(
        id=row["id"],
        title=row["title"],
        opened_at=row["opened_at"],
        resolved_at=row["resolved_at"],
        resolution=row["resolution"] or "",
        profile=Profile(
            cause_of(suspect, feedback),
            tuple(row["services"]),
            tuple(row["evidence_kinds"] or ()),
            tuple(row["signatures"] or ()),
        ),
    )
