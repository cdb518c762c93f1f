"""What every write has in common: the incident is locked, a decision made and carried out, and done once per key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from prometheus_client import Counter

from libs.kernel.clock import Clock
from libs.kernel.errors import IncidentScopeError
from services.incident_service.domain.model import Decision, Entry, Incident, Reason
from services.incident_service.ports import Once, Store, Transaction

T = TypeVar("T")
Decide = Callable[[Incident, datetime], Decision]
DECISIONS = Counter("incidentscope_incident_decisions", "Decisions about incidents", ["reason"])
REPEATED = Counter("incidentscope_incident_repeated_writes", "Writes answered from their idempotency key")


class NotFound(IncidentScopeError):
    """The tenant has no such incident, or it has no analysis, task or postmortem of that kind yet."""


class Refused(IncidentScopeError):
    """The incident's state forbids the request; `reason` says why."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Changed:
    """What a write made of an incident, with the entries it wrote."""

    incident: Incident
    entries: tuple[Entry, ...]


class Writes:
    """Runs writes in transactions."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self.clock = clock

    async def run(
        self,
        tenant: str,
        once: Once | None,
        work: Callable[[Transaction], Awaitable[T]],
        encode: Callable[[T], bytes],
        decode: Callable[[bytes], T],
    ) -> T:
        """Do the work in a transaction; with a key, the work of an earlier call with that key is not done again."""
        async with self._store.transaction(tenant) as tx:
            if once is not None and (kept := await tx.answered(once)) is not None:
                REPEATED.inc()
                return decode(kept)
            answer = await work(tx)
            if once is not None:
                await tx.keep_answer(once, encode(answer))
            return answer

    async def change(self, tx: Transaction, incident_id: str, decide: Decide) -> Changed:
        """Lock an incident, decide, and write what was decided; raises NotFound or Refused."""
        incident = await locked(tx, incident_id)
        decision = decide(incident, self.clock.now())
        entries = await carry_out(tx, decision)
        return Changed(decided(decision), entries)


async def carry_out(tx: Transaction, *decisions: Decision) -> tuple[Entry, ...]:
    """Write decisions; raises Refused for one that turns the request down."""
    for decision in decisions:
        DECISIONS.labels(decision.reason.value).inc()
        if decision.refused:
            raise Refused(decision.reason, decision.message)
    written = [d for d in decisions if d.change is not None]
    return await tx.write(*written) if written else ()


async def locked(tx: Transaction, incident_id: str) -> Incident:
    """Return an incident, locked; raises NotFound."""
    return existing(await tx.lock(incident_id), incident_id)


def existing(incident: Incident | None, incident_id: str) -> Incident:
    """Return the incident; raises NotFound when there is none."""
    if incident is None:
        raise NotFound(f"there is no incident {incident_id}")
    return incident


def decided(decision: Decision) -> Incident:
    """Return the incident of a decision that has one."""
    if decision.incident is None:
        raise ValueError(f"a decision without an incident: {decision.reason}")
    return decision.incident
