"""Plans and deduplication tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.messaging.batch_plan import Plan, digest, parse_plan
from libs.messaging.ports import Record
from tests.unit.libs.messaging.batch_world import TOPIC


@pytest.mark.parametrize("text", ["", "plan1:x:1:2:3", "plan1:1", "someone else's", "plan2:1:2:3:4"])
def test_foreign_metadata_is_not_a_plan(text: str) -> None:
    assert parse_plan(text) is None


def test_a_plan_survives_being_written_down() -> None:
    plan = Plan(41, 1, 1000, digest(b"rows"))
    assert parse_plan(plan.text()) == plan


def test_the_token_tells_ranges_versions_and_rows_apart() -> None:
    record = Record(TOPIC, 0, 7, None, b"", (), 0)
    plan = Plan(9, 1, 3, digest(b"x"))
    others = [replace(plan, last=8), replace(plan, version=2), replace(plan, rows=4), replace(plan, digest="y")]
    tokens = {p.token("rows", [record]) for p in [plan, *others]} | {plan.token("rows", [replace(record, offset=6)])}
    assert len(tokens) == 6
