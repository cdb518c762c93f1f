"""Keys with roles or scopes of a newer release: they grant nothing, and nothing ends because of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from libs.access.directory import Key, UnknownTenant, demand_tenant, key_of
from libs.access.identity import Role, Scope
from libs.access.postgres import _directory
from libs.access.tenants_file import read_tenants


def made(role: str, *scopes: str, key_id: str = "k") -> Key | None:
    return key_of(key_id, "0" * 64, "acme", "ana", role, scopes)


def test_known_roles_and_scopes_are_granted() -> None:
    key = made("service", "incidents:read")
    assert key is not None
    assert (key.caller.role, key.caller.scopes) == (Role.SERVICE, frozenset({Scope.INCIDENTS_READ}))
    assert made("admin") is not None


@pytest.mark.parametrize("grant", [("auditor",), ("auditor", "incidents:read"), ("admin", "budgets:read"), ("", "")])
def test_a_key_of_which_nothing_is_known_grants_nothing(grant: tuple[str, ...]) -> None:
    assert made(*grant) is None


def test_of_several_scopes_those_that_are_known_count_and_the_rest_is_told_once() -> None:
    def counted() -> float:
        name = "incidentscope_access_unknown_grants_total"
        return REGISTRY.get_sample_value(name, {"kind": "scope"}) or 0.0

    before = counted()
    for _ in range(3):
        key = made("viewer", "budgets:read", "deploys:read", key_id="told-once")
        assert key is not None
        assert key.caller.scopes == {Scope.DEPLOYS_READ}
    assert counted() == before + 1


def test_rows_of_a_newer_release_leave_the_others_in_force() -> None:
    rows: list[tuple[Any, ...]] = [
        ("acme", "k1", "a" * 64, "ana", "auditor", [], None, None),
        ("acme", "k2", "b" * 64, "bob", "viewer", [], None, None),
        ("new", None, None, None, None, None, None, None),
    ]
    directory = _directory(rows)
    assert directory.tenants == {"acme", "new"}
    assert directory.by_id.keys() == {"k2"}


def test_a_tenants_file_of_a_newer_release_can_be_read(tmp_path: Path) -> None:
    keys = [
        {"id": "k1", "sha256": "a" * 64, "name": "ana", "role": "auditor"},
        {"id": "k2", "sha256": "b" * 64, "name": "bob", "role": "viewer", "scopes": ["budgets:read", "deploys:read"]},
    ]
    file = tmp_path / "tenants.json"
    file.write_text(json.dumps({"tenants": [{"id": "acme", "keys": keys}]}))
    directory = read_tenants(file).directory()
    assert {key_id: key.caller.scopes for key_id, key in directory.by_id.items()} == {"k2": {Scope.DEPLOYS_READ}}


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (
            {"acme", "zoo"},
            "there is no tenant 'acne'; known: acme and 1 more; python -m scripts.create_tenant makes one",
        ),
        ({"zoo"}, "there is no tenant 'acne'; known: zoo; python"),
        (
            {f"t{n:02}" for n in range(30)},
            "known: t00, t01, t02, t03, t04, t05, t06, t07, t08, t09 and 20 more; python",
        ),
        (set(), "there is none yet; python"),
    ],
)
def test_a_tenant_that_does_not_exist_is_refused_with_those_that_do(known: set[str], says: str) -> None:
    demand_tenant("acme", {"acme"})
    with pytest.raises(UnknownTenant) as told:
        demand_tenant("acne", known, "retention")
    assert str(told.value).startswith("retention: there is no tenant 'acne'; ")
    assert says in str(told.value)
