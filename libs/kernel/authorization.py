"""The key in an HTTP `Authorization` header, whichever scheme its sender was set up with."""

from __future__ import annotations

import base64
import binascii

BARE_SCHEMES = frozenset({"bearer", "token", "apikey", "api-key", "key"})  # the key follows as it is
BASIC = "basic"


def authorization_key(header: str) -> str | None:
    """Return the key a header shows: empty for an empty header, None when it shows no key that can be read.

    Of `Basic` it is the password, or the user name where there is no password; a header without a scheme is the key.
    """
    scheme, _, rest = header.strip().partition(" ")
    shown = rest.strip()
    if scheme.lower() == BASIC:
        return _of_basic(shown) or None
    if scheme.lower() in BARE_SCHEMES:
        return shown.strip('"') or None
    return None if shown else scheme


def _of_basic(encoded: str) -> str:
    try:
        text = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    user, _, password = text.partition(":")
    return (password or user).strip()
