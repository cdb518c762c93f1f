"""What the edge job needs of the store of half-edges and edges."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from services.trace_consumer.domain import EdgeCounts, EdgeKey, Stretch, TenantMinute


class EdgeStore(Protocol):
    """Half-edges in, edges out. All times are of the store's own clock."""

    def now(self) -> datetime:
        """Return the store's time."""
        ...

    def last_written(self) -> datetime | None:
        """Return when edges were last written, None when never."""
        ...

    def touched_since(self, since: datetime | None) -> list[TenantMinute]:
        """Return the minutes whose edges may differ because of half-edges stored since then (None: ever)."""
        ...

    def compute(self, stretch: Stretch, settled_before: datetime) -> dict[EdgeKey, EdgeCounts]:
        """Return the edges of the minutes; a half without its other half counts once stored before that time."""
        ...

    def known(self, stretch: Stretch) -> dict[EdgeKey, EdgeCounts]:
        """Return the edges as last written."""
        ...

    def write(self, tenant: str, rows: Mapping[EdgeKey, EdgeCounts], version: datetime) -> None:
        """Write edges; a later version replaces an earlier one."""
        ...


PAIRING_WAIT = timedelta(seconds=10)  # how long a half may wait for the other one, as in Tempo
