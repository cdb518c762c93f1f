import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local import processes, starting
from infra.local.errors import LocalStackError, PartFailed
from infra.local.part import Part
from infra.local.processes import Command, Identity
from infra.local.starting import Starter

WRITES = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
DIES = "import sys; print('no licence found'); sys.exit(3)"


class Yard:
    """A starter with a folder, and what was recorded and said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recorded: dict[str, Identity] = {}
        self.said: list[str] = []
        self.settled: list[str] = []

    def starter(self, timeout_seconds: float = 10.0) -> Starter:
        return Starter(
            lambda part: self.folder / f"{part}.log",
            lambda _part, command: command,
            self.recorded.__setitem__,
            self.said.append,
            timeout_seconds,
        )

    def part(self, name: str, program: str = WRITES, problem: Callable[[], str | None] | None = None) -> Part:
        mark = self.folder / f"{name}.ready"
        argv = [sys.executable, "-c", program, str(mark)]
        return Part(
            name,
            (),
            lambda _say: Command(argv, os.environ, self.folder),
            problem or (lambda: None if mark.exists() else "no mark yet"),
            lambda: self.settled.append(name),
        )


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    yield made
    for identity in made.recorded.values():
        processes.stop(identity)


def test_parts_start_side_by_side_and_are_settled_once_ready(yard: Yard) -> None:
    yard.starter().bring_up([yard.part("a"), yard.part("b")], {})
    assert sorted(yard.settled) == ["a", "b"]
    assert all(processes.alive(identity) for identity in yard.recorded.values())
    assert sorted(line.split(" (")[0] for line in yard.said) == ["a: ready", "b: ready"]


def test_a_part_that_runs_is_left_alone(yard: Yard) -> None:
    yard.starter().bring_up([yard.part("a")], {})
    before = dict(yard.recorded)
    yard.starter().bring_up([yard.part("a")], dict(before))
    assert yard.recorded == before


def test_a_part_that_dies_is_reported_with_its_code_and_last_lines(yard: Yard) -> None:
    with pytest.raises(PartFailed) as caught:
        yard.starter().bring_up([yard.part("a", DIES)], {})
    assert "a stopped while it was starting (exit code 3)" in str(caught.value)
    assert "| no licence found" in str(caught.value)


def test_the_others_get_ready_although_one_fails(yard: Yard) -> None:
    with pytest.raises(PartFailed):
        yard.starter().bring_up([yard.part("bad", DIES), yard.part("good")], {})
    assert yard.settled == ["good"]
    assert processes.alive(yard.recorded["good"])


def test_every_failure_is_told(yard: Yard) -> None:
    with pytest.raises(PartFailed, match="one stopped"):
        yard.starter().bring_up([yard.part("one", DIES), yard.part("two", DIES)], {})
    assert any("two stopped" in line for line in yard.said)


def test_a_part_that_never_answers_is_given_up_with_what_it_lacks(yard: Yard) -> None:
    with pytest.raises(PartFailed, match=r"a was not ready after 0 s \(it sulks\)"):
        yard.starter(0.2).bring_up([yard.part("a", problem=lambda: "it sulks")], {})


def test_a_long_start_says_what_it_waits_for(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "REMIND_SECONDS", 0.0)
    answers = ["no mark yet"]
    yard.starter().bring_up([yard.part("a", problem=lambda: answers.pop() if answers else None)], {})
    assert yard.said[0] == "a: still starting, 0 s (no mark yet)"


def test_an_answer_from_another_program_is_not_taken_for_ours(yard: Yard) -> None:
    gone = time.monotonic() + 1.0
    with pytest.raises(PartFailed, match="stopped while it was starting"):
        yard.starter().bring_up(
            [yard.part("a", DIES, problem=lambda: None if time.monotonic() > gone else "not yet")], {}
        )


def test_a_program_that_is_missing_is_one_sentence(yard: Yard) -> None:
    def prepare(_say: Callable[[str], None]) -> Command:
        return Command([str(yard.folder / "none")], os.environ, yard.folder)

    with pytest.raises(LocalStackError, match="a could not be started"):
        yard.starter().bring_up([Part("a", (), prepare, lambda: None)], {})
