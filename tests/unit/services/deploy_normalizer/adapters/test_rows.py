"""Reports and deploys survive the way through the database."""

from __future__ import annotations

import json
from datetime import timedelta, timezone

import pytest

from services.deploy_normalizer.adapters.rows import deploy_from_row, deploy_to_row, report_from_json, report_to_json
from services.deploy_normalizer.domain.deploy import Report, Status, combine
from tests.unit.services.deploy_normalizer.world import minutes, report

REPORTS = [report(Status.PENDING), report(Status.SUCCEEDED, minutes(5.00001), began_at=minutes(1), url="")]


@pytest.mark.parametrize("said", REPORTS)
def test_a_report_survives_json(said: Report) -> None:
    assert report_from_json(json.loads(json.dumps(report_to_json(said)))) == said


@pytest.mark.parametrize("said", REPORTS)
def test_a_deploy_survives_its_row_in_any_time_zone(said: Report) -> None:
    deploy = combine("acme", [said])
    elsewhere = timezone(timedelta(hours=5))
    row = tuple(v.astimezone(elsewhere) if hasattr(v, "astimezone") else v for v in deploy_to_row(deploy))
    assert deploy_from_row(row) == deploy
    assert repr(deploy_from_row(row)) == repr(deploy)
