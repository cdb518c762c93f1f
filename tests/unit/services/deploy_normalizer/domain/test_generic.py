"""The generic door's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from libs.kernel.errors import InvalidInput
from services.deploy_normalizer.domain.deploy import Kind, Status
from services.deploy_normalizer.domain.generic import read
from services.deploy_normalizer.domain.mapping import NO_RULES, parse_rules
from tests.unit.services.deploy_normalizer.world import generic_change, minutes, without


def test_a_change_is_read_with_its_defaults() -> None:
    [said] = read(generic_change(), NO_RULES)
    assert (said.kind, said.status, said.at, said.began_at) == (
        Kind.DEPLOY, Status.SUCCEEDED, minutes(5), minutes(0)
    )  # fmt: skip
    assert (said.service, said.environment, said.version) == ("checkout", "production", "v2")


def test_a_version_may_be_a_whole_number() -> None:
    assert read(generic_change(version=42), NO_RULES)[0].version == "42"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_change_can_be_sent(kind: Kind) -> None:
    assert read(generic_change(kind=kind.value), NO_RULES)[0].kind is kind


def test_without_a_service_the_rules_name_it_or_several_by_path() -> None:
    rules = parse_rules({
        "rules": [
            {"service": "cart", "match": {"paths": "cart/*"}},
            {"service": "ledger", "match": {"paths": "ledger/*"}},
            {"service": "shop", "match": {"app": "shop-*"}},
        ]
    })  # fmt: skip
    body = without(generic_change(), "service")
    assert [r.service for r in read(body | {"app": "shop-eu"}, rules)] == ["shop"]
    assert [r.service for r in read(body | {"paths": ["ledger/a", "cart/b"]}, rules)] == ["cart", "ledger"]
    assert [r.service for r in read(generic_change(app="shop-eu"), rules)] == ["checkout"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (without(generic_change(), "id"), "id"),
        (generic_change(id=True), "id"),
        (without(generic_change(), "status"), "status"),
        (generic_change(status="done"), "status"),
        (without(generic_change(), "time"), "time"),
        (generic_change(time="2026-05-04T12:00:00"), "time"),
        (generic_change(time=1777896000), "time"),
        (without(generic_change(), "service"), "service"),
        (generic_change(service="x" * 256), "service"),
        (generic_change(kind="magic"), "kind"),
        (generic_change(sevrice="typo"), "sevrice"),
        (without(generic_change(paths="a"), "service"), "paths"),
        (without(generic_change(paths=[7]), "service"), "paths"),
        (generic_change(environment="a\x00"), "environment"),
        (generic_change(version=True), "version"),
        (generic_change(version=1.5), "version"),
        (generic_change(version=10**300), "version"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_with_the_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=f"`{field}`"):
        read(body, NO_RULES)
