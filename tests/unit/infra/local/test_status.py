from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from infra.local import processes, state, status
from infra.local.ports import Ports
from infra.local.stack import Stack
from infra.local.state import Restart, State
from infra.local.status import DIED, Report, Row, duration, render

ROWS = (
    Row("kafka", 4711, "ready", 9092, 350.4, 3725.0, None),
    Row("console", 99, "starting", 8080, 80.0, 4.0, "/readyz says 503"),
    Row("postgres", None, "down", 5433, None, None, None),
)


def test_the_table_lines_up_and_ends_with_memory_and_start_up_time() -> None:
    assert render(Report(ROWS, 31.24)).splitlines() == [
        "part       pid  state     port  RSS MiB  uptime",
        "kafka     4711  ready     9092      350   1h02m",
        "console     99  starting  8080       80      4s",
        "postgres     -  down      5433        -       -",
        "console: /readyz says 503",
        "memory: 430 MiB of 4096 MiB",
        "ready in 31.2 s",
    ]


def test_a_full_disk_and_a_dead_supervisor_are_told() -> None:
    told = render(Report(ROWS[:1], None, 0.42, DIED))
    assert "disk: only 0.4 GiB left: parts stop writing, then die" in told
    assert "supervisor: died: parts that die stay dead; `make up` starts it again" in told


def test_all_is_ready_only_when_every_part_is() -> None:
    assert not Report(ROWS, None).all_ready
    assert not Report((), None).all_ready
    assert Report(ROWS[:1], None).all_ready


def test_json_carries_the_same() -> None:
    answer = Report(ROWS[:1], 3.0).as_json()
    assert answer["ready"] is True
    assert answer["memory_mib"] == 350
    assert answer["parts"][0]["pid"] == 4711


def test_durations_are_short() -> None:
    assert [duration(s) for s in (0.9, 59, 60, 3599, 3600, 86400 + 4 * 3600)] == [
        "0s", "59s", "1m00s", "59m59s", "1h00m", "1d04h",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("problem", "condition", "told"),
    [
        ("no answer yet", "starting", "no answer yet; died 2 times since `up`, the last time: ended with exit code 3"),
        (None, "ready", "died 2 times since `up`, the last time: ended with exit code 3"),
    ],
)
def test_a_part_that_is_started_again_keeps_telling_how_often_it_died_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str | None, condition: str, told: str
) -> None:
    me = processes.identify(os.getpid())
    assert me is not None
    stack = Stack(tmp_path, Ports.defaults())
    again = replace(stack.parts()["kafka"], problem=lambda: problem)
    monkeypatch.setattr(stack, "parts", lambda: {"kafka": again})
    died = {"kafka": Restart(2, "ended with exit code 3", "2026-01-01T00:00:00+00:00")}
    state.save(tmp_path, State(processes={"kafka": me}, wanted=["kafka"], restarts=died))
    (row,) = status.report(stack).rows
    assert (row.state, row.restarts, row.problem) == (condition, 2, told)
