"""Merging masked signatures."""

from __future__ import annotations

import itertools
import random

import pytest

from services.correlation_engine.domain import drain
from services.correlation_engine.domain.drain import FEW, MAX_CLUSTERS

NAMES = ("alice", "bob", "carol", "dave", "eve", "mallory")


def groups(*signatures: str) -> int:
    """Return into how many groups the signatures fall."""
    return len(set(drain.templates(signatures).values()))


def test_a_place_with_many_values_is_a_parameter() -> None:
    found = drain.templates([f"session opened for user {name} by <*>" for name in NAMES])

    assert set(found.values()) == {"session opened for user by"}


@pytest.mark.parametrize(
    "pair",
    [
        ("[instance: <*>] VM Paused (Lifecycle Event)", "[instance: <*>] VM Resumed (Lifecycle Event)"),
        ("startup of cups daemon succeeded", "startup of cups daemon failed"),
        ("call to stock failed: java.io.IOException", "call to stock failed: app.StockEmpty"),
    ],
)
def test_a_place_with_few_plain_words_says_what_happened(pair: tuple[str, str]) -> None:
    assert groups(*pair) == 2


@pytest.mark.parametrize(
    "values",
    [
        [f"Order#{n}" for n in range(10, 20)],
        [f"app.{name.title()}Exception" for name in NAMES],
        ["NEW", "READY", "RUNNING", "FAILED", "KILLED", "DONE"],
    ],
)
def test_statements_exceptions_and_states_are_never_parameters(values: list[str]) -> None:
    assert len(values) > FEW
    assert groups(*(f"task <*> moved on to {value} at last" for value in values)) == len(values)


def test_host_names_and_words_with_digits_are_parameters_at_once() -> None:
    assert groups("login failure from rhost=a.example.org now", "login failure from rhost=b.example.net now") == 1
    assert groups("resolved node7 to rack", "resolved node8x to rack") == 1


def test_optional_and_repeated_parameters_do_not_part_lines() -> None:
    assert groups("ask <*> to delete blk_<*>", "ask <*> to delete blk_<*> blk_<*> blk_<*>") == 1
    assert groups("failed login; user= rhost=<*>", "failed login; user= rhost=") == 1


def test_lines_without_words_stay_themselves() -> None:
    assert drain.templates(["", "<*>", "<*>:<*>", "---"]) == {s: s for s in ("", "<*>", "<*>:<*>", "---")}


def test_the_order_of_signatures_does_not_matter() -> None:
    lines = [f"user {a} sent {b} to the queue" for a, b in itertools.product(NAMES, ("mail", "file"))]
    shuffled = random.Random(1).sample(lines, len(lines))

    assert drain.templates(lines) == drain.templates(shuffled)


def test_more_shapes_than_a_leaf_holds_stay_apart() -> None:
    rng = random.Random(1)
    lines = {
        " ".join(["go", *("".join(rng.choices("abcdefgh", k=9)) for _ in range(9))]) for _ in range(MAX_CLUSTERS * 2)
    }

    assert groups(*lines) == len(lines)
