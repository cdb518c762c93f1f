"""Who can send to which tenant."""

from __future__ import annotations

import base64

import pytest

from services.deploy_normalizer.domain.tenant_secrets import Secrets, derived, signing_key

SIGNING = "whsec_" + base64.b64encode(b"a signing key").decode()


def test_a_tenant_with_its_own_secrets_is_verified_with_these_only() -> None:
    secrets = Secrets("plain", {"acme": ["new", "old"], "shut": []}, "acme")
    assert secrets.of("acme") == ("new", "old")
    assert secrets.of("shut") == ()


def test_the_plain_secret_opens_one_tenant_and_each_other_has_one_of_its_own() -> None:
    secrets = Secrets("plain", tenant="default")
    assert secrets.of("default") == ("plain",)
    assert secrets.of("acme") == (derived("plain", "acme"),)
    assert len({*secrets.of("default"), *secrets.of("acme"), *secrets.of("other")}) == 3


def test_without_a_tenant_of_its_own_the_plain_secret_opens_nothing_itself() -> None:
    assert Secrets("plain").of("") == ("plain",)  # no tenant has an empty name
    assert "plain" not in Secrets("plain").of("acme")


def test_an_empty_secret_verifies_nothing() -> None:
    assert Secrets("", {"acme": [""]}).of("acme") == ()
    assert Secrets().of("other") == ()


def test_a_derived_secret_is_of_the_kind_it_comes_from_and_another_for_each_secret() -> None:
    assert len(derived("plain", "acme")) == 64
    assert derived("plain", "acme") != derived("other", "acme")
    assert len(signing_key(derived(SIGNING, "acme"))) == 32
    assert derived(SIGNING, "acme").startswith("whsec_")
    with pytest.raises(ValueError, match="not base64"):
        derived("whsec_%", "acme")
