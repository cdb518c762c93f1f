"""Which environment an outage is in, and whose deploys are suspects."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from libs.kernel.errors import InvalidInput, Unavailable
from services.correlation_engine.domain.environments import of_labels, of_records, same, stage_of, suspects
from services.correlation_engine.domain.model import Change
from services.correlation_engine.domain.schedule import OpenIncident
from services.correlation_engine.whereabouts import BEFORE, Assumed, Whereabouts

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
INCIDENT = OpenIncident("acme", "i-1", ("front",), NOW - timedelta(minutes=2), NOW)


def to(environment: str, service: str = "front") -> Change:
    return Change(f"{service}@{environment}", service, "v2", NOW, environment=environment)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("production", "production"), ("production", "Prod"), ("prd", "production"), ("live", "production"),
        ("production", "production-eu"), ("prod/eu", "eu-prod"), ("stage", "staging"), ("shop-production", "prod"),
        ("eu1", "EU1"), ("review/cart", "review/cart"), ("pre-prod", "preprod"), ("dev", "development"),
    ],
)  # fmt: skip
def test_two_names_may_be_of_one_environment(one: str, other: str) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("production", "staging"), ("production", "pre-production"), ("production", "nonprod"), ("eu1", "us1"),
        ("prod-eu", "prod-us"), ("production", "production-preview"), ("preview/pr-1", "preview/pr-2"),
        ("production", ""), ("", ""), ("production", "payments"), ("production", "!!!"),
    ],
)  # fmt: skip
def test_or_of_two(one: str, other: str) -> None:
    assert not same(one, other)
    assert not same(other, one)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("production", "production"), ("PROD-EU", "production"), ("pre-production", "staging"), ("non prod", "staging"),
        ("prod-preview", "preview"), ("qa-2", "testing"), ("products", ""), ("delivery", ""), ("payments", ""),
        ("", ""), ("github-pages", "pages"),
    ],
)  # fmt: skip
def test_a_name_may_tell_a_stage(name: str, stage: str) -> None:
    assert stage_of(name) == stage


@pytest.mark.parametrize(
    ("outage", "deployed", "kept"),
    [
        (["production"], ["production", "staging", "preview/pr-4711", "dev", ""], ["production", ""]),
        (["staging"], ["production", "staging", ""], ["staging", ""]),
        (["prod-eu"], ["prod-us", "prod-eu", "production"], ["prod-eu", "production"]),
        (["production", "staging"], ["production", "staging", "dev"], ["production", "staging"]),
        (["production"], ["payments"], ["payments"]),
        (["production"], ["payments", "production"], ["production"]),
        (["eu1"], ["us1"], []),
        (["eu1"], ["production", "staging"], ["production"]),
        (["eu1"], ["production", "eu1"], ["eu1"]),
        (["production"], ["github-pages"], []),
        ([], ["production", "staging", "x"], ["production", "staging", "x"]),
    ],
)
def test_only_deploys_to_the_environment_of_the_outage_are_suspects(
    outage: list[str], deployed: list[str], kept: list[str]
) -> None:
    assert [c.environment for c in suspects(map(to, deployed), outage)] == kept


def test_what_one_service_calls_its_environments_says_nothing_of_anothers() -> None:
    changes = [to("production", "cart"), to("payments", "payments")]
    assert list(suspects(changes, ["production"])) == changes


def test_labels_name_environments_and_the_most_precise_label_counts() -> None:
    labels = [
        {"env": "x", "deployment_environment_name": "production"}, {"env": " eu "}, {"environment": ""}, {},
        {"env": "production"}, {"environment": " ", "stage": "qa"},
    ]  # fmt: skip
    assert of_labels(labels) == ("production", "eu", "qa")


@pytest.mark.parametrize(
    ("seen", "environments"),
    [
        ([("production", 100, 5), ("staging", 900, 0)], ("production",)),
        ([("production", 100, 0), ("staging", 900, 0)], ("staging", "production")),
        ([("production", 99, 0), ("staging", 9000, 0)], ("staging",)),
        ([("production", 100, 50), ("staging", 100, 4)], ("production",)),
        ([("", 100, 50), ("staging", 100, 4)], ("staging",)),
        ([], ()),
    ],
)
def test_an_outage_is_where_it_fails_else_where_its_service_runs(
    seen: list[tuple[str, int, int]], environments: tuple[str, ...]
) -> None:
    assert of_records(seen) == environments


@dataclass
class Said:
    """Alerts and records that say what they are told to, or fail."""

    labels: tuple[str, ...] | Exception = ()
    records: tuple[str, ...] | Exception = ()
    asked: list[tuple[datetime, datetime]] = field(default_factory=list)

    async def of_alerts(self, incident: OpenIncident) -> tuple[str, ...]:
        assert incident == INCIDENT
        return _answer(self.labels)

    async def of_services(self, services: Sequence[str], start: datetime, end: datetime) -> tuple[str, ...]:
        assert services == INCIDENT.services
        self.asked.append((start, end))
        return _answer(self.records)

    def where(self, incident: OpenIncident = INCIDENT, assumed: str = "production") -> tuple[str, ...]:
        said = self

        class Labels:
            async def environments(self, incident: OpenIncident) -> tuple[str, ...]:
                return await said.of_alerts(incident) if incident is INCIDENT else ()

        class Records:
            async def environments(
                self, _tenant: str, services: Sequence[str], start: datetime, end: datetime
            ) -> tuple[str, ...]:
                return await said.of_services(services, start, end)

        return asyncio.run(Whereabouts(Labels(), Records(), Assumed(assumed)).of(incident, NOW))


def _answer(said: tuple[str, ...] | Exception) -> tuple[str, ...]:
    if isinstance(said, Exception):
        raise said
    return said


AWAY = Unavailable("it does not answer")


@pytest.mark.parametrize(
    ("said", "where"),
    [
        (Said(("staging",), ("production",)), ("staging",)),
        (Said((), ("eu", "us")), ("eu", "us")),
        (Said(AWAY, ("eu",)), ("eu",)),
        (Said(InvalidInput("refused", "UNIMPLEMENTED"), AWAY), ("production",)),
        (Said(), ("production",)),
    ],
)
def test_alerts_are_asked_then_services_and_the_rest_is_assumed(said: Said, where: tuple[str, ...]) -> None:
    assert said.where() == where


def test_services_are_asked_about_the_time_around_the_alert_and_nothing_need_be_assumed() -> None:
    said = Said()
    assert said.where(assumed="") == ()
    assert said.asked == [(INCIDENT.started_at - BEFORE, NOW)]
    assert Said(records=AWAY).where(OpenIncident("acme", "i-2", (), NOW, NOW)) == ("production",)
