"""What changed in the log of each service: signatures that are new, spiking or vanished.

Signatures are merged first, so that a parameter the masks let through does not look like a new message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np

from services.correlation_engine.domain import drain, stats
from services.correlation_engine.domain.model import LogSignature, ServiceSeries, Window

ERROR, WARN, INFO = 17, 13, 9  # OpenTelemetry severity numbers
MIN_LINES = 3.0
STEADY = 0.8  # share of the baseline's steps a message must be in before its end means something
GONE = 0.1  # of the expected lines, at most so many are left

_ERROR_WORDS = re.compile(r"\b(?:FATAL|CRITICAL|SEVERE|ERROR)\b|(?:Exception|Error)\b")
_WARN_WORDS = re.compile(r"\bWARN(?:ING)?\b")


class SignatureChange(StrEnum):
    """In what way a message changed."""

    NEW = "new"
    SPIKING = "spiking"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class SignatureFinding:
    """One message of one service. `observed` and `expected` are lines per step; `strength` is 0 to 1.

    `template` is the words that stay the same, `example` one whole message, `severity` an OpenTelemetry number.
    `first_seen` is the first time it is known of.
    """

    service: str
    change: SignatureChange
    template: str
    example: str
    severity: int
    observed: float
    expected: float
    strength: float
    first_seen: datetime | None = None


def find(
    signatures: Sequence[LogSignature], services: Iterable[ServiceSeries], window: Window
) -> list[SignatureFinding]:
    """Return every change that clears its noise. New and spiking ones count from warnings up, vanished ones below.

    A message that ends because requests end has not vanished: what is expected follows the service's requests.
    """
    traffic = {s.service: _traffic(s, window) for s in services}
    found = []
    for template, signature in merge(signatures):
        finding = (
            _risen(template, signature, window)
            if signature.severity >= WARN
            else _vanished(template, signature, window, traffic)
        )
        if finding is not None:
            found.append(finding)
    return found


def merge(signatures: Sequence[LogSignature]) -> list[tuple[str, LogSignature]]:
    """Return the signatures with their templates, those of one service, level and template added up.

    The example is that of the most frequent part, the severity the highest, `first_seen` the earliest.
    """
    levels: dict[tuple[str, int], list[LogSignature]] = {}
    for signature in signatures:
        levels.setdefault((signature.service, _level(signature)), []).append(signature)
    merged = []
    for (_, level), members in levels.items():
        template_of = drain.templates(s.signature for s in members)
        parts: dict[str, list[LogSignature]] = {}
        for member in members:
            parts.setdefault(template_of[member.signature], []).append(member)
        merged += [(template, _sum(same, level)) for template, same in parts.items()]
    return merged


def _level(signature: LogSignature) -> int:
    """Return the lowest severity of a signature's level; one that states none is judged by its words."""
    if signature.severity == 0:
        text = signature.signature
        return ERROR if _ERROR_WORDS.search(text) else WARN if _WARN_WORDS.search(text) else INFO
    return max(level for level in (ERROR, WARN, INFO, 0) if signature.severity >= level)


def _sum(parts: Sequence[LogSignature], level: int) -> LogSignature:
    main = max(parts, key=lambda s: float(s.counts.sum()))
    return LogSignature(
        main.service,
        max(level, *(s.severity for s in parts)),
        main.signature,
        main.example,
        first_seen=min((s.first_seen for s in parts if s.first_seen is not None), default=None),
        counts=np.sum([s.counts for s in parts], axis=0),
    )


def _risen(template: str, signature: LogSignature, window: Window) -> SignatureFinding | None:
    before = signature.counts[window.baseline]
    observed = float(signature.counts[window.incident].sum())
    steps = window.incident.stop - window.incident.start
    middle, scale = stats.median_and_scale(before)
    if math.isnan(middle) or observed < MIN_LINES:
        return None
    expected = float(before.mean()) * steps
    spread = max(scale * steps, max(expected, 1.0) ** 0.5, stats.LEVEL_FLOOR * middle * steps)
    strength = stats.significance((observed - expected) / spread)
    if strength <= 0:
        return None
    change = SignatureChange.SPIKING if before.any() else SignatureChange.NEW
    return _finding(change, template, signature, observed / steps, expected / steps, strength)


def _vanished(
    template: str, signature: LogSignature, window: Window, traffic: Mapping[str, float]
) -> SignatureFinding | None:
    before = signature.counts[window.baseline]
    during = signature.counts[window.complete_incident]
    middle, scale = stats.median_and_scale(before)
    if math.isnan(middle) or during.size == 0 or np.count_nonzero(before) < STEADY * before.size:
        return None
    observed = float(during.sum())
    expected = float(before.mean()) * during.size * traffic.get(signature.service, 1.0)
    spread = max(scale * during.size, max(expected, 1.0) ** 0.5)
    strength = stats.significance((expected - observed) / spread)
    if strength <= 0 or observed > GONE * expected:
        return None
    return _finding(
        SignatureChange.VANISHED, template, signature, observed / during.size, expected / during.size, strength
    )


def _finding(
    change: SignatureChange,
    template: str,
    signature: LogSignature,
    observed: float,
    expected: float,
    strength: float,
) -> SignatureFinding:
    return SignatureFinding(
        signature.service,
        change,
        template,
        signature.example,
        signature.severity,
        observed,
        expected,
        strength,
        signature.first_seen,
    )


def _traffic(series: ServiceSeries, window: Window) -> float:
    """Return the requests per step during the incident as a share of those before, at most 1."""
    before = float(series.requests[window.baseline].mean())
    during = series.requests[window.complete_incident]
    return min(1.0, float(during.mean()) / before) if before > 0 and during.size else 1.0
