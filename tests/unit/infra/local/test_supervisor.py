"""Parts that die: when they are started again, and what is told of them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local import disk, processes, state
from infra.local.errors import LocalStackError, PartFailed
from infra.local.processes import Command, Identity
from infra.local.state import State
from infra.local.supervisor import LONGEST_DELAY_SECONDS, STABLE_SECONDS, Backoff, Supervisor, how_it_ended

GONE = Identity(2**22 + 1, "boot:0")  # above the largest pid


def test_each_death_doubles_the_delay_up_to_a_minute_and_a_stable_run_forgets_them() -> None:
    backoff, now, delays = Backoff(), 0.0, []
    for _ in range(9):
        delays.append(backoff.died(now))
        now += delays[-1]
        backoff.started(now)
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert delays[-1] == LONGEST_DELAY_SECONDS
    assert backoff.died(now + STABLE_SECONDS - 1) == 60
    backoff.started(now)
    assert backoff.died(now + STABLE_SECONDS) == 1


class House:
    """A home with one wanted part, and a supervisor on a clock of its own."""

    def __init__(self, home: Path, fails: Callable[[], LocalStackError | None] = lambda: None) -> None:
        self.home, self.now, self.starts, self._fails = home, 0.0, list[float](), fails
        state.save(home, State(processes={"kafka": GONE}, wanted=["kafka"]))
        self.supervisor = Supervisor(home, self.start, lambda: self.now)

    def start(self, name: str) -> None:
        assert name == "kafka"
        self.starts.append(self.now)
        if error := self._fails():
            raise error

    def watch(self, seconds: int) -> None:
        for _ in range(seconds):
            self.supervisor.look()
            self.now += 1.0


def test_a_part_that_dies_at_every_start_is_tried_less_and_less_often(tmp_path: Path) -> None:
    house = House(tmp_path, lambda: PartFailed("kafka", "stopped", tmp_path / "logs/kafka.log"))
    house.watch(40)
    gaps = [later - earlier for earlier, later in zip(house.starts, house.starts[1:], strict=False)]
    assert house.starts[0] == 1
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 2 * gaps[0]
    noted = state.load(tmp_path).restarts["kafka"]
    assert noted.times == len(house.starts) + (house.supervisor._backoffs["kafka"].due_at is not None)
    assert noted.why == "died, nothing logged"


def test_what_keeps_a_part_from_starting_is_noted(tmp_path: Path) -> None:
    house = House(tmp_path, lambda: LocalStackError("the disk is full"))
    house.watch(3)
    assert state.load(tmp_path).restarts["kafka"].why == "cannot be started: the disk is full"


def test_a_part_that_down_stopped_is_left_alone(tmp_path: Path) -> None:
    house = House(tmp_path)
    state.save(tmp_path, State())
    house.watch(5)
    assert house.starts == []


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[[str], Identity]]:
    started: list[Identity] = []

    def run(program: str) -> Identity:
        command = Command([sys.executable, "-c", program], {}, tmp_path)
        started.append(processes.spawn(command, tmp_path / "logs/kafka.log"))
        return started[-1]

    yield run
    for identity in started:
        processes.stop(identity, grace_seconds=0)


def ended(identity: Identity) -> None:
    deadline = time.monotonic() + 20
    while processes.alive(identity):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("print('out of room'); raise SystemExit(3)", "ended with exit code 3, last logged: out of room"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by signal 9, nothing logged"),
    ],
)
def test_how_a_part_ended_is_told(tmp_path: Path, spawn: Callable[[str], Identity], program: str, how: str) -> None:
    identity = spawn(program)
    ended(identity)
    assert how_it_ended(tmp_path, "kafka", identity) == how


def test_a_running_part_is_not_started_and_its_supervisor_leaves_it_running(
    tmp_path: Path, spawn: Callable[[str], Identity]
) -> None:
    house, identity = House(tmp_path), spawn("import time; time.sleep(60)")
    state.save(tmp_path, State(processes={"kafka": identity}, wanted=["kafka"]))
    house.watch(3)
    assert house.starts == []
    assert state.load(tmp_path).restarts == {}


def test_a_process_is_ended_alone_also_when_it_does_not_listen(spawn: Callable[[str], Identity]) -> None:
    deaf = spawn("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on'); time.sleep(60)")
    processes.end_alone(deaf, grace_seconds=0.2)
    assert not processes.alive(deaf)


def test_too_little_room_is_told_before_a_start_and_in_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.require_room(tmp_path)
    assert disk.free_gib(tmp_path / "not/there/yet") > 0
    assert disk.warning(disk.LOW_GIB) is None
    monkeypatch.setattr(disk, "free_gib", lambda _folder: 0.31)
    with pytest.raises(LocalStackError, match=r"has 0\.3 GiB left and a start needs 2 GiB: make room, or choose"):
        disk.require_room(tmp_path)
    assert "only 0.3 GiB left" in str(disk.warning(0.31))
