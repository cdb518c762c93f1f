"""The three ways things go wrong; every layer maps its own errors onto these."""

from __future__ import annotations


class IncidentScopeError(Exception):
    """Base of all our errors; its text is one sentence for the person who meets it."""


class InvalidInput(IncidentScopeError):
    """The input can never be accepted as it is. `reason` is a short stable label for metrics and DLQ headers."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(IncidentScopeError):
    """A dependency does not answer now; the same call may succeed later."""
