"""The detector on a morning of seeded traffic nothing is wrong with, and on drops put into it."""

from __future__ import annotations

import asyncio

from services.anomaly_detector.adapters.rules_file import load_rules
from tests.bench.quiet.__main__ import measure
from tests.bench.quiet.world import QuietWorld


def test_after_a_week_of_learning_a_quiet_morning_raises_no_alarm_and_drops_are_told() -> None:
    lines = list(asyncio.run(measure(10, 3, 4, load_rules(None))))
    alarms = {(line["phase"], line["rule"]): line["false_alarms"] for line in lines if line["phase"] != "drops"}
    drops = lines[-1]
    assert sum(int(count or 0) for (phase, _), count in alarms.items() if phase == "after_a_week") == 0
    assert alarms[("first_day", "TrafficDrop")] == 0
    assert drops["drops"] == drops["told"] != 0
    assert drops["elsewhere"] == 0


def test_the_same_seed_gives_the_same_traffic() -> None:
    one, other = QuietWorld(3, 7), QuietWorld(3, 7)
    for world in (one, other):
        world.begin(0)
    assert one.usual_rate("service-02", one.clock.now()) == other.usual_rate("service-02", other.clock.now())
    assert one._minutes == other._minutes
