"""Where alerts go and how they are grouped. One route, the root, for now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.alert_router.domain import labels as label_sets
from services.alert_router.domain.alert import Alert
from services.alert_router.domain.labels import Labels

ALL = "..."
ROOT_KEY = "{}"
SERVICE = "service"
DEGREE = "severity"  # how bad it is tells no conditions apart


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


def group_of(alert: Alert, route: Route, alone: bool = False) -> Group:
    """Return the group an alert belongs to. `service` is the service found for the alert, whatever label named it.

    Where services make the groups, alerts that name none have nothing in common: they go by their name and labels, as
    does one that is to be `alone`.
    """
    if ALL in route.group_by:
        shared = dict(alert.labels)
    else:
        values = _values(alert)
        alone = alone or (SERVICE in route.group_by and SERVICE not in values)
        names = [name for name in values if name != DEGREE] if alone else route.group_by
        shared = {name: values[name] for name in names if name in values}
    return Group(f"{ROOT_KEY}:{label_sets.text(shared)}", shared)


def _values(alert: Alert) -> dict[str, str]:
    others = {name: value for name, value in alert.labels.items() if name != SERVICE}
    return others | ({SERVICE: alert.service} if alert.service else {})
