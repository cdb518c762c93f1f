"""Tokens of our own: taken as signed, and in no other way."""

from __future__ import annotations

import base64
import json

import pytest

from libs.access.identity import Identity, Role, Scope
from libs.access.tokens import CALL_SECONDS, SESSION_SECONDS, Signer

SECRET = "0123456789abcdef"
ANA = Identity("acme", Role.RESPONDER, frozenset({Scope.INCIDENTS_READ}), "3f9c", "Ana é")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_call_token_tells_who_it_is_for_until_it_is_old() -> None:
    clock = Clock()
    signer = Signer(SECRET, clock)
    token = signer.call(ANA)

    assert signer.caller(token) == ANA
    assert Signer(SECRET, clock).caller(token) == ANA
    clock.now += CALL_SECONDS + 1
    assert signer.caller(token) is None


def test_a_session_names_its_key_until_it_is_old() -> None:
    clock = Clock()
    signer = Signer(SECRET, clock)
    token = signer.session("3f9c")

    assert signer.session_key(token) == "3f9c"
    clock.now += SESSION_SECONDS + 1
    assert signer.session_key(token) == ""


def test_neither_another_secret_nor_another_kind_nor_a_changed_token_is_taken() -> None:
    signer = Signer(SECRET)
    token = signer.call(ANA)
    forged = base64.urlsafe_b64encode(json.dumps({"tenant": "acme", "until": 9e12}).encode()).decode()

    assert Signer("another secret, as long").caller(token) is None
    assert signer.caller(signer.session("3f9c")) is None
    assert signer.session_key(token) == ""
    assert signer.session_key(token.replace("isc.", "iss.", 1)) == ""
    for text in ("", "isc.", "isc..", "isc.e30.e30", f"isc.{forged}.{token.rpartition('.')[2]}", token[:-2], "isc.é.é"):
        assert signer.caller(text) is None, text


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        Signer("short")


def test_of_a_newer_release_the_known_scopes_count_and_what_grants_nothing_is_nobody() -> None:
    signer = Signer(SECRET)

    def token(role: str, *scopes: str) -> str:
        claims = {"tenant": "acme", "role": role, "scopes": scopes, "key": "3f9c", "name": "Ana"}
        return signer._sign("isc.", claims, CALL_SECONDS)

    known = signer.caller(token("responder", "incidents:read", "budgets:write"))
    assert known is not None
    assert known.scopes == {Scope.INCIDENTS_READ}
    assert signer.caller(token("auditor", "incidents:read")) is None
    assert signer.caller(token("admin", "budgets:write")) is None  # none left would mean all
    assert signer.caller(token("admin")) is not None
