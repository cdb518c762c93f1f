"""Who is let in, as whom."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from libs.access import tenants_file
from libs.access.tenants import (
    DECISIONS,
    AccessDenied,
    TenantRegistry,
    TenantsFileInvalid,
    add_key,
    hash_key,
    start_file,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tenants.json"
    path.write_text(
        json.dumps({"tenants": [{"id": "acme", "api_keys_sha256": [hash_key("k-acme")]}, {"id": "default"}]})
    )
    return path


SHOWN = [
    "Bearer k-acme", "bearer k-acme ", "Token k-acme", "ApiKey k-acme", "Api-Key k-acme", "k-acme",
    f"Basic {base64.b64encode(b'alertmanager:k-acme').decode()}", f"basic {base64.b64encode(b'k-acme:').decode()}",
]  # fmt: skip


@pytest.mark.parametrize("headers", [{"x-api-key": "k-acme"}, *({"authorization": shown} for shown in SHOWN)])
def test_an_api_key_names_its_tenant(file: Path, headers: dict[str, str]) -> None:
    assert TenantRegistry(file, anonymous="default").resolve(headers) == "acme"


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer", "Bearer guess", "Token guess", "Basic", "Basic !!!", "Basic Z3Vlc3M6Z3Vlc3M=", "Basic Og==",
        "Digest username=x", "Negotiate YII", "AWS4-HMAC-SHA256 Credential=x", "guess",
    ],
)  # fmt: skip
def test_who_shows_what_is_no_key_is_never_the_anonymous_tenants(file: Path, shown: str) -> None:
    registry = TenantRegistry(file, anonymous="default", trust_header=True)

    for more in ({}, {"x-tenant-id": "acme"}):
        with pytest.raises(AccessDenied) as refused:
            registry.resolve({"authorization": shown} | more)
        assert refused.value.statuses.http == 401
    assert registry.resolve({"authorization": " ", "x-api-key": ""}) == "default"


def test_what_a_proxy_writes_into_authorization_does_not_hide_the_callers_own_key(file: Path) -> None:
    assert TenantRegistry(file).resolve({"x-api-key": "k-acme", "authorization": "Negotiate YII"}) == "acme"


def test_a_key_decides_before_the_tenant_header(file: Path) -> None:
    registry = TenantRegistry(file, trust_header=True)

    assert registry.resolve({"x-api-key": "k-acme", "x-tenant-id": "default"}) == "acme"


def test_the_tenant_header_is_believed_only_where_it_is_trusted(file: Path) -> None:
    assert TenantRegistry(file, trust_header=True).resolve({"x-tenant-id": "acme"}) == "acme"

    with pytest.raises(AccessDenied) as refused:
        TenantRegistry(file, anonymous="default").resolve({"x-tenant-id": "acme"})

    assert refused.value.reason == "missing_credentials"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing_credentials"),
        ({"authorization": "Basic abc"}, "missing_credentials"),
        ({"x-api-key": "guess"}, "unknown_api_key"),
        ({"x-tenant-id": "nobody"}, "unknown_tenant"),
    ],
)
def test_others_are_refused_with_a_reason(file: Path, headers: dict[str, str], reason: str) -> None:
    with pytest.raises(AccessDenied) as refused:
        TenantRegistry(file, trust_header=True).resolve(headers)

    assert refused.value.reason == reason


def test_callers_without_credentials_get_the_anonymous_tenant_and_bad_keys_do_not(file: Path) -> None:
    registry = TenantRegistry(file, anonymous="default")

    assert registry.resolve({}) == "default"
    with pytest.raises(AccessDenied):
        registry.resolve({"x-api-key": "guess"})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"tenants": []}', '{"tenants": [{"id": "No Good"}]}'])
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tenants.json"
    path.write_text(content)

    with pytest.raises(TenantsFileInvalid, match=r"tenants\.json"):
        TenantRegistry(path)


def test_a_missing_file_and_an_unknown_anonymous_tenant_are_refused(file: Path) -> None:
    with pytest.raises(TenantsFileInvalid):
        TenantRegistry(file.with_name("absent.json"))
    with pytest.raises(TenantsFileInvalid, match="anonymous"):
        TenantRegistry(file, anonymous="nobody")


def test_a_new_key_is_known_without_a_restart_and_only_its_hash_is_kept(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenants_file, "REFRESH_SECONDS", 0.0)
    registry = TenantRegistry(file)

    add_key(file, "globex", "k-globex")

    assert registry.resolve({"x-api-key": "k-globex"}) == "globex"
    assert registry.resolve({"x-api-key": "k-acme"}) == "acme"
    assert "k-globex" not in file.read_text()


def test_a_change_that_cannot_be_read_leaves_what_was_known(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants_file, "REFRESH_SECONDS", 0.0)
    registry = TenantRegistry(file)

    file.write_text("{")

    assert registry.known("acme")


def test_a_tenant_id_that_could_not_be_a_label_is_refused(file: Path) -> None:
    with pytest.raises(TenantsFileInvalid, match="tenant id"):
        add_key(file, "Not Allowed", "k")


def test_a_file_is_started_with_one_tenant(tmp_path: Path) -> None:
    path = tmp_path / "tenants.json"

    start_file(path, "default")

    assert TenantRegistry(path).ids == {"default"}


def test_who_calls_is_told_without_counting_and_nobody_is_none(file: Path) -> None:
    registry = TenantRegistry(file, anonymous="acme", trust_header=True)
    before = DECISIONS.labels("unknown_tenant")._value.get()
    assert registry.who({"x-tenant-id": "nobody"}) is None
    assert DECISIONS.labels("unknown_tenant")._value.get() == before
    found = registry.who({})
    assert found is not None
    assert found.tenant == "acme"
