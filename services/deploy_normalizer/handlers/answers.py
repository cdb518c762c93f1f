"""What a webhook is answered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from libs.kernel.errors import IncidentScopeError
from services.deploy_normalizer.domain.signature import Verdict


class Outcome(StrEnum):
    """How a webhook ended, in broad terms; the reason says more."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told. `reason` is a stable label, `message` one sentence for a person."""

    outcome: Outcome
    reason: str
    message: str
    deploy_id: str = ""


class NotAuthentic(IncidentScopeError):
    """The webhook cannot be trusted; `verdict` says why."""

    def __init__(self, verdict: Verdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict
