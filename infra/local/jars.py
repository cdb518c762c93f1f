"""Kafka's jars: pinned and hashed in `kafka_jars.json`, fetched once per user by `jgo`, else by `mvn`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from infra.local import maven
from infra.local.errors import LocalStackError
from infra.local.maven import Coordinate, FetchFailed

PINNED = Path(__file__).with_name("kafka_jars.json")
CACHE_VARIABLE = "INCIDENTSCOPE_CACHE"
REPOSITORY_VARIABLE = "INCIDENTSCOPE_MAVEN_REPO"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pins:
    """Kafka's version and the SHA-256 of every jar it needs."""

    version: str
    hashes: Mapping[Coordinate, str]


def read_pins(path: Path = PINNED) -> Pins:
    """Return what is pinned."""
    raw = json.loads(path.read_text())
    return Pins(raw["kafka"], {Coordinate.parse(text): digest for text, digest in raw["jars"].items()})


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the user's cache folder: INCIDENTSCOPE_CACHE, else under XDG_CACHE_HOME, else under ~/.cache."""
    if environment.get(CACHE_VARIABLE):
        return Path(environment[CACHE_VARIABLE]).absolute()
    base = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "incidentscope"


def problems(folder: Path, pins: Pins) -> list[str]:
    """Return the names of the jars that are missing or differ from what is pinned."""
    names = {coordinate.file_name: digest for coordinate, digest in pins.hashes.items()}
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda name: digest(folder / name), names)
    return [name for (name, wanted), digest in zip(names.items(), found, strict=True) if digest != wanted]


def digest(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex; None when it is missing."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def ensure(environment: Mapping[str, str], java_home: Path, say: Say) -> Path:
    """Return the folder with all pinned jars, fetching them when they are not there.

    Raises LocalStackError when no way of fetching works.
    """
    pins = read_pins()
    folder = cache_folder(environment) / f"kafka-{pins.version}"
    if not problems(folder, pins):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as exc:
        raise LocalStackError(f"{folder.parent} cannot be written ({exc}): set {CACHE_VARIABLE} to a folder") from exc
    try:
        return _publish(_fetch(environment, java_home, pins, scratch, say), folder, pins)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _fetch(environment: Mapping[str, str], java_home: Path, pins: Pins, scratch: Path, say: Say) -> Path:
    repository = environment.get(REPOSITORY_VARIABLE) or None
    coordinates = list(pins.hashes)
    ways: list[tuple[str, Callable[[Path], None]]] = [
        ("jgo", lambda to: maven.by_jgo(coordinates, to, repository, say)),
        ("mvn", lambda to: maven.by_mvn(coordinates, to, repository, maven_environment(environment, java_home), say)),
    ]
    failures = []
    for name, way in ways:
        target = scratch / name
        target.mkdir()
        say(f"fetching the {len(coordinates)} jars of Kafka {pins.version} with {name} (44 MiB, once)")
        try:
            way(target)
        except FetchFailed as exc:
            failures.append(f"{name}: {exc}")
            continue
        wrong = problems(target, pins)
        if not wrong:
            return target
        failures.append(f"{name}: {wrong[0]} is not the file that is pinned")
    raise LocalStackError(
        f"Kafka's jars could not be fetched from {repository or 'the Maven repository'} ({'; '.join(failures)}): "
        f"check the network, or set {REPOSITORY_VARIABLE} to the address of a Maven repository you can reach"
    )


def maven_environment(environment: Mapping[str, str], java_home: Path) -> dict[str, str]:
    """Return the environment for `mvn`, which needs to know the Java that was found."""
    return {**environment, "JAVA_HOME": str(java_home)}


def _publish(fetched: Path, folder: Path, pins: Pins) -> Path:
    if folder.exists():
        if not problems(folder, pins):
            return folder  # another `up` was faster
        folder.rename(fetched.parent / "damaged")
    try:
        os.rename(fetched, folder)
    except OSError:
        if problems(folder, pins):
            raise
    return folder
