"""What would confirm or refute a hypothesis."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.correlation_engine.domain.checks import MAX_CHECKS, checks_for, looked_at, quoted
from services.correlation_engine.domain.model import CauseKind, Evidence, EvidenceKind, Hypothesis
from tests.unit.services.correlation_engine.builders import WINDOW


def evidence(kind: EvidenceKind, strength: float = 0.9, service: str = "payments", signature: str = "") -> Evidence:
    return Evidence(kind, service, "words", 1.0, 0.0, "1", strength, WINDOW.onset, WINDOW.end, signature=signature)


def hypothesis(*found: Evidence, kind: CauseKind = CauseKind.SERVICE_FAULT) -> Hypothesis:
    return Hypothesis(1, "payments", kind, "payments fails.", 0.8, 0.8, found)


@pytest.mark.parametrize("kind", list(EvidenceKind))
def test_every_class_of_evidence_has_a_check_with_service_time_and_query(kind: EvidenceKind) -> None:
    (check,) = checks_for(hypothesis(evidence(kind)), WINDOW, "shop")
    assert (check.kind, check.service) == (kind, "payments")
    assert check.look_at
    assert check.confirms != check.refutes
    assert not any("<" in text and ">" in text for text in (check.look_at, check.confirms, check.refutes))
    assert (check.start, check.end) == looked_at(WINDOW.onset, WINDOW.end)
    assert check.start < WINDOW.onset < check.end
    assert "TenantId = 'shop'" in check.query
    assert "'payments'" in check.query
    assert f"'{check.start:%Y-%m-%d %H:%M:%S}', 'UTC'" in check.query


def test_the_strongest_comes_first_and_a_class_once() -> None:
    found = [evidence(EvidenceKind.TRAFFIC_CHANGE, 0.3), evidence(EvidenceKind.LOG_SIGNATURE, 0.5, signature="weak")]
    found += [evidence(EvidenceKind.LOG_SIGNATURE, 0.9, signature="strong"), evidence(EvidenceKind.NETWORK_GAP, 0.7)]
    checks = checks_for(hypothesis(*found), WINDOW, "shop")
    assert [c.kind for c in checks] == [
        EvidenceKind.LOG_SIGNATURE, EvidenceKind.NETWORK_GAP, EvidenceKind.TRAFFIC_CHANGE,
    ]  # fmt: skip
    assert "LIKE '%strong%'" in checks[0].query


def test_undoing_the_deploy_comes_first_only_when_the_deploy_is_the_cause() -> None:
    found = (evidence(EvidenceKind.ERROR_ORIGIN, 0.9), evidence(EvidenceKind.DEPLOY, 0.2))
    blamed = checks_for(hypothesis(*found, kind=CauseKind.DEPLOY), WINDOW, "shop")
    assert blamed[0].kind is EvidenceKind.DEPLOY
    assert "undo" in blamed[0].look_at
    assert checks_for(hypothesis(*found), WINDOW, "shop")[0].kind is EvidenceKind.ERROR_ORIGIN


def test_there_are_at_most_six_and_none_without_evidence() -> None:
    assert len(checks_for(hypothesis(*map(evidence, EvidenceKind)), WINDOW, "shop")) == MAX_CHECKS
    assert checks_for(hypothesis(), WINDOW, "shop") == ()


def test_names_cannot_leave_their_literal() -> None:
    assert quoted("o'neil\\") == "'o\\'neil\\\\'"
    found = evidence(EvidenceKind.LOG_SIGNATURE, service="a' OR 1 = 1 --", signature="can't <*>")
    (check,) = checks_for(hypothesis(found), WINDOW, "t'")
    assert "ServiceName = 'a\\' OR 1 = 1 --'" in check.query
    assert "TenantId = 't\\''" in check.query
    assert "Signature LIKE '%can\\'t%'" in check.query


def test_a_deploy_before_the_onset_is_inside_what_is_looked_at() -> None:
    deployed = replace(evidence(EvidenceKind.DEPLOY), start=WINDOW.onset - timedelta(minutes=20))
    (check,) = checks_for(hypothesis(deployed), WINDOW, "shop")
    assert check.start <= WINDOW.onset - timedelta(minutes=50)
