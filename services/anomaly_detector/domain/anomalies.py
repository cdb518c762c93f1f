"""What an anomaly is, from its start to its end, and the alert that is made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.kernel.ids import stable_id
from libs.kernel.labels import fingerprint
from services.anomaly_detector.domain.alerts import ServiceAlert, describe, identify, service_page
from services.anomaly_detector.domain.baseline import Baseline, Usual
from services.anomaly_detector.domain.drop import UsualRate
from services.anomaly_detector.domain.evaluation import Evaluation
from services.anomaly_detector.domain.rules import Kind, Rule
from services.anomaly_detector.domain.track import Action, Track


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One service that left what is usual for it; `ending` says how it came back, `ends_at` when that was seen.

    `no_data_since` is set while it goes on and there is too little traffic to tell whether it still does.
    """

    tenant: str
    service: str
    rule: Rule
    seen: Evaluation
    starts_at: datetime
    ends_at: datetime | None = None
    ending: Action | None = None
    no_data_since: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """Return the identity of its alert, the same each time the rule is broken on the service."""
        return fingerprint(identify(self.rule, self.service))

    @property
    def id(self) -> str:
        """Return its own identity. It depends on what it is only: told twice, it is recognised."""
        return stable_id(self.tenant, self.fingerprint, self.starts_at.isoformat())

    def alert(self, now: datetime, ends_after: timedelta) -> ServiceAlert:
        """Return the alert as it is now; a firing one is taken for silent unless sent again within `ends_after`."""
        return ServiceAlert(
            tenant=self.tenant,
            service=self.service,
            severity=self.rule.severity,
            labels=identify(self.rule, self.service),
            annotations={**describe(self.rule, self.service, self.seen), "anomaly_id": self.id},
            firing=self.ends_at is None,
            starts_at=self.starts_at,
            ends_at=self.ends_at or now + ends_after,
            generator_url=service_page(self.service),
            no_data_since=self.no_data_since,
        )


def anomaly(
    tenant: str, service: str, rule: Rule, before: Track, after: Track, action: Action, now: datetime
) -> Anomaly:
    """Return what an action that sends is about; raises ValueError when the tracks were never in breach."""
    track = before if action.resolves else after
    if track.since is None or track.told is None:
        raise ValueError(f"{action.value} of {rule.name} on {service}, which was never broken")
    ends_at, ending = (now, action) if action.resolves else (None, None)
    return Anomaly(tenant, service, rule, track.told, track.since, ends_at, ending, track.no_data_since)


def resume(anomaly: Anomaly, now: datetime) -> Track:
    """Return the track of an anomaly that was told before a restart and not ended, so that it goes on as it was.

    What was usual when it began is put together from what was told of it: the outage has since become part of the past.
    """
    return Track(
        since=anomaly.starts_at,
        fired_at=anomaly.starts_at,
        known_at=anomaly.no_data_since or now,
        told=anomaly.seen,
        no_data_since=anomaly.no_data_since,
        baseline=_baseline(anomaly) if anomaly.rule.kind is not Kind.TRAFFIC_DROP else None,
        rate=_rate(anomaly) if anomaly.rule.kind is Kind.TRAFFIC_DROP else None,
    )


def _baseline(anomaly: Anomaly) -> Baseline | None:
    """Return a baseline that leads to the same limit; None while nothing was known."""
    if anomaly.seen.usual is None:
        return None
    usual = Usual(anomaly.seen.usual, anomaly.seen.limit / anomaly.rule.burst_factor)
    return Baseline(error_ratio=usual, p95_ms=usual)


def _rate(anomaly: Anomaly) -> UsualRate | None:
    level, limit, rule = anomaly.seen.usual, anomaly.seen.limit, anomaly.rule
    if not level or limit <= 0:
        return None
    spread = math.log(level / limit) / rule.min_sigmas if rule.min_sigmas else 0.0
    return UsualRate(level, level, spread)
