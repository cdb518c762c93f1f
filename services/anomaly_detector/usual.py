"""What is usual for every service, kept up to date."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from libs.kernel.timewindow import floor_minute
from services.anomaly_detector.domain.baseline import Baseline, Traffic, learn
from services.anomaly_detector.domain.drop import Requests, UsualRate, learn_rate
from services.anomaly_detector.domain.rules import Rule, RuleSet
from services.anomaly_detector.ports import Rollups, Target

HOUR = timedelta(hours=1)
DRIFT = HOUR / 2  # what happens every day does not happen to the minute: this much around the hour is looked at


class Usuals:
    """Learns what is usual once a minute; what was usual on earlier days is read once an hour, it changes slowly."""

    def __init__(self, rollups: Rollups, rules: RuleSet) -> None:
        self._rollups = rollups
        self._rules = rules
        self._learned_at: datetime | None = None
        self._season_of: datetime | None = None
        self._season: Mapping[Target, Sequence[Traffic]] = {}
        self._season_requests: list[tuple[range, Mapping[str, Requests]]] = []
        self._rates: dict[str, Mapping[Target, UsualRate]] = {}
        self.baselines: Mapping[Target, Baseline | None] = {}

    def rates(self, rule: Rule) -> Mapping[Target, UsualRate]:
        """Return the usual requests a minute, as a rule on traffic drops sees them."""
        return self._rates.get(rule.name, {})

    async def learn(self, now: datetime, tenants: Collection[str]) -> None:
        """Learn what this minute needs; does nothing when that is done. Raises Unavailable."""
        minute = floor_minute(now)
        if self._learned_at == minute:
            return
        await self._read_season(minute, tenants)
        await self._learn_baselines(minute, tenants)
        await self._learn_rates(floor_minute(now - self._rules.settle_after), tenants)
        self._learned_at = minute

    async def _learn_baselines(self, minute: datetime, tenants: Collection[str]) -> None:
        rule = self._rules.baseline
        end = minute - timedelta(minutes=rule.gap_minutes)
        found = await self._rollups.minutes(tenants, end - timedelta(minutes=rule.minutes), end)
        self.baselines = {
            target: learn(found.get(target, ()), rule, self._season.get(target, ()))
            for target in found.keys() | self._season
        }

    async def _learn_rates(self, whole: datetime, tenants: Collection[str]) -> None:
        """Learn from the minutes before the window that each rule looks at."""
        for rule in self._rules.drops:
            end = whole - timedelta(minutes=max(rule.windows_minutes))
            start = end - timedelta(minutes=self._rules.baseline.minutes)
            requests = await self._rollups.requests(tenants, start, end)
            self._rates[rule.name] = {
                Target(tenant, service): usual
                for tenant, recent in requests.items()
                for service in recent.counts
                if (usual := self._rate(rule, tenant, service, recent.of(service, _minutes(start, end))))
            }

    def _rate(self, rule: Rule, tenant: str, service: str, recent: Sequence[int]) -> UsualRate | None:
        seasons = [
            requests[tenant].of(service, minutes) for minutes, requests in self._season_requests if tenant in requests
        ]
        return learn_rate(recent, seasons, rule)

    async def _read_season(self, minute: datetime, tenants: Collection[str]) -> None:
        hour = minute.replace(minute=0)
        if self._season_of == hour:
            return
        rule = self._rules.baseline
        half = timedelta(minutes=rule.minutes / 2)
        found: dict[Target, list[Traffic]] = {}
        requests = []
        for days in rule.season_days:
            then = hour - timedelta(days=days)
            middle = then + HOUR / 2
            for target, traffic in (await self._rollups.minutes(tenants, middle - half, middle + half)).items():
                found.setdefault(target, []).extend(traffic)
            if self._rules.drops:
                start, end = then - DRIFT, then + HOUR + DRIFT
                requests.append((_minutes(start, end), await self._rollups.requests(tenants, start, end)))
        self._season, self._season_requests, self._season_of = found, requests, hour


def _minutes(start: datetime, end: datetime) -> range:
    return range(int(start.timestamp()) // 60, int(end.timestamp()) // 60)
