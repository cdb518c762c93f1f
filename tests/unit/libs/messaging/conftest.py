"""Fixtures of the batch loop's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.libs.messaging.batch_world import World


@pytest.fixture
def world() -> Iterator[World]:
    """Return a world whose loops end with the test."""
    made = World()
    yield made
    made.stop()
