"""What the demo's services say of themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scripts.demo import scenario as sc
from scripts.demo.telemetry import Exporter
from scripts.demo.traffic import Shop, Trace

ONSET = datetime(2026, 3, 1, 12, tzinfo=UTC)


def versions(exporter: Exporter, traces: list[Trace], service: str) -> set[str]:
    """Return the versions that spans and log records of a service carry."""
    resources = [block.resource for block in exporter.traces(traces).resource_spans]
    resources += [block.resource for block in exporter.logs(traces).resource_logs]
    said = [{a.key: a.value.string_value for a in resource.attributes} for resource in resources]
    return {attributes["service.version"] for attributes in said if attributes["service.name"] == service}


@pytest.mark.parametrize("seed", range(4))
def test_spans_and_logs_carry_the_version_that_a_deploy_changed(seed: int) -> None:
    scenario = sc.draw(sc.BAD_DEPLOY, seed, ONSET)
    shop, exporter = Shop(scenario, 20.0), Exporter(scenario)
    (guilty,) = [d for d in scenario.deployments if d.guilty]

    before = list(shop.requests(ONSET - timedelta(hours=1), ONSET - timedelta(minutes=55)))
    after = list(shop.requests(ONSET, ONSET + timedelta(minutes=5)))

    assert versions(exporter, after, guilty.service) == {guilty.version}
    assert len(old := versions(exporter, before, guilty.service)) == 1
    assert old != {guilty.version}


def test_gauges_carry_the_version_too() -> None:
    scenario = sc.draw(sc.BAD_DEPLOY, 3, ONSET)
    request = Exporter(scenario).metrics(ONSET, ONSET + timedelta(seconds=10))

    said = [{a.key: a.value.string_value for a in block.resource.attributes} for block in request.resource_metrics]
    assert {(s["service.name"], s["service.version"]) for s in said} >= {
        (d.service, d.version) for d in scenario.deployments
    }
