import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.local import processes
from infra.local.processes import Command, Identity

SLEEPS = "import time; print('hello', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {DEAF!r}]); time.sleep(60)"


def start(program: str, folder: Path, **environment: str) -> Identity:
    command = Command([sys.executable, "-c", program], {**os.environ, **environment}, folder)
    return processes.spawn(command, folder / "logs" / "it.log")


def wait_for_log(folder: Path, text: str, times: int = 1) -> None:
    deadline = time.monotonic() + 10
    while (folder / "logs" / "it.log").read_text().count(text) < times:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_started_process_is_alive_until_stopped(tmp_path: Path) -> None:
    identity = start(SLEEPS, tmp_path)
    assert processes.alive(identity)
    wait_for_log(tmp_path, "hello")
    assert processes.stop(identity) is True
    assert not processes.alive(identity)
    assert processes.exit_code(identity) == -signal.SIGTERM


def test_a_process_that_ignores_the_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    identity = start(DEAF, tmp_path)
    wait_for_log(tmp_path, "deaf")
    assert processes.stop(identity, grace_seconds=0.2) is False
    assert not processes.alive(identity)


def test_children_go_with_their_parent(tmp_path: Path) -> None:
    identity = start(PARENT, tmp_path)
    wait_for_log(tmp_path, "deaf")
    child = processes.family(identity)[1].pid
    processes.stop(identity, grace_seconds=0.2)
    assert processes.identify(child) is None


def test_a_recycled_pid_is_not_ours_and_is_never_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEPS], stdout=subprocess.DEVNULL) as stranger:
        remembered = Identity(stranger.pid, "another-boot:1")
        assert not processes.alive(remembered)
        assert processes.stop(remembered) is True
        assert stranger.poll() is None
        stranger.kill()


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    identity = None
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT) is None:
        time.sleep(0.01)
    identity = processes.identify(child.pid)
    child.wait()
    assert identity is None


def test_a_pid_nobody_has_is_nobody() -> None:
    assert processes.identify(2**22 + 1) is None


def test_usage_counts_the_whole_family(tmp_path: Path) -> None:
    identity = start(PARENT, tmp_path)
    wait_for_log(tmp_path, "deaf")
    used = processes.usage(identity)
    processes.stop(identity, grace_seconds=0.1)
    assert used is not None
    assert used.memory_bytes > 5 * 1024 * 1024
    assert used.age_seconds < 60
    assert processes.usage(identity) is None


def test_marked_processes_are_found_by_their_variables(tmp_path: Path) -> None:
    identity = start(SLEEPS, tmp_path, INCIDENTSCOPE_TEST_MARK=str(tmp_path))
    wait_for_log(tmp_path, "hello")
    assert processes.marked({"INCIDENTSCOPE_TEST_MARK": str(tmp_path)}) == [identity]
    processes.stop(identity)
    assert processes.marked({"INCIDENTSCOPE_TEST_MARK": str(tmp_path)}) == []


def test_a_large_log_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_BYTES", 3)
    for _ in range(2):
        processes.stop(start(SLEEPS, tmp_path))
        (tmp_path / "logs" / "it.log").write_text("long enough")
    processes.stop(start(SLEEPS, tmp_path))
    assert (tmp_path / "logs" / "it.log.1").read_text() == "long enough"
