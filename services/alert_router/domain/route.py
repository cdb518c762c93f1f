"""Where alerts go and how they are grouped. One route, the root, for now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.alert_router.domain import labels as label_sets
from services.alert_router.domain.alert import Alert
from services.alert_router.domain.labels import Labels

ALL = "..."
ROOT_KEY = "{}"
SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Route:
    """A receiver, the labels that make a group, and the clock of its groups. Raises ValueError when it cannot work."""

    receiver: str = "incidents"
    group_by: tuple[str, ...] = (SERVICE,)
    group_wait: timedelta = timedelta(seconds=30)
    group_interval: timedelta = timedelta(minutes=5)
    repeat_interval: timedelta = timedelta(hours=4)

    def __post_init__(self) -> None:
        if ALL in self.group_by and len(self.group_by) > 1:
            raise ValueError(f"group_by {ALL} stands for all labels and goes alone")
        if len(set(self.group_by)) != len(self.group_by):
            raise ValueError(f"group_by names a label twice: {', '.join(self.group_by)}")
        if self.group_wait < timedelta() or min(self.group_interval, self.repeat_interval) <= timedelta():
            raise ValueError("group_interval and repeat_interval must be longer than 0, group_wait not negative")


@dataclass(frozen=True, slots=True)
class Group:
    """A group's identity: the labels its alerts share, and Alertmanager's group key."""

    key: str
    labels: Labels


def group_of(alert: Alert, route: Route) -> Group:
    """Return the group an alert belongs to. `service` is the service found for the alert, whatever label named it."""
    shared = dict(alert.labels) if ALL in route.group_by else _chosen(alert, route.group_by)
    return Group(f"{ROOT_KEY}:{label_sets.text(shared)}", shared)


def _chosen(alert: Alert, names: Sequence[str]) -> dict[str, str]:
    values = {**alert.labels, **({SERVICE: alert.service} if alert.service else {})}
    return {name: values[name] for name in names if name in values}


def service_of(labels: Labels, order: Sequence[str]) -> str:
    """Return the service an alert is about: the first of these labels it has, or an empty string.

    OpenTelemetry's mapping to Prometheus writes `job` as `<service.namespace>/<service.name>`: the last part counts.
    """
    for name in order:
        value = labels.get(name, "")
        if value:
            return value.rpartition("/")[2] or value if name == "job" else value
    return ""
