"""What senders' words for how bad it is mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from incidentscope.alert.v1 import alert_pb2

from services.alert_router.adapters.conventions_file import ConventionsInvalid, load_conventions
from services.alert_router.decode.events import to_message
from services.alert_router.domain.severity import Severity, compact
from tests.unit.services.alert_router.builders import CONVENTIONS, NOW, alert

MINOR, WARNING, CRITICAL = Severity.MINOR, Severity.WARNING, Severity.CRITICAL


@pytest.mark.parametrize(
    ("written", "severity"),
    [
        ("critical", CRITICAL), ("Critical ", CRITICAL), ("PAGE", CRITICAL), ("P1", CRITICAL), ("p-1", CRITICAL),
        ("sev1", CRITICAL), ("SEV 1", CRITICAL), ("1", CRITICAL), ("disaster", CRITICAL), ("high", CRITICAL),
        ("P1 - Critical", CRITICAL), ("P2/urgent", CRITICAL),
        ("warn", WARNING), ("error", WARNING), ("major", WARNING), ("P2", WARNING), ("sev2", WARNING),
        ("average", WARNING), ("unknown", WARNING),
        ("minor", MINOR), ("low", MINOR), ("info", MINOR), ("none", MINOR), ("P5", MINOR), ("non-critical", MINOR),
        ("odd", WARNING), ("schlimm!", WARNING), ("🔥", WARNING), ("warning 1", WARNING), ("99", WARNING),
    ],
)  # fmt: skip
def test_a_word_is_known_however_it_is_written_and_an_unknown_one_counts_as_a_warning(
    written: str, severity: Severity
) -> None:
    assert CONVENTIONS.severity("any", {"severity": written}) is severity


@pytest.mark.parametrize(
    ("labels", "severity"),
    [
        ({}, Severity.UNSPECIFIED),
        ({"severity": "  "}, Severity.UNSPECIFIED),
        ({"priority": "P1"}, CRITICAL),
        ({"severity": "info", "priority": "P1"}, MINOR),
        ({"severity": "", "priority": "P1"}, CRITICAL),
    ],
)
def test_the_first_label_that_says_how_bad_it_is_counts(labels: dict[str, str], severity: Severity) -> None:
    assert CONVENTIONS.severity("any", labels) is severity


def test_a_tenant_can_mean_something_else_by_a_word_and_have_words_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        '[severity]\nwarning = ["hoch"]\n[tenants.acme.severity]\n'
        'labels = ["degree"]\ncritical = ["Rot", "5"]\nminor = ["high"]\n'
    )
    conventions = load_conventions(file)
    read = {name: conventions.severity("acme", {"degree": name}) for name in ("rot", "5", "high", "hoch", "page")}
    assert read == {"rot": CRITICAL, "5": CRITICAL, "high": MINOR, "hoch": WARNING, "page": CRITICAL}
    assert conventions.severity("other", {"severity": "high"}) is CRITICAL
    assert conventions.severity("other", {"severity": "5"}) is MINOR
    assert conventions.severity("other", {"degree": "rot"}) is Severity.UNSPECIFIED


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("[severity]\nhigh = ['x']\n", "severity.high"),
        ("[tenants.acme]\n", "tenants.acme.severity"),
        ("[heartbeats]\nnames = 'Watchdog'\n", "heartbeats.names"),
    ],
)
def test_words_of_a_grade_that_there_is_not_are_refused(tmp_path: Path, written: str, problem: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(written)
    with pytest.raises(ConventionsInvalid) as refused:
        load_conventions(file)
    assert problem in str(refused.value)


def test_no_built_in_word_means_two_things() -> None:
    words = [compact(w) for w in CONVENTIONS.severities.words]
    assert len(words) > 60
    assert words == list(CONVENTIONS.severities.words)


def test_an_alert_is_told_with_the_word_as_it_came_and_what_it_means() -> None:
    message = to_message(alert(severity="P1 "), "acme", NOW, CONVENTIONS)
    assert (message.labels["severity"], message.severity) == ("P1 ", alert_pb2.SEVERITY_CRITICAL)
    assert to_message(alert(), "acme", NOW, CONVENTIONS).severity == alert_pb2.SEVERITY_UNSPECIFIED
