"""Who can send to which tenant."""

from __future__ import annotations

from services.deploy_normalizer.domain.tenant_secrets import Secrets, derived, signing_key


def test_a_tenant_with_its_own_secrets_is_verified_with_these_only() -> None:
    secrets = Secrets("plain", {"acme": ["new", "old"], "shut": []}, "acme", "root", "github")
    assert secrets.of("acme") == ("new", "old")
    assert secrets.of("shut") == ()


def test_the_plain_secret_opens_one_tenant_and_tells_nothing_of_the_others() -> None:
    secrets = Secrets("plain", tenant="default", root="root", provider="github")
    assert secrets.of("default") == ("plain",)
    assert secrets.of("acme") == (derived("root", "github", "acme"),)
    assert derived("plain", "github", "acme") not in secrets.of("acme")


def test_without_a_root_other_tenants_have_no_secret() -> None:
    assert Secrets("plain", tenant="default").of("acme") == ()
    assert Secrets("plain").of("acme") == ()


def test_an_empty_secret_verifies_nothing() -> None:
    assert Secrets("", {"acme": [""]}, "default").of("acme") == ()
    assert Secrets(tenant="default").of("default") == ()


def test_each_tenant_provider_and_root_has_a_secret_of_its_own_that_also_signs() -> None:
    made = {derived(r, p, t) for r in ("root", "other") for p in ("github", "gitlab") for t in ("acme", "zoo")}
    assert len(made) == 8
    assert {len(signing_key(secret)) for secret in made} == {32}


def test_secrets_are_not_shown() -> None:
    shown = repr(Secrets("hunter2", {"acme": ["hunter2"]}, "default", "hunter2", "github"))
    assert "hunter2" not in shown
