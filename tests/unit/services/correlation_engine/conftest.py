from __future__ import annotations

import pytest

from libs.kernel.clock import ManualClock
from tests.unit.services.correlation_engine import world
from tests.unit.services.correlation_engine.surroundings import Surroundings


@pytest.fixture
def around() -> Surroundings:
    scenario = world.simulate(1, "bad-deploy")
    return Surroundings(scenario, ManualClock(scenario.telemetry.grid.end))
