"""What an alert says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from services.anomaly_detector.domain.evaluation import Evaluation
from services.anomaly_detector.domain.rules import Kind, Rule

SOURCE = "anomaly_detector"
WORDS = {
    Kind.ERROR_RATIO: "{} of requests failed",
    Kind.LATENCY_P95: "p95 latency is {}",
    Kind.TRAFFIC_DROP: "only {} came",
}


@dataclass(frozen=True, slots=True)
class ServiceAlert:
    """An alert to be sent. `ends_at` of a firing one is when it is taken for silent unless sent again.

    `no_data_since` says since when too few requests come to tell whether it still holds.
    """

    tenant: str
    service: str
    severity: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    firing: bool
    starts_at: datetime
    ends_at: datetime
    generator_url: str
    no_data_since: datetime | None = None


def identify(rule: Rule, service: str) -> dict[str, str]:
    """Return the labels that identify a rule's alert on a service."""
    return {"alertname": rule.name, "service": service, "severity": rule.severity, "source": SOURCE}


def describe(rule: Rule, service: str, seen: Evaluation) -> dict[str, str]:
    """Return the alert's text: a summary with numbers and units, and the numbers by themselves."""
    usual = "not known yet" if seen.usual is None else _amount(rule, seen.usual)
    value, limit = _amount(rule, seen.value), _amount(rule, seen.limit)
    what = WORDS[rule.kind].format(value)
    span = "minute" if seen.window_minutes == 1 else f"{seen.window_minutes} minutes"
    return {
        "summary": f"{service}: {what} in the last {span} (limit {limit}, usual {usual})",
        "value": value,
        "limit": limit,
        "usual": usual,
        "requests": str(seen.traffic.requests),
        "errors": str(seen.traffic.errors),
        "reason": seen.reason.value,
    }


def _amount(rule: Rule, value: float) -> str:
    if rule.kind is Kind.TRAFFIC_DROP:
        return f"{value:,.0f} requests a minute"
    return f"{value:.1%}" if rule.kind is Kind.ERROR_RATIO else f"{value:,.0f} ms"


def service_page(service: str) -> str:
    """Return the page of a service on the console, as a path: the console may be anywhere, and move."""
    return f"/services/{quote(service, safe='')}"
