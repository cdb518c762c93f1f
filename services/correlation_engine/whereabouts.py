"""Where an outage is: what its alerts say, else what the services that alert say, else what is assumed."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from libs.kernel.errors import InvalidInput, Unavailable
from services.correlation_engine.domain.environments import PRODUCTION
from services.correlation_engine.domain.schedule import LONGEST, OpenIncident

log = structlog.get_logger()
BEFORE = timedelta(minutes=5)  # of the alert, what its services sent counts too


class Labels(Protocol):
    """What the alerts of an incident say."""

    async def environments(self, incident: OpenIncident) -> tuple[str, ...]:
        """Return the environments that alerts name; raises Unavailable, or InvalidInput when refused."""
        ...


class Records(Protocol):
    """What services say of themselves."""

    async def environments(
        self, tenant: str, services: Sequence[str], start: datetime, end: datetime
    ) -> tuple[str, ...]:
        """Return the environments that services name in what they sent in a time; raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Assumed:
    """Implements ports.Environments: an outage is where it is said to be by default; an empty name is anywhere."""

    environment: str = PRODUCTION

    async def of(self, incident: OpenIncident, now: datetime) -> tuple[str, ...]:  # noqa: ARG002  # as the port has it
        """Return what is assumed."""
        return (self.environment,) if self.environment else ()


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Implements ports.Environments. Whoever does not answer is not waited for: the next one is asked."""

    labels: Labels
    records: Records
    assumed: Assumed

    async def of(self, incident: OpenIncident, now: datetime) -> tuple[str, ...]:
        """Return the environments an outage is in."""
        found = await self._asked(incident, self.labels.environments(incident))
        if not found and incident.services:
            start = min(incident.started_at, now) - BEFORE
            sent = self.records.environments(incident.tenant, incident.services, start, min(now, start + LONGEST))
            found = await self._asked(incident, sent)
        return found or await self.assumed.of(incident, now)

    async def _asked(self, incident: OpenIncident, question: Awaitable[tuple[str, ...]]) -> tuple[str, ...]:
        try:
            return await question
        except (Unavailable, InvalidInput) as exc:
            log.warning("environment_unknown", tenant=incident.tenant, incident=incident.id, error=str(exc))
            return ()
