"""One page from several sources: what one of them cannot give is named on the page, the rest is shown."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import structlog
from prometheus_client import Counter

from libs.kernel.errors import Unavailable
from services.console.domain.models import Missing
from services.console.ports import RefusalReason, Refused

T = TypeVar("T")
MISSING_PARTS = Counter(
    "incidentscope_console_missing_parts", "Parts of pages that could not be read", ["part", "reason"]
)


class Parts:
    """Collects what is missing from one page."""

    def __init__(self) -> None:
        self._missing: dict[str, Missing] = {}

    async def take(self, part: str, reading: Awaitable[T], otherwise: T) -> T:
        """Return what was read, or `otherwise` when its source does not answer or refuses."""
        try:
            return await reading
        except (Unavailable, Refused) as exc:
            reason = exc.reason.value if isinstance(exc, Refused) else "UNAVAILABLE"
            MISSING_PARTS.labels(part, reason).inc()
            structlog.get_logger().warning("page_part_missing", part=part, reason=reason, error=str(exc))
            self._missing[part] = Missing(part, str(exc), reason == RefusalReason.PERMISSION_DENIED.value)
            return otherwise

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Return what is missing, each part once."""
        return tuple(self._missing.values())
