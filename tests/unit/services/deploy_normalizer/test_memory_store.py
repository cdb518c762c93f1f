"""The store the unit tests use keeps the same laws as PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.deploy_normalizer.ports import DeployStore
from tests.unit.services.deploy_normalizer.deploy_store_suite import LAWS
from tests.unit.services.deploy_normalizer.world import MemoryDeploys


@pytest.mark.parametrize("law", LAWS)
def test_the_store_in_memory_keeps_the_law(law: Callable[[DeployStore], Awaitable[None]]) -> None:
    async def check() -> None:
        await law(MemoryDeploys())

    asyncio.run(check())
