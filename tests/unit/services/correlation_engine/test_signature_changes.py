"""Which log signatures changed, and how."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from services.correlation_engine.domain import signature_changes, signatures
from services.correlation_engine.domain.model import LogSignature, ServiceSeries
from services.correlation_engine.domain.signature_changes import SignatureChange, SignatureFinding, find, merge
from tests.unit.services.correlation_engine.builders import START, WINDOW, flat, service, signature, telemetry

NEW, SPIKING, VANISHED = SignatureChange.NEW, SignatureChange.SPIKING, SignatureChange.VANISHED


def changes(*signatures: LogSignature, services: tuple[ServiceSeries, ...] = ()) -> list[SignatureFinding]:
    return find(signatures, services, WINDOW)


@pytest.mark.parametrize(
    ("before", "during", "severity", "change"),
    [
        (0, 20, 17, NEW),
        (0, 20, 13, NEW),
        (2, 60, 17, SPIKING),
        (30, 0, 9, VANISHED),
        (30, 1, 5, VANISHED),
        (30, 30, 17, None),
        (0, 1, 17, None),  # two lines are an anecdote
        (30, 0, 17, None),  # errors that stop are no trouble
        (0, 500, 9, None),  # nor are new lines below warnings
        (30, 12, 9, None),  # less is not gone
        (2, 0, 9, None),  # four missing lines are chance
    ],
)
def test_a_change_is_told_by_what_was_usual(before: float, during: float, severity: int, change: str | None) -> None:
    found = changes(signature("app", flat(before, during), severity))

    assert [f.change for f in found] == ([change] if change else [])
    if found:
        assert (found[0].observed, found[0].expected) == (during, before)
        assert 0 < found[0].strength <= 1


def test_a_message_that_comes_and_goes_has_not_vanished() -> None:
    every_other = flat(60) * (np.arange(flat(0).size) % 2)

    assert changes(signature("app", every_other * (np.arange(flat(0).size) < 60), 9)) == []


def test_a_message_that_ends_with_the_requests_has_not_vanished() -> None:
    silent = signature("app", flat(30, 0), 9)

    assert changes(silent, services=(service("app", requests=flat(100, 0)),)) == []
    assert [f.change for f in changes(silent, services=(service("app", requests=100),))] == [VANISHED]


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("ERROR cannot pay", True),
        ("app.CardException: no", True),
        ("WARN slow", True),
        ("INFO all is well", False),
        ("errors counted", False),
    ],
)
def test_a_line_that_states_no_severity_is_judged_by_its_words(text: str, changed: bool) -> None:
    assert bool(changes(signature("app", flat(0, 20), 0, text))) is changed


def test_a_parameter_the_masks_let_through_makes_no_new_message() -> None:
    names = ("alice", "bob", "carol", "dave", "eve")
    usual = [signature("app", flat(4), text=f"no card on file for {name}") for name in names]
    other = signature("app", flat(0, 4), text="no card on file for mallory")

    assert changes(*usual, other) == []


def test_merged_signatures_add_up_and_keep_the_first_sight_and_the_commonest_example() -> None:
    early, late = START + timedelta(minutes=3), START + timedelta(minutes=40)
    parts = [
        LogSignature("app", 17, "job <*> of x7 failed", "rare", flat(1), first_seen=late),
        LogSignature("app", 18, "job <*> of x8 failed", "common", flat(5), first_seen=early),
        LogSignature("app", 17, "job <*> of x9 failed", "unknown", flat(1)),
    ]

    ((template, merged),) = merge(parts)

    assert template == "job of failed"
    assert (merged.severity, merged.example, merged.first_seen) == (18, "common", early)
    assert np.array_equal(merged.counts, flat(7))


def test_services_and_levels_are_merged_apart() -> None:
    parts = [signature("a", flat(1)), signature("b", flat(1)), signature("a", flat(1), severity=9)]

    assert len(merge(parts)) == 3


def test_a_finding_names_when_its_message_was_first_seen() -> None:
    seen = WINDOW.onset + timedelta(seconds=7)

    (found,) = changes(LogSignature("app", 17, "boom", "boom", flat(0, 9), first_seen=seen))

    assert (found.first_seen, found.template, found.example) == (seen, "boom", "boom")


def test_what_vanished_is_evidence_of_half_the_weight_and_says_what_would_be_usual() -> None:
    (evidence,) = signatures.score(telemetry(signature("app", flat(200, 0), 9, "order placed <*>")), WINDOW)

    assert evidence.strength == signatures.VANISHED_WEIGHT
    assert (evidence.observed, evidence.baseline) == (0, 200)
    assert evidence.statement == "app logged 0 times per minute where 200 per minute would be usual: order placed 7"


def test_too_short_a_baseline_says_nothing() -> None:
    short = type(WINDOW)(WINDOW.grid, slice(0, 3), WINDOW.incident)

    assert signature_changes.find([signature("app", flat(0, 50)), signature("app", flat(50, 0), 9)], [], short) == []
