"""Which service an alert is about, from its labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from services.alert_router.domain.labels import Labels

EXPORTED = "exported-"
JOB = "job"
_PART = "[bcdfghjklmnpqrstvwxz2456789]"  # Kubernetes makes its suffixes without vowels, and what looks like them
POD_SUFFIXES = tuple(
    re.compile(f"(.+?){suffix}")
    for suffix in (rf"-\d{{7,10}}(?:-{_PART}{{5}})?", rf"-{_PART}{{6,10}}-{_PART}{{5}}", r"-\d{1,4}", rf"-{_PART}{{5}}")
)


@dataclass(frozen=True, slots=True)
class Naming:
    """How services are named: labels in order, which of them hold names of pods, and what is never a service."""

    labels: tuple[str, ...]
    pods: tuple[str, ...] = ()
    exporters: tuple[str, ...] = ()
    likely_exporters: tuple[str, ...] = ()

    def service_of(self, labels: Labels) -> str:
        """Return the service an alert is about: the first that its labels name; empty when they name none.

        What only measures others is not the service, whatever label has it.
        """
        exporters, likely = _any_of(self.exporters), _any_of(self.likely_exporters)
        known = [name for name in self._named(labels) if not exporters.fullmatch(plain(name))]
        return next((name for name in known if not likely.fullmatch(plain(name))), known[0] if known else "")

    def _named(self, labels: Labels) -> list[str]:
        """Return the services that labels name, exporters among them, the most telling first."""
        places = _places(self.labels)
        found = [
            (places[plain(label)], label, value.strip()) for label, value in labels.items() if plain(label) in places
        ]
        return [self._read(label, value) for _, label, value in sorted(found) if value]

    def _read(self, label: str, value: str) -> str:
        """Return the service in a value. OpenTelemetry's `job` is `<service.namespace>/<service.name>`."""
        name = plain(label).removeprefix(EXPORTED)
        if name == JOB:
            return value.rpartition("/")[2] or value
        return workload_of(value) if name in _places(self.pods) else value


def workload_of(pod: str) -> str:
    """Return the workload a pod belongs to: its name less what Kubernetes added; as it is when nothing was."""
    found = (suffix.fullmatch(pod) for suffix in POD_SUFFIXES)
    return next((match[1] for match in found if match), pod)


def plain(name: str) -> str:
    """Return a name as it is compared: in lower case, with `-` for `_`."""
    return name.lower().replace("_", "-")


@lru_cache(maxsize=16)
def _places(labels: tuple[str, ...]) -> dict[str, int]:
    """Return the place of each label, all that were exported before the others."""
    names = [plain(prefix + label) for prefix in (EXPORTED, "") for label in labels]
    return {name: place for place, name in reversed(list(enumerate(names)))}


@lru_cache(maxsize=16)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(plain(pattern)) for pattern in patterns) or r"(?!)")
