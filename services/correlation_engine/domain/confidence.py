"""From scores to probabilities."""

from __future__ import annotations

from collections.abc import Sequence

NONE_OF_THEM = 0.15  # weight of a cause that left no trace here
RELIABILITY = 1 / 4  # a first suspect with a share s of all suspicion is right s ** RELIABILITY of the time
AT_LIMIT = 0.5  # an even chance: what is at its limit may always be
MOVED = 0.05  # what moved within its noise is seldom it


def confidences(scores: Sequence[float]) -> list[float]:
    """Return how likely each suspect is the cause, most suspect first; together at most 1.

    A share of the suspicion is not yet a probability: the first suspect is right more often than its share says, as
    `make bench-rca` measures (its calibration error is printed there). What the first leaves, the others divide.
    """
    total = sum(scores) + NONE_OF_THEM
    if not scores or scores[0] <= 0:
        return [0.0] * len(scores)
    first = (scores[0] / total) ** RELIABILITY
    rest = total - scores[0]
    return [first, *((1 - first) * score / rest for score in scores[1:])]


def of_leads(scores: Sequence[float], at_limit: Sequence[bool]) -> list[float]:
    """Return how likely each lead is the cause, given the scores of the suspects before them.

    Each takes a part of what those before it leave, a large one where a resource is at its limit.
    """
    left = 1.0 - sum(confidences(scores))
    found = []
    for exhausted in at_limit:
        found.append(left * (AT_LIMIT if exhausted else MOVED))
        left -= found[-1]
    return found
