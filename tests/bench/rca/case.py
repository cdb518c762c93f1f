"""One recorded outage, or one quiet time, as the engine would see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.correlation_engine.domain.model import Telemetry

FAULT_FREE = "none"


@dataclass(frozen=True, slots=True)
class Case:
    """Telemetry that ends where the recording of the outage ends. `cause` and `fault` are for judging only.

    `affected` are the services a symptom was reported for, empty when nobody reported any. `onset` is the injection,
    or, in a quiet time, where an alert might have pointed.
    """

    set: str
    id: str
    fault: str
    cause: str
    telemetry: Telemetry
    affected: tuple[str, ...]
    onset: datetime

    @property
    def is_fault_free(self) -> bool:
        """Tell whether nothing was wrong."""
        return self.fault == FAULT_FREE


def candidates(telemetry: Telemetry) -> list[str]:
    """Return every node anything is known of, by name: what a method may rank."""
    names = {s.service for s in telemetry.services} | {g.service for g in telemetry.gauges}
    names |= {n for e in telemetry.edges for n in (e.client, e.server)}
    return sorted(names | {s.service for s in telemetry.signatures})
