"""Merge masked signatures that differ in parameters only: Drain, on the distinct signatures of one service at a time.

As in Drain, what shares its number of words and its first word is compared word by word, and a word that differs
becomes a parameter. Three things are ours. Masks and punctuation are no words, so an optional or repeated parameter
does not part two lines. All signatures are there at once, so a place becomes a parameter by how many values it has:
`VM Paused` and `VM Resumed` stay apart, names of users do not. And what identifies a statement or a state is never a
parameter: `Class#42`, exception classes, NAMES_IN_CAPITALS. (The drain3 package is no base for it: last released in
2022, pinned to cachetools and jsonpickle of 2021, and it decides by order of arrival.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MASK = "<*>"
SIMILAR = 0.6  # share of words in which a line must agree with a cluster
MAX_CLUSTERS = 100  # with the same first word and length; what fits none of so many stays as it is
FEW = 4  # a place with at most so many plain words names what happened; with more it is a parameter

_SEPARATORS = re.compile(r'[\s=:,;()\[\]{}<>|"]+')
_LETTER = re.compile("[A-Za-z]")
_DIGIT = re.compile(r"\d")
_IDENTITY = re.compile(r"#\d|(?:Exception|Error)$")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z_'/$-]*|(?:[A-Za-z_$]+\.)+[A-Z][A-Za-z_'/$-]*")
_EDGES = ".!?'_-"

Words = tuple[str, ...]


@dataclass(slots=True)
class _Cluster:
    pattern: list[str | None]
    members: list[Words] = field(default_factory=list)

    def similarity(self, words: Words) -> float:
        """Return the share of places that agree, parameters included."""
        agreeing = sum(mine is None or mine == other for mine, other in zip(self.pattern, words, strict=True))
        return agreeing / len(words)

    def add(self, words: Words) -> None:
        """Take a line in; places in which it differs become parameters."""
        self.pattern = [mine if mine == other else None for mine, other in zip(self.pattern, words, strict=True)]
        self.members.append(words)


def templates(signatures: Iterable[str]) -> dict[str, str]:
    """Return the template of each masked signature; what shares one is the same message. Their order does not matter.

    A template is the words that stay the same, or the signature itself when it has none.
    """
    by_words = {signature: words(signature) for signature in signatures}
    constant: dict[Words, Words] = {}
    for cluster in _clusters(sorted(set(by_words.values()) - {()})):
        constant.update(_constants(cluster.members))
    return {signature: " ".join(constant.get(own, own)) or signature for signature, own in by_words.items()}


def words(signature: str) -> Words:
    """Return the words of a masked signature: no masks, nothing without a letter, no digits unless `Class#42`."""
    found = _SEPARATORS.split(signature.replace(MASK, "\0"))
    return tuple(
        word.strip(_EDGES)
        for word in found
        if "\0" not in word and _LETTER.search(word) and ("#" in word or not _DIGIT.search(word))
    )


def _clusters(lines: Sequence[Words]) -> list[_Cluster]:
    leaves: dict[tuple[int, str, Words], list[_Cluster]] = {}
    for line in lines:
        identity = tuple(word for word in line if _IDENTITY.search(word))
        leaf = leaves.setdefault((len(line), line[0], identity), [])
        best = max(leaf, key=lambda cluster: cluster.similarity(line), default=None)
        if best is None or best.similarity(line) < SIMILAR:
            if len(leaf) == MAX_CLUSTERS:
                continue
            best = _Cluster(list(line))
            leaf.append(best)
        best.add(line)
    return [cluster for leaf in leaves.values() for cluster in leaf]


def _constants(members: Sequence[Words]) -> dict[Words, Words]:
    """Return each member's words without those in places that are parameters."""
    kept = [_names_what_happened(set(column)) for column in zip(*members, strict=True)]
    return {
        member: tuple(word for word, keep in zip(member, kept, strict=True) if keep or _IDENTITY.search(word))
        for member in members
    }


def _names_what_happened(values: set[str]) -> bool:
    if len(values) == 1 or all(_IDENTITY.search(v) or (v.isupper() and len(v) > 1) for v in values):
        return True
    return len(values) <= FEW and all(_PLAIN.fullmatch(v) for v in values)
