"""Running the compose file's commands from the image, with podman and runc, as the file says."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from scripts.image import compose, tools
from scripts.image.build import RUN_HERE, Storage
from scripts.image.compose import Block
from scripts.image.tools import Say, SmokeFailed

ONCE_SECONDS, START_SECONDS, ASK_SECONDS, STOP_SECONDS = 180.0, 60.0, 30.0, 60.0
GRACE_SECONDS, LONGEST_SECONDS = 20, 1800
POLL_SECONDS = 0.5


@dataclass(slots=True)
class Containers:
    """The containers started here, by id; whoever makes one removes them at the end."""

    storage: Storage
    _started: dict[str, str] = field(default_factory=dict)

    def account(self) -> str:
        """Return the user the image runs as; raises SmokeFailed when that is root or a name."""
        listed = tools.run(self._podman("image", "inspect", compose.IMAGE), ASK_SECONDS)
        user = str(json.loads(listed)[0]["Config"].get("User") or "0")
        if not user.partition(":")[0].isdigit() or int(user.partition(":")[0]) == 0:
            raise SmokeFailed(f"the image runs as {user}: it should name the number of a user that is not root")
        return user

    def run_once(self, block: Block) -> str:
        """Run a command to its end and return the last line that is not indented; raises SmokeFailed."""
        command = self._podman("run", "--rm", *options(block), compose.IMAGE, *block.command)
        ended = subprocess.run(
            command, env=environment(block), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=ONCE_SECONDS, check=False,
        )  # fmt: skip
        printed = ended.stdout + ended.stderr
        if ended.returncode != 0:
            raise SmokeFailed(tools.told(f"{block.name} failed with exit code {ended.returncode}", printed))
        return next((line for line in reversed(printed.splitlines()) if line and not line.startswith(" ")), "done")

    def start(self, block: Block) -> None:
        """Start a service; raises SmokeFailed."""
        bounded = ("--timeout", str(LONGEST_SECONDS))  # should nobody be left to stop it
        command = self._podman("run", "--detach", *bounded, *options(block), compose.IMAGE, *block.command)
        self._started[block.name] = tools.run(command, START_SECONDS, environment=environment(block))

    def wait(self, blocks: Sequence[Block], seconds: float, say: Say) -> None:
        """Ask by each service's own health check, inside its container, until all answer.

        Raises SmokeFailed with the log of one that ended or did not get ready.
        """
        begun, waiting = time.monotonic(), {block.name: block for block in blocks}
        while waiting:
            for block in list(waiting.values()):
                waited = time.monotonic() - begun
                if not (problem := self._problem(block)):
                    say(f"{block.name}: ready, {len(waiting) - 1} to go")
                    del waiting[block.name]
                elif not self._runs(block.name):
                    raise SmokeFailed(tools.told(f"{block.name} ended", self._log(block.name)))
                elif waited > seconds:
                    what = f"{block.name} was not ready after {waited:.0f} s ({problem})"
                    raise SmokeFailed(tools.told(what, self._log(block.name)))
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop and remove what was started, by its id; raises SmokeFailed when something is left."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._remove, list(self._started)))

    def _remove(self, name: str) -> None:
        given = self._podman("rm", "--force", "--time", str(GRACE_SECONDS), self._started[name])
        tools.run(given, STOP_SECONDS)
        del self._started[name]

    def _problem(self, block: Block) -> str:
        command = self._podman("exec", self._started[block.name], *block.health)
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ASK_SECONDS, check=False
        )
        printed = (ended.stderr.strip().splitlines() or ["no answer"])[-1]
        return "" if ended.returncode == 0 else printed

    def _runs(self, name: str) -> bool:
        command = self._podman("inspect", "--format", "{{.State.Running}}", self._started[name])
        return tools.run(command, ASK_SECONDS) == "true"

    def _log(self, name: str) -> str:
        ended = subprocess.run(
            self._podman("logs", self._started[name]), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=ASK_SECONDS, check=False,
        )  # fmt: skip
        return ended.stdout

    def _podman(self, *arguments: str) -> list[str]:
        return [*self.storage.command("podman"), *arguments]


def options(block: Block) -> list[str]:
    """Return what the file says of a container, as options; the network is this machine's."""
    options = list(RUN_HERE)
    if block.read_only:
        options += ["--read-only", "--read-only-tmpfs=false"]
    for mounted in block.tmpfs:
        options += ["--tmpfs", mounted]
    for capability in block.cap_drop:
        options += ["--cap-drop", capability]
    for option in block.security_opt:
        options += ["--security-opt", option.removesuffix(":true")]
    for name in block.environment:
        options += ["--env", name]  # its value comes with podman's own environment: arguments can be seen by others
    return options


def environment(block: Block) -> dict[str, str]:
    """Return what podman is started with."""
    return {**os.environ, **block.environment}
