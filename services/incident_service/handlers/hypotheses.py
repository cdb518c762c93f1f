"""Hypotheses: read by version, judged by people, compared with the past."""

from __future__ import annotations

from collections.abc import Callable

from libs.kernel.errors import InvalidInput
from libs.kernel.ids import uuid7
from services.incident_service.domain.hypotheses import Bin, Finding, Judged, Suspect, calibration, judge
from services.incident_service.domain.records import Feedback
from services.incident_service.domain.similarity import Similar, most_similar
from services.incident_service.handlers.writes import NotFound, Writes, carry_out, locked
from services.incident_service.ports import HypothesisStore, Transaction

COMPARED = 1000  # past incidents, the newest
MOST_FEEDBACK = 200
MOST_CALIBRATED = 100_000


class Hypotheses:
    """The use cases around hypotheses, over a store."""

    def __init__(self, store: HypothesisStore, writes: Writes) -> None:
        self._store = store
        self._writes = writes

    async def analysis(self, tenant: str, incident_id: str, version: int) -> bytes:
        """Return an analysis as received, the latest for version 0; raises NotFound, also while there is none."""
        encoded = await self._store.analysis(tenant, incident_id, version)
        if encoded is not None:
            return encoded
        await self._existing(tenant, incident_id)
        raise NotFound(_no_analysis(incident_id, version))

    async def analyses(self, tenant: str, incident_id: str, limit: int, older_than: int | None) -> list[bytes]:
        """Return analyses as received, newest first; raises NotFound."""
        found = await self._store.analyses(tenant, incident_id, limit, older_than)
        if not found:
            await self._existing(tenant, incident_id)
        return found

    async def judge(
        self,
        tx: Transaction,
        incident_id: str,
        which: tuple[int, int],
        finding: Finding,
        suspects: Callable[[bytes], list[Suspect]],
    ) -> Feedback:
        """Record a finding about a version and rank; raises NotFound, or InvalidInput for a rank that is not there."""
        incident = await locked(tx, incident_id)
        version, rank = which
        encoded = await tx.analysis(incident_id, version)
        if encoded is None:
            raise NotFound(_no_analysis(incident_id, version))
        found = {suspect.rank: suspect for suspect in suspects(encoded)}
        if rank and rank not in found:
            raise InvalidInput("rank", f"analysis {version} has no hypothesis {rank}")
        now = self._writes.clock.now()
        decision = judge(incident, Judged(version, found.get(rank, Suspect())), finding, uuid7(now), now)
        await carry_out(tx, decision)
        (record,) = decision.records
        if not isinstance(record, Feedback):
            raise TypeError(f"a judgement is kept as Feedback, not as {type(record).__name__}")
        return record

    async def feedback(self, tenant: str, incident_id: str) -> list[Feedback]:
        """Return what people found about an incident's hypotheses, newest first; raises NotFound."""
        found = await self._store.feedback(tenant, incident_id, MOST_FEEDBACK)
        if not found:
            await self._existing(tenant, incident_id)
        return found

    async def similar(self, tenant: str, incident_id: str, limit: int) -> list[Similar]:
        """Return past incidents that resemble one, most similar first; raises NotFound."""
        profile = await self._store.profile(tenant, incident_id)
        if profile is None:
            raise NotFound(f"there is no incident {incident_id}")
        return most_similar(profile, await self._store.past(tenant, incident_id, COMPARED), limit)

    async def calibration(self, tenant: str) -> tuple[list[Bin], float]:
        """Return how often hypotheses of like confidence were the cause, and the expected calibration error."""
        newest_first = await self._store.feedback(tenant, None, MOST_CALIBRATED)
        return calibration(reversed(newest_first))

    async def _existing(self, tenant: str, incident_id: str) -> None:
        if await self._store.profile(tenant, incident_id) is None:
            raise NotFound(f"there is no incident {incident_id}")


def _no_analysis(incident_id: str, version: int) -> str:
    return (
        f"incident {incident_id} has no analysis {version}"
        if version
        else f"incident {incident_id} has not been analysed yet"
    )
