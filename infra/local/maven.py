"""Two ways of fetching files from a Maven repository: `jgo`, a Python library, and `mvn`, the program."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

TIMEOUT_SECONDS = 600.0
WORKERS = 6
REASON_CHARS = 160
Say = Callable[[str], None]


class FetchFailed(Exception):
    """This way does not work here; the text says why, shortly."""


@dataclass(frozen=True, slots=True, order=True)
class Coordinate:
    """A jar in a Maven repository."""

    group: str
    artifact: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Coordinate:
        """Read `group:artifact:version`; raises ValueError."""
        group, artifact, version = text.split(":")
        return cls(group, artifact, version)

    @property
    def file_name(self) -> str:
        """Return the name of its file."""
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def by_jgo(coordinates: Sequence[Coordinate], to: Path, repository: str | None, say: Say) -> None:
    """Download jars into a folder; raises FetchFailed."""
    try:
        from jgo.maven import MavenContext
    except ImportError as exc:
        raise FetchFailed("the Python package jgo is not installed") from exc
    logging.getLogger("jgo").setLevel(logging.ERROR)
    remote = {"central": repository.rstrip("/")} if repository else None
    context = MavenContext(repo_cache=to / "repository", remote_repos=remote, local_repos=[], timeout=20)

    def download(coordinate: Coordinate) -> None:
        project = context.project(coordinate.group, coordinate.artifact)
        artifact = project.at_version(coordinate.version).artifact()
        Path(artifact.resolve()).rename(to / coordinate.file_name)

    with ThreadPoolExecutor(WORKERS) as pool:
        tasks = [pool.submit(download, coordinate) for coordinate in coordinates]
        try:
            for done, task in enumerate(tasks, start=1):
                task.result()
                if done % 10 == 0 or done == len(tasks):
                    say(f"{done} of {len(tasks)} jars")
        except (OSError, RuntimeError, ValueError) as exc:  # requests' errors are OSErrors
            pool.shutdown(cancel_futures=True)
            raise FetchFailed(_reason(exc)) from exc
    shutil.rmtree(to / "repository", ignore_errors=True)


def by_mvn(
    coordinates: Sequence[Coordinate], to: Path, repository: str | None, environment: Mapping[str, str], say: Say
) -> None:
    """Have Maven copy jars into a folder, by its user's own settings; raises FetchFailed."""
    program = shutil.which("mvn", path=environment.get("PATH"))
    if program is None:
        raise FetchFailed("not installed")
    pom = to.parent / "pom.xml"
    pom.write_text(project_file(coordinates, repository))
    goals = ["dependency:copy-dependencies", f"-DoutputDirectory={to}"]
    say("waiting for mvn")
    try:
        answer = subprocess.run(
            [program, "-B", "-q", "-f", str(pom), *goals], env=dict(environment), capture_output=True, text=True,
            timeout=TIMEOUT_SECONDS, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise FetchFailed(_reason(exc)) from exc
    if answer.returncode != 0:
        errors = [line for line in answer.stdout.splitlines() if "ERROR" in line]
        raise FetchFailed(_shorten(errors[0] if errors else f"exit code {answer.returncode}"))


def project_file(coordinates: Sequence[Coordinate], repository: str | None) -> str:
    """Return a pom that depends on exactly these jars and on nothing they depend on in turn."""
    dependencies = "".join(_dependency(coordinate) for coordinate in coordinates)
    return (
        "<project><modelVersion>4.0.0</modelVersion>"
        "<groupId>incidentscope</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies>{_repositories(repository)}</project>"
    )


def _dependency(coordinate: Coordinate) -> str:
    return (
        f"<dependency><groupId>{escape(coordinate.group)}</groupId>"
        f"<artifactId>{escape(coordinate.artifact)}</artifactId><version>{escape(coordinate.version)}</version>"
        "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"
    )


def _repositories(repository: str | None) -> str:
    if repository is None:
        return ""
    body = f"<id>central</id><url>{escape(repository)}</url>"
    return (
        f"<repositories><repository>{body}</repository></repositories>"
        f"<pluginRepositories><pluginRepository>{body}</pluginRepository></pluginRepositories>"
    )


def _reason(error: BaseException) -> str:
    """Return the innermost cause, which is what a person can act on."""
    while error.__context__ is not None:
        error = error.__context__
    return _shorten(str(error) or type(error).__name__)


def _shorten(text: str) -> str:
    line = " ".join(text.replace("[ERROR]", "").split())
    return line if len(line) <= REASON_CHARS else f"{line[:REASON_CHARS]}..."
