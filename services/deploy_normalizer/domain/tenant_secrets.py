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


def derived(root: str, provider: str, tenant: str) -> str:
    """Return the secret of a tenant's webhooks, as `whsec_` and base64, made from one that no sender knows.

    HMAC-SHA256 (RFC 2104) of provider and tenant, so that one secret tells nothing of another.
    """
    made = hmac.new(root.encode(), f"{provider} webhooks of {tenant}".encode(), hashlib.sha256)
    return KEY_MARK + base64.b64encode(made.digest()).decode()


@dataclass(frozen=True, slots=True)
class Secrets:
    """What senders must know: a tenant's own secrets, which then are the only ones.

    Of the others, `tenant` has the plain secret, and each has one derived from `root`, which is given to no sender:
    who knows the secret of a tenant can send to that tenant only.
    """

    plain: str = field(default="", repr=False)
    per_tenant: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    tenant: str = ""
    root: str = field(default="", repr=False)
    provider: str = ""

    def of(self, tenant: str) -> tuple[str, ...]:
        """Return the live secrets of a tenant; none when nothing is configured."""
        if tenant in self.per_tenant:
            return tuple(filter(None, self.per_tenant[tenant]))
        if tenant == self.tenant:
            return (self.plain,) if self.plain else ()
        return (derived(self.root, self.provider, tenant),) if self.root else ()
