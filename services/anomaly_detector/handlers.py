"""One round of the detector: read, evaluate, tell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from prometheus_client import Counter, Gauge

from libs.kernel.clock import Clock
from libs.kernel.errors import Unavailable
from libs.kernel.timewindow import floor_minute
from services.anomaly_detector.domain.anomalies import Anomaly, anomaly, resume
from services.anomaly_detector.domain.baseline import Traffic
from services.anomaly_detector.domain.drop import Requests, evaluate_drop
from services.anomaly_detector.domain.evaluation import Evaluation, evaluate
from services.anomaly_detector.domain.rules import Kind, Rule, RuleSet
from services.anomaly_detector.domain.track import Action, Track, hold, step
from services.anomaly_detector.ports import Announcer, Rollups, Target
from services.anomaly_detector.usual import Usuals

log = structlog.get_logger()
EVALUATIONS = Counter("incidentscope_anomaly_detector_evaluations_total", "Evaluations by outcome", ["rule", "reason"])
ACTIONS = Counter("incidentscope_anomaly_detector_actions_total", "What evaluations led to", ["rule", "action"])
FIRING = Gauge("incidentscope_anomaly_detector_firing_alerts", "Alerts firing now", ["rule"])

MINUTE = timedelta(minutes=1)
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
    """Evaluates every rule on every service, and tells of anomalies that start, go on or end.

    A track moves on only once what it led to is safe with the broker; until then the next round decides the same again.
    """

    def __init__(
        self,
        rollups: Rollups,
        announcer: Announcer,
        rules: RuleSet,
        tenants: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        self._rollups = rollups
        self._announcer = announcer
        self._rules = rules
        self._tenants = tenants
        self._clock = clock
        self._tracks: dict[Key, Track] = {}
        self._usual = Usuals(rollups, rules)
        self._resumed = False

    async def __call__(self) -> None:
        """Do one round; raises Unavailable when the rollups cannot be read, after sending again what still fires."""
        now = self._clock.now()
        if not self._resumed:
            await self._resume(now)
        try:
            windows = await self._windows(now)
            await self._usual.learn(now, self._tenants())
            requests = await self._whole_minutes(now)
        except Unavailable:
            await self._act(self._held(now), now)
            raise
        await self._act([*self._risen(windows, now), *self._dropped(requests, now)], now)

    async def _resume(self, now: datetime) -> None:
        """Go on with what was told before this process started, so that each anomaly that began also ends."""
        for found in await self._announcer.unfinished({rule.name: rule for rule in self._rules.rules}):
            self._tracks[(Target(found.tenant, found.service), found.rule.name)] = resume(found, now)
            log.info("anomaly_resumed", tenant=found.tenant, target=found.service, rule=found.rule.name)
        self._resumed = True

    async def _windows(self, now: datetime) -> Windows:
        windows: dict[Target, dict[int, Traffic]] = {}
        for minutes in self._rules.windows_minutes:
            start = floor_minute(now) - timedelta(minutes=minutes - 1)
            for target, traffic in (await self._rollups.since(self._tenants(), start)).items():
                windows.setdefault(target, {})[minutes] = traffic
        return windows

    async def _whole_minutes(self, now: datetime) -> Mapping[str, Requests]:
        if not self._rules.drops:
            return {}
        widest = max(w for rule in self._rules.drops for w in rule.windows_minutes)
        end = floor_minute(now - self._rules.settle_after)
        return await self._rollups.requests(
            self._tenants(), end - timedelta(minutes=widest), floor_minute(now) + MINUTE
        )

    def _risen(self, windows: Windows, now: datetime) -> list[Step]:
        rules = [rule for rule in self._rules.rules if rule.kind is not Kind.TRAFFIC_DROP]
        targets = windows.keys() | self._tracked(rules)
        return [self._rise(t, rule, windows.get(t, {}), now) for t in sorted(targets) for rule in rules]

    def _dropped(self, requests: Mapping[str, Requests], now: datetime) -> list[Step]:
        end = int(floor_minute(now - self._rules.settle_after).timestamp()) // 60
        steps = []
        for rule in self._rules.drops:
            for target in sorted(self._usual.rates(rule).keys() | self._tracked([rule])):
                before = self._track(target, rule)
                rate = before.rate if before.firing else self._usual.rates(rule).get(target)
                known = requests.get(target.tenant, Requests())
                evaluation = evaluate_drop(rule, known, target.service, end, rate)
                steps.append(self._step(target, rule, before, evaluation, now, rate=rate))
        return steps

    def _tracked(self, rules: Sequence[Rule]) -> set[Target]:
        names = {rule.name for rule in rules}
        return {target for target, name in self._tracks if name in names}

    def _track(self, target: Target, rule: Rule) -> Track:
        return self._tracks.get((target, rule.name), Track())

    def _rise(self, target: Target, rule: Rule, windows: Mapping[int, Traffic], now: datetime) -> Step:
        before = self._track(target, rule)
        baseline = before.baseline if before.firing else self._usual.baselines.get(target)
        return self._step(target, rule, before, evaluate(rule, windows, baseline), now, baseline=baseline)

    def _step(
        self, target: Target, rule: Rule, before: Track, evaluation: Evaluation, now: datetime, **usual: Any
    ) -> Step:
        after, action = step(before, evaluation, rule, now, self._rules.resend_every)
        EVALUATIONS.labels(rule.name, evaluation.reason.value).inc()
        return Step(target, rule, before, replace(after, **usual), action)

    def _held(self, now: datetime) -> list[Step]:
        rules = {rule.name: rule for rule in self._rules.rules}
        return [
            Step(target, rules[name], track, *hold(track, now, self._rules.resend_every))
            for (target, name), track in self._tracks.items()
        ]

    async def _act(self, steps: Sequence[Step], now: datetime) -> None:
        told = [(s, _anomaly(s, now)) for s in steps if s.action.sends]
        if told:
            # The alert is made of the anomaly; one that goes on is only told again as an alert.
            changes = [found for s, found in told if s.action.is_event]
            alerts = [found.alert(now, self._rules.ends_after) for _, found in told]
            await self._announcer.send(changes, alerts, now)
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
        if taken.action.is_event or taken.action is Action.DATA_BACK:
            log.info("anomaly_" + taken.action.value, tenant=taken.target.tenant, target=taken.target.service,
                     rule=taken.rule.name)  # fmt: skip


def _anomaly(taken: Step, now: datetime) -> Anomaly:
    target = taken.target
    return anomaly(target.tenant, target.service, taken.rule, taken.before, taken.after, taken.action, now)
