"""Signed statements of our own: a service calling another on somebody's behalf, and a browser's session.

A token is `<prefix><claims>.<signature>`: JSON and HMAC-SHA256, each in URL-safe base64. The prefix is signed too, so
that a token of one kind is never one of another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from libs.access.identity import Identity, known_role, known_scopes

log = structlog.get_logger()
CALL_PREFIX: Final = "isc."
SESSION_PREFIX: Final = "iss."
CALL_SECONDS: Final = 60.0
SESSION_SECONDS: Final = 12 * 3600.0


class Signer:
    """Signs and checks with one secret, shared by the services of an installation."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        """Take a secret of at least 16 characters; raises ValueError."""
        if len(secret) < 16:
            raise ValueError("INCIDENTSCOPE_SERVICE_SECRET must have at least 16 characters")
        self._secret = secret.encode()
        self._clock = clock

    def call(self, caller: Identity) -> str:
        """Return a token by which a service calls another for a caller; good for a minute."""
        claims = {
            "tenant": caller.tenant, "role": caller.role, "scopes": sorted(caller.scopes),
            "key": caller.key_id, "name": caller.name,
        }  # fmt: skip
        return self._sign(CALL_PREFIX, claims, CALL_SECONDS)

    def caller(self, token: str) -> Identity | None:
        """Return whom a call is for; None when the token is not ours, too old, or grants nothing we know of.

        A newer release may know roles and scopes that this one does not: those are left out.
        """
        claims = self._claims(CALL_PREFIX, token)
        if claims is None:
            return None
        tenant, named = str(claims.get("tenant", "")), claims.get("scopes", ())
        role, scopes = known_role(str(claims.get("role", ""))), known_scopes(named)
        if role is None or (named and not scopes):
            log.warning("token_grants_nothing", tenant=tenant, role=claims.get("role"), scopes=list(named))
            return None
        return Identity(tenant, role, scopes, str(claims.get("key", "")), str(claims.get("name", "")))

    def session(self, key_id: str) -> str:
        """Return a browser's session for a key. It names the key, so it ends with it."""
        return self._sign(SESSION_PREFIX, {"key": key_id}, SESSION_SECONDS)

    def session_key(self, token: str) -> str:
        """Return the id of the key a session is for; empty when the token is not ours or too old."""
        claims = self._claims(SESSION_PREFIX, token)
        return str(claims["key"]) if claims else ""

    def _sign(self, prefix: str, claims: dict[str, Any], seconds: float) -> str:
        text = json.dumps({**claims, "until": self._clock() + seconds}, separators=(",", ":"))
        signed = prefix + _encode(text.encode())
        return f"{signed}.{_encode(self._mac(signed))}"

    def _claims(self, prefix: str, token: str) -> dict[str, Any] | None:
        signed, _, signature = token.rpartition(".")
        if not signed.startswith(prefix) or not token.isascii():
            return None
        try:
            genuine = hmac.compare_digest(_decode(signature), self._mac(signed))
        except (ValueError, binascii.Error):
            return None
        claims: dict[str, Any] = json.loads(_decode(signed[len(prefix) :])) if genuine else {}
        return claims if claims.get("until", 0) > self._clock() else None

    def _mac(self, signed: str) -> bytes:
        return hmac.digest(self._secret, signed.encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
