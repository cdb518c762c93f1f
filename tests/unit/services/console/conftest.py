from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.services.console.client import Client
from tests.unit.services.console.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def client(world: World) -> Client:
    return Client(world.app())
