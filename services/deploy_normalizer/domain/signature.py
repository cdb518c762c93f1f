"""Is this webhook authentic? Comparisons take the same time whatever the input."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from enum import StrEnum

from libs.kernel.authorization import authorization_key

_PREFIX = "sha256="


class Verdict(StrEnum):
    """The outcome of a check; all but AUTHENTIC and NOT_CONFIGURED are the sender's fault."""

    AUTHENTIC = "authentic"
    NOT_CONFIGURED = "not_configured"
    MISSING = "missing_signature"
    MALFORMED = "malformed_signature"
    MISMATCH = "bad_signature"
    EXPIRED = "signature_expired"


def github_signature(secret: str, body: bytes) -> str:
    """Return the value of `X-Hub-Signature-256` for a body: `sha256=` and 64 hex digits."""
    return _PREFIX + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def check_github(secrets: Sequence[str], body: bytes, header: str) -> Verdict:
    """Check the raw body against `X-Hub-Signature-256` with each live secret (several while one is rotated)."""
    if not secrets:
        return Verdict.NOT_CONFIGURED
    if not header:
        return Verdict.MISSING
    if not header.startswith(_PREFIX) or len(header) != len(_PREFIX) + 64 or not header.isascii():
        return Verdict.MALFORMED
    matches = [hmac.compare_digest(github_signature(secret, body), header) for secret in secrets]
    return Verdict.AUTHENTIC if any(matches) else Verdict.MISMATCH


def check_authorization(tokens: Sequence[str], header: str) -> Verdict:
    """Check an `Authorization: Bearer <token>` header, or one of another scheme, against each live token."""
    shown = authorization_key(header)
    if tokens and shown is None:
        return Verdict.MALFORMED
    return check_token(tokens, shown or "")


def check_token(tokens: Sequence[str], header: str) -> Verdict:
    """Check a header that is the secret itself, such as `X-Gitlab-Token`, against each live token."""
    if not tokens:
        return Verdict.NOT_CONFIGURED
    if not header:
        return Verdict.MISSING
    given = header.encode("latin-1", "replace")  # as HTTP headers are decoded
    matches = [hmac.compare_digest(token.encode(), given) for token in tokens]
    return Verdict.AUTHENTIC if any(matches) else Verdict.MISMATCH
