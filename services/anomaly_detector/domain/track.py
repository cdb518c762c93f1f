"""From single evaluations to an alert that starts, goes on and ends: hysteresis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from services.anomaly_detector.domain.baseline import Baseline
from services.anomaly_detector.domain.drop import UsualRate
from services.anomaly_detector.domain.evaluation import Evaluation, Verdict
from services.anomaly_detector.domain.rules import Rule


class Action(Enum):
    """What is to be done about an alert, and why."""

    NOTHING = "nothing"
    WAIT_TO_FIRE = "wait_to_fire"
    FIRE = "fire"
    KEEP_FIRING = "keep_firing"
    RESEND = "resend"
    WAIT_TO_RESOLVE = "wait_to_resolve"
    HOLD_DOWN = "hold_down"
    RESOLVE = "resolve"
    NO_DATA = "no_data"
    DATA_BACK = "data_back"
    RESOLVE_NEW_USUAL = "resolve_new_usual"

    @property
    def sends(self) -> bool:
        """Tell whether the alert is sent."""
        return self in {Action.FIRE, Action.RESEND, Action.NO_DATA, Action.DATA_BACK} or self.resolves

    @property
    def resolves(self) -> bool:
        """Tell whether the alert ends."""
        return self in {Action.RESOLVE, Action.RESOLVE_NEW_USUAL}

    @property
    def is_event(self) -> bool:
        """Tell whether subscribers of anomalies are told, besides those of alerts."""
        return self in {Action.FIRE, Action.NO_DATA} or self.resolves


@dataclass(frozen=True, slots=True)
class Track:
    """One rule on one service over time. `told` is the last breach seen, which the alert's text is made of.

    `no_data_since` is set once there has been too little traffic to tell for `no_data_after`: the alert goes on, since
    silence is no recovery, and says so until there is data again.
    `baseline` and `rate` are what was usual when the alert fired: the outage itself must not become the new usual.
    """

    breaches: int = 0
    healthy: int = 0
    since: datetime | None = None  # the first of the breaches in a row
    fired_at: datetime | None = None
    sent_at: datetime | None = None
    known_at: datetime | None = None  # when there was last enough traffic to tell
    told: Evaluation | None = None
    baseline: Baseline | None = None
    rate: UsualRate | None = None
    no_data_since: datetime | None = None

    @property
    def firing(self) -> bool:
        """Tell whether the alert fires."""
        return self.fired_at is not None

    @property
    def idle(self) -> bool:
        """Tell whether there is nothing to remember."""
        return not self.firing and self.breaches == 0


def step(track: Track, evaluation: Evaluation, rule: Rule, now: datetime, resend: timedelta) -> tuple[Track, Action]:
    """Return the track after an evaluation, and what to do; a firing alert is sent every `resend`."""
    verdict = evaluation.reason.verdict
    if verdict is Verdict.UNKNOWN:
        return _unknown(track, rule, now, resend) if track.firing else (Track(), Action.NOTHING)
    after, action = _known(replace(track, no_data_since=None, known_at=now), evaluation, rule, now, resend)
    if track.no_data_since and not action.sends:
        return replace(after, sent_at=now), Action.DATA_BACK
    return after, action


def _known(track: Track, evaluation: Evaluation, rule: Rule, now: datetime, resend: timedelta) -> tuple[Track, Action]:
    if evaluation.reason.verdict is Verdict.BREACH:
        seen = replace(track, breaches=track.breaches + 1, healthy=0, told=evaluation)
        return _breach(replace(seen, since=track.since or now), rule, now, resend)
    if not track.firing:
        return Track(), Action.NOTHING
    return _healthy(replace(track, healthy=track.healthy + 1), rule, now, resend)


def hold(track: Track, now: datetime, resend: timedelta) -> tuple[Track, Action]:
    """Return the track after an evaluation that could not be made: what fires goes on."""
    return _resend_when_due(track, now, resend, Action.KEEP_FIRING if track.firing else Action.NOTHING)


def _breach(track: Track, rule: Rule, now: datetime, resend: timedelta) -> tuple[Track, Action]:
    if track.fired_at:
        if rule.new_usual_after and now - track.fired_at >= rule.new_usual_after:
            return Track(), Action.RESOLVE_NEW_USUAL
        return _resend_when_due(track, now, resend, Action.KEEP_FIRING)
    if track.breaches < rule.fire_after:
        return track, Action.WAIT_TO_FIRE
    return replace(track, fired_at=now, sent_at=now), Action.FIRE


def _healthy(track: Track, rule: Rule, now: datetime, resend: timedelta) -> tuple[Track, Action]:
    if track.healthy < rule.resolve_after:
        return _resend_when_due(track, now, resend, Action.WAIT_TO_RESOLVE)
    if track.fired_at and now - track.fired_at < rule.hold_down:
        return _resend_when_due(track, now, resend, Action.HOLD_DOWN)
    return Track(), Action.RESOLVE


def _unknown(track: Track, rule: Rule, now: datetime, resend: timedelta) -> tuple[Track, Action]:
    if track.known_at and not track.no_data_since and now - track.known_at >= rule.no_data_after:
        return replace(track, no_data_since=track.known_at, sent_at=now), Action.NO_DATA
    return _resend_when_due(track, now, resend, Action.KEEP_FIRING)


def _resend_when_due(track: Track, now: datetime, every: timedelta, otherwise: Action) -> tuple[Track, Action]:
    if track.firing and (track.sent_at is None or now - track.sent_at >= every):
        return replace(track, sent_at=now), Action.RESEND
    return track, otherwise
