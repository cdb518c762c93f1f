"""Lists that are short enough to be narrowed and sorted here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from libs.kernel.search import holds, words
from services.console.domain.filters import SEVERITIES, Filters
from services.console.domain.models import Alert, ServiceSummary

_SORTED_BY: dict[str, Callable[[ServiceSummary], Any]] = {
    "errors": lambda s: s.error_ratio,
    "calls": lambda s: s.calls,
    "latency": lambda s: s.p95_ms if s.p95_ms is not None else -1.0,
    "seen": lambda s: s.last_seen,
    "service": lambda s: s.service,
}


def services(found: Iterable[ServiceSummary], filters: Filters) -> tuple[ServiceSummary, ...]:
    """Return the services asked for, in the order asked for, those that are equal in it by name."""
    wanted = words(filters.value("q"))
    by_name = sorted((s for s in found if holds(wanted, s.service)), key=lambda s: s.service)
    return tuple(sorted(by_name, key=_SORTED_BY[filters.sort], reverse=not filters.ascending))


def admits(filters: Filters, alert: Alert) -> bool:
    """Tell whether an alert is asked for; the words are looked for in all that it says."""
    services, severities, states = (filters.values(name) for name in ("service", "severity", "status"))
    said = (alert.name, alert.service, *alert.labels.values(), *alert.annotations.values())
    return (
        holds(words(filters.value("q")), *said)
        and (not services or alert.service in services)
        and (not severities or alert.severity.value in {SEVERITIES[s] for s in severities})
        and (not states or alert.state.replace(" ", "_") in states)
    )
