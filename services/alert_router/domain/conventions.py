"""What senders mean by the labels of their alerts."""

from __future__ import annotations

from dataclasses import dataclass

from services.alert_router.domain.naming import Naming


@dataclass(frozen=True, slots=True)
class Conventions:
    """How the labels of alerts are read."""

    naming: Naming
