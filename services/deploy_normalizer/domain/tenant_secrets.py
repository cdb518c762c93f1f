"""Which secrets the webhooks of a tenant are verified with: its own, so that nobody opens another tenant's path."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

KEY_MARK = "whsec_"


def signing_key(secret: str) -> bytes:
    """Return the key of a secret: base64 behind `whsec_`, else its UTF-8 bytes; raises ValueError on bad base64."""
    if not secret.startswith(KEY_MARK):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(KEY_MARK), validate=True)
    except binascii.Error as exc:
        raise ValueError("the secret is not base64 behind whsec_") from exc


def derived(secret: str, tenant: str) -> str:
    """Return a tenant's own secret, made from one that it does not reveal; text, or `whsec_` and base64 as `secret` is.

    HMAC-SHA256 (RFC 2104) of the tenant's id; raises ValueError on bad base64 behind `whsec_`.
    """
    made = hmac.new(signing_key(secret), f"incidentscope webhooks of {tenant}".encode(), hashlib.sha256)
    return KEY_MARK + base64.b64encode(made.digest()).decode() if secret.startswith(KEY_MARK) else made.hexdigest()


@dataclass(frozen=True, slots=True)
class Secrets:
    """What senders must know: a tenant's own secrets, which then are the only ones, else what comes from a plain one.

    The plain secret itself opens the path of one tenant, `tenant`. Others have one derived from it, so that who knows
    a tenant's secret can send to that tenant only.
    """

    plain: str = field(default="", repr=False)
    per_tenant: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    tenant: str = ""

    def of(self, tenant: str) -> tuple[str, ...]:
        """Return the live secrets of a tenant; none when nothing is configured."""
        if tenant in self.per_tenant:
            return tuple(filter(None, self.per_tenant[tenant]))
        if not self.plain:
            return ()
        return (self.plain if tenant == self.tenant else derived(self.plain, tenant),)
