"""Cases as folders keep them, and what a runner of one kind of cases is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

LIST = "cases.json"
Problems = Mapping[str, Sequence[str]]  # by the id of a case: what was not as it should be


class CasesInvalid(Exception):
    """A list of cases that can not be read; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Case:
    """One entry of a list: an object with an `id`, beside the files it may name."""

    folder: Path
    entry: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Return its id, which is its own within its list."""
        return str(self.entry["id"])

    @property
    def name(self) -> str:
        """Return how it is told to people."""
        return f"{self.folder.name}/{self.id}"

    def read(self, field: str = "file") -> bytes:
        """Return the bytes of the file that a field names."""
        return (self.folder / str(self.entry[field])).read_bytes()


class Kind(Protocol):
    """A kind of cases: it knows its own by their fields, and sends them to servers it starts itself."""

    def takes(self, case: Case) -> bool:
        """Return whether a case is of this kind."""
        ...

    def run(self, cases: Sequence[Case]) -> Problems:
        """Send cases, each in a tenant of its own; return what was wrong by the names of cases."""
        ...


@dataclass(frozen=True, slots=True)
class Tally:
    """How it ended."""

    ok: int
    failed: int

    def line(self) -> str:
        """Return the summary that scripts may parse."""
        return f"cases: ok={self.ok} failed={self.failed}"


def find_cases(folder: Path) -> list[Case]:
    """Return the cases of all lists in a folder and below; raises CasesInvalid, also when there is none."""
    lists = sorted(folder.rglob(LIST))
    if not lists:
        raise CasesInvalid(f"there is no {LIST} in {folder}")
    return [Case(file.parent, entry) for file in lists for entry in _entries(file)]


def _entries(file: Path) -> Iterable[Mapping[str, Any]]:
    try:
        entries = json.loads(file.read_bytes())
    except ValueError as error:
        raise CasesInvalid(f"{file} is not JSON: {error}") from error
    if not isinstance(entries, list) or not all(isinstance(one, dict) and "id" in one for one in entries):
        raise CasesInvalid(f"{file} is no list of objects with an id")
    ids = [str(one["id"]) for one in entries]
    if len(set(ids)) < len(ids):
        raise CasesInvalid(f"{file} has an id twice")
    return entries


def run_all(kinds: Sequence[Kind], cases: Sequence[Case], say: Any) -> Tally:
    """Have each kind run its cases; a case of no kind has failed."""
    problems: dict[str, Sequence[str]] = {}
    left = list(cases)
    for kind in kinds:
        own = [case for case in left if kind.takes(case)]
        left = [case for case in left if not kind.takes(case)]
        problems |= kind.run(own) if own else {}
    problems |= {case.name: ["no kind of cases has its fields"] for case in left}
    failed = [case for case in cases if problems.get(case.name)]
    for case in failed:
        for problem in problems[case.name]:
            say(f"{case.name}: {problem}; {case.entry.get('about', '')}")
    return Tally(len(cases) - len(failed), len(failed))
