"""What people outside are told: messages from templates, and the status page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.kernel.clock import Clock
from services.incident_service.domain import response
from services.incident_service.domain.communication import DEFAULTS, Channel, Rendered, Template, facts, sample
from services.incident_service.domain.model import Incident
from services.incident_service.domain.records import PublicStatus, StatusUpdate
from services.incident_service.handlers.writes import existing
from services.incident_service.ports import Renderer, Store, Transaction

SHOWN_FOR = timedelta(days=90)
MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Shown:
    """An incident as the status page shows it; `updates` newest first."""

    incident: Incident
    status: PublicStatus
    updates: Sequence[StatusUpdate]
    updated_at: datetime


class Communication:
    """The use cases, over a store and a renderer; messages link to the console's address."""

    def __init__(self, store: Store, renderer: Renderer, clock: Clock, console_url: str) -> None:
        self._store = store
        self._renderer = renderer
        self._clock = clock
        self._console_url = console_url

    async def templates(self, tenant: str) -> list[Template]:
        """Return the templates in force, by channel."""
        own = await self._store.templates(tenant)
        return [own.get(channel, DEFAULTS[channel]) for channel in Channel]

    async def check_template(self, template: Template) -> Template:
        """Return a template as it shall be kept, dated; raises InvalidInput when it cannot be rendered."""
        if template.body:
            now = self._clock.now()
            await self._renderer.render(template, facts(sample(now), "A sample message.", self._console_url))
        return replace(template, updated_at=self._clock.now())

    async def keep_template(self, tx: Transaction, template: Template) -> Template:
        """Keep a channel's template and return the one now in force."""
        await tx.keep_template(template)
        return template if template.body else DEFAULTS[template.channel]

    async def render(
        self, tenant: str, incident_id: str, channel: Channel, message: str, trial: Template | None
    ) -> Rendered:
        """Render a message about an incident; raises NotFound, or InvalidInput when the template is wrong."""
        incident = existing(await self._store.get(tenant, incident_id), incident_id)
        template = trial or (await self._store.templates(tenant)).get(channel, DEFAULTS[channel])
        return await self._renderer.render(template, facts(incident, message, self._console_url))

    async def status_page(self, tenant: str) -> list[Shown]:
        """Return public incidents of the last 90 days, newest first."""
        since = self._clock.now() - SHOWN_FOR
        found = await self._store.public_incidents(tenant, since, MOST_SHOWN)
        told: dict[str, list[StatusUpdate]] = {}
        for update in await self._store.public_updates(tenant, [i.id for i in found]):
            told.setdefault(update.incident_id, []).append(update)
        return [_shown(incident, told.get(incident.id, [])) for incident in found]


def _shown(incident: Incident, updates: Sequence[StatusUpdate]) -> Shown:
    status = response.public_status(incident, updates[0].status if updates else None)
    return Shown(incident, status, updates, max([incident.updated_at, *(u.posted_at for u in updates)]))
