"""What senders mean by the labels of their alerts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from services.alert_router.domain.alert import Alert
from services.alert_router.domain.labels import Labels
from services.alert_router.domain.naming import Naming
from services.alert_router.domain.severity import Severities, Severity, compact


@dataclass(frozen=True, slots=True)
class Conventions:
    """How the labels of alerts are read. `own` are the words of tenants that have any of their own.

    `heartbeats` and `inhibitors` are names of alerts, as `compact` has them.
    """

    naming: Naming
    severities: Severities = field(default_factory=Severities)
    own: Mapping[str, Severities] = field(default_factory=dict)
    heartbeats: Collection[str] = ()
    inhibitors: Collection[str] = ()

    def severity(self, tenant: str, labels: Labels) -> Severity:
        """Return how urgent an alert of a tenant is."""
        return self.own.get(tenant, self.severities).of(labels)

    def heartbeat(self, alert: Alert) -> bool:
        """Tell whether an alert fires always by design, so that its silence is what is to be told."""
        return compact(alert.name) in self.heartbeats

    def inhibitor(self, alert: Alert) -> bool:
        """Tell whether an alert exists only to mute others."""
        return compact(alert.name) in self.inhibitors
