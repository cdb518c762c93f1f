"""One round of the detector: read, evaluate, tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter, Gauge

from libs.kernel.clock import Clock
from libs.kernel.errors import Unavailable
from libs.kernel.timewindow import floor_minute
from services.anomaly_detector.domain.alerts import ServiceAlert, describe, identify, service_page
from services.anomaly_detector.domain.baseline import Baseline, Traffic, learn
from services.anomaly_detector.domain.evaluation import evaluate
from services.anomaly_detector.domain.rules import Rule, RuleSet
from services.anomaly_detector.domain.track import Action, Track, hold, step
from services.anomaly_detector.ports import AlertSender, Rollups, Target

log = structlog.get_logger()
EVALUATIONS = Counter("incidentscope_anomaly_detector_evaluations_total", "Evaluations by outcome", ["rule", "reason"])
ACTIONS = Counter("incidentscope_anomaly_detector_actions_total", "What evaluations led to", ["rule", "action"])
FIRING = Gauge("incidentscope_anomaly_detector_firing_alerts", "Alerts firing now", ["rule"])

Windows = Mapping[Target, Mapping[int, Traffic]]
Key = tuple[Target, str]


@dataclass(frozen=True, slots=True)
class Step:
    """What one evaluation leads to: the track before and after, and the action."""

    target: Target
    rule: Rule
    before: Track
    after: Track
    action: Action


class DetectAnomalies:
    """Evaluates every rule on every service, and sends the alerts that start, go on or end.

    A track moves on only once its alert is safe with the broker; until then the next round decides the same again.
    """

    def __init__(
        self,
        rollups: Rollups,
        sender: AlertSender,
        rules: RuleSet,
        tenants: Callable[[], Collection[str]],
        clock: Clock,
        console_url: str,
    ) -> None:
        self._rollups = rollups
        self._sender = sender
        self._rules = rules
        self._tenants = tenants
        self._clock = clock
        self._console_url = console_url
        self._tracks: dict[Key, Track] = {}
        self._baselines: Mapping[Target, Baseline | None] = {}
        self._learned_at: datetime | None = None
        self._seasons: Mapping[Target, Sequence[Traffic]] = {}
        self._season_of: datetime | None = None

    async def __call__(self) -> None:
        """Do one round; raises Unavailable when the rollups cannot be read, after sending again what still fires."""
        now = self._clock.now()
        try:
            windows = await self._windows(now)
            await self._learn(now)
        except Unavailable:
            await self._act(self._held(now), now)
            raise
        await self._act(self._evaluated(windows, now), now)

    async def _windows(self, now: datetime) -> Windows:
        windows: dict[Target, dict[int, Traffic]] = {}
        for minutes in self._rules.windows_minutes:
            start = floor_minute(now) - timedelta(minutes=minutes - 1)
            for target, traffic in (await self._rollups.since(self._tenants(), start)).items():
                windows.setdefault(target, {})[minutes] = traffic
        return windows

    async def _learn(self, now: datetime) -> None:
        minute = floor_minute(now)
        if self._learned_at == minute:
            return
        rule = self._rules.baseline
        end = minute - timedelta(minutes=rule.gap_minutes)
        minutes = await self._rollups.minutes(self._tenants(), end - timedelta(minutes=rule.minutes), end)
        season = await self._season(minute)
        self._baselines = {
            target: learn(minutes.get(target, ()), rule, season.get(target, ())) for target in minutes.keys() | season
        }
        self._learned_at = minute

    async def _season(self, minute: datetime) -> Mapping[Target, Sequence[Traffic]]:
        """Return the minutes around this time of earlier days; read once an hour, they change slowly."""
        hour = minute.replace(minute=0)
        if self._season_of != hour:
            rule = self._rules.baseline
            half = timedelta(minutes=rule.minutes / 2)
            found: dict[Target, list[Traffic]] = {}
            for days in rule.season_days:
                middle = hour + timedelta(minutes=30) - timedelta(days=days)
                for target, traffic in (
                    await self._rollups.minutes(self._tenants(), middle - half, middle + half)
                ).items():
                    found.setdefault(target, []).extend(traffic)
            self._seasons, self._season_of = found, hour
        return self._seasons

    def _evaluated(self, windows: Windows, now: datetime) -> list[Step]:
        targets = windows.keys() | {target for target, _name in self._tracks}
        return [self._step(t, rule, windows.get(t, {}), now) for t in sorted(targets) for rule in self._rules.rules]

    def _step(self, target: Target, rule: Rule, windows: Mapping[int, Traffic], now: datetime) -> Step:
        before = self._tracks.get((target, rule.name), Track())
        baseline = before.baseline if before.firing else self._baselines.get(target)
        evaluation = evaluate(rule, windows, baseline)
        after, action = step(before, evaluation, rule, now, self._rules.resend_every)
        EVALUATIONS.labels(rule.name, evaluation.reason.value).inc()
        return Step(target, rule, before, replace(after, baseline=baseline), action)

    def _held(self, now: datetime) -> list[Step]:
        rules = {rule.name: rule for rule in self._rules.rules}
        return [
            Step(target, rules[name], track, *hold(track, now, self._rules.resend_every))
            for (target, name), track in self._tracks.items()
        ]

    async def _act(self, steps: Sequence[Step], now: datetime) -> None:
        alerts = [self._alert(s, now) for s in steps if s.action.sends]
        if alerts:
            await self._sender.send(alerts, now)
        for s in steps:
            self._adopt(s)
        for rule in self._rules.rules:
            firing = sum(t.firing for (_target, name), t in self._tracks.items() if name == rule.name)
            FIRING.labels(rule.name).set(firing)

    def _adopt(self, taken: Step) -> None:
        key = (taken.target, taken.rule.name)
        if taken.after.idle:
            self._tracks.pop(key, None)
        else:
            self._tracks[key] = taken.after
        ACTIONS.labels(taken.rule.name, taken.action.value).inc()
        if taken.action in {Action.FIRE, Action.RESOLVE, Action.RESOLVE_NO_DATA}:
            log.info("alert_" + taken.action.value, tenant=taken.target.tenant, target=taken.target.service,
                     rule=taken.rule.name)  # fmt: skip

    def _alert(self, taken: Step, now: datetime) -> ServiceAlert:
        track = taken.before if taken.action.resolves else taken.after
        ends_at = now if taken.action.resolves else now + self._rules.ends_after
        service = taken.target.service
        return ServiceAlert(
            tenant=taken.target.tenant,
            service=service,
            severity=taken.rule.severity,
            labels=identify(taken.rule, service),
            annotations=describe(taken.rule, service, track.told) if track.told else {},
            firing=not taken.action.resolves,
            starts_at=track.since or now,
            ends_at=ends_at,
            generator_url=service_page(self._console_url, service),
        )
