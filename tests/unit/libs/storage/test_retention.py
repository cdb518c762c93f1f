"""What goes when: the plan of the retention job."""

from __future__ import annotations

from datetime import date, timedelta

from libs.storage.retention import Removal, plan

TODAY = date(2026, 3, 31)
DAYS = {"short": 1, "long": 90}


def day(ago: int) -> date:
    return TODAY - timedelta(days=ago)


def days_of(tenant: str) -> int:
    return DAYS.get(tenant, 30)


def test_a_day_nobody_keeps_goes_as_a_whole() -> None:
    assert plan([(day(31), "acme"), (day(31), "short")], days_of, TODAY) == [Removal(day(31))]


def test_from_a_day_that_others_keep_only_those_whose_time_is_over_go() -> None:
    present = [(day(31), "long"), (day(31), "acme"), (day(2), "short"), (day(2), "acme")]
    assert plan(present, days_of, TODAY) == [Removal(day(31), ("acme",)), Removal(day(2), ("short",))]


def test_the_last_kept_day_stays_whole() -> None:
    assert plan([(day(30), "acme"), (day(1), "short"), (day(90), "long")], days_of, TODAY) == []
