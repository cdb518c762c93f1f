"""Unit tests stay away from servers."""

import pytest


@pytest.fixture
def stack() -> None:
    """Refuse: a unit test that asks for servers is in the wrong folder."""
    pytest.fail("a unit test must not touch servers; move it to tests/integration")
