"""How often the detector cries wolf: its rules on seeded traffic nothing is wrong with, and on drops put into it."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import structlog

from services.anomaly_detector.adapters.rules_file import load_rules
from services.anomaly_detector.domain.alerts import ServiceAlert
from services.anomaly_detector.domain.anomalies import Anomaly
from services.anomaly_detector.domain.rules import Rule, RuleSet
from services.anomaly_detector.handlers import DetectAnomalies
from tests.bench.quiet.world import DAY, MONDAY, TENANT, Drop, Habit, QuietWorld, characters

DROP_MINUTES = 12
Line = dict[str, str | int | float | None]


@dataclass
class Told:
    """Anomalies as they began."""

    found: list[Anomaly] = field(default_factory=list)

    async def send(self, anomalies: Sequence[Anomaly], _alerts: Sequence[ServiceAlert], _now: datetime) -> None:
        """Keep those that begin."""
        self.found.extend(a for a in anomalies if a.ending is None)

    async def unfinished(self, _rules: Mapping[str, Rule]) -> Sequence[Anomaly]:
        """Return nothing: each watch starts afresh."""
        return ()


async def watch(world: QuietWorld, rules: RuleSet, day: int, hours: float, drops: bool = False) -> list[Anomaly]:
    """Return what the detector tells of the first hours of a day."""
    told = Told()
    detect = DetectAnomalies(world, told, rules, lambda: {TENANT}, world.clock)
    world.begin(day, drops)
    world.clock.advance(MONDAY + day * DAY - world.clock.now())
    rounds = int(hours * 3600 / rules.every.total_seconds())
    for number in range(rounds):
        world.clock.advance(rules.every)
        await detect()
        if number % 720 == 0:
            print(
                f"\rday {day}, {number * rules.every / timedelta(hours=1):.0f} h", end="", file=sys.stderr, flush=True
            )
    print(file=sys.stderr)
    return told.found


def false_alarms(found: Sequence[Anomaly], rules: RuleSet, phase: str, services: int, hours: float) -> Iterator[Line]:
    """Yield a line per rule."""
    counted = Counter(a.rule.name for a in found)
    for rule in rules.rules:
        yield {
            "phase": phase, "rule": rule.name, "services": services, "hours": hours, "false_alarms": counted[rule.name],
            "per_service_day": round(counted[rule.name] / services / (hours / 24), 4),
        }  # fmt: skip
    for a in found:
        seen = f"{a.seen.value:.3g} of {a.seen.traffic.requests} requests, limit {a.seen.limit:.3g}"
        print(
            f"  {phase}: {a.starts_at:%a %H:%M} {a.rule.name} {a.service}: {seen}, {a.seen.reason.value}",
            file=sys.stderr,
        )


def planned_drops(services: int, seed: int, hours: float) -> dict[str, Drop]:
    """Return one drop for each service of the daily kind, at a random minute, to nothing or to a tenth."""
    rng = np.random.default_rng([seed, 4])
    planned: dict[str, Drop] = {}
    for who in characters(services, seed):
        first = int(rng.integers(75, int(hours * 60) - 2 * DROP_MINUTES))
        if who.habit is Habit.DAILY:
            planned[who.name] = (first, first + DROP_MINUTES, float(rng.choice([0.0, 0.1])))
    return planned


def drops_told(found: Sequence[Anomaly], world: QuietWorld, planned: dict[str, Drop], day: int) -> Line:
    """Return how many drops of services asked more than the rule's least were told, and how soon."""
    lags, expected, extra = [], 0, 0
    (rule,) = load_rules(None).drops
    told = {(a.service, a.starts_at) for a in found if a.rule.name == rule.name}
    for who in world.characters:
        own = [at for name, at in told if name == who.name]
        if who.name not in planned:
            extra += len(own)
            continue
        start = MONDAY + day * DAY + timedelta(minutes=planned[who.name][0])
        hits = [at - start for at in own if start <= at <= start + timedelta(minutes=DROP_MINUTES + 2)]
        extra += len(own) - len(hits)
        if world.usual_rate(who.name, start) >= rule.least_usual:
            expected += 1
            lags.extend(hits[:1])
    seconds = [lag.total_seconds() for lag in lags]
    median = float(np.median(seconds)) if seconds else None
    return {"phase": "drops", "rule": rule.name, "drops": expected, "told": len(lags), "elsewhere": extra,
            "median_seconds": median}  # fmt: skip


async def measure(services: int, hours: float, seed: int, rules: RuleSet) -> Iterator[Line]:
    """Return the lines of a first day nothing is known of, of the day after a week, and of that day with drops."""
    lines: list[Line] = []
    planned = planned_drops(services, seed, hours)
    world = QuietWorld(services, seed, planned)
    found = await watch(world, rules, 0, hours)
    lines.extend(false_alarms(found, rules, "first_day", services, hours))
    for day in range(1, 8):
        world.begin(day)
    found = await watch(world, rules, 8, hours)
    lines.extend(false_alarms(found, rules, "after_a_week", services, hours))
    found = await watch(world.again(), rules, 8, hours, drops=True)
    lines.append(drops_told(found, world, planned, 8))
    return iter(lines)


def main() -> int:
    """Print one JSON line per phase and rule."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.quiet", description=__doc__)
    parser.add_argument("--services", type=int, default=20)
    parser.add_argument("--hours", type=float, default=24.0, help="of each day that is watched")
    parser.add_argument("--seed", type=int, default=1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    arguments = parser.parse_args()
    if not 1 <= arguments.services <= 100 or not 2 <= arguments.hours <= 24:
        parser.error("1 to 100 services and 2 to 24 hours can be watched")
    for line in asyncio.run(measure(arguments.services, arguments.hours, arguments.seed, load_rules(None))):
        print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
