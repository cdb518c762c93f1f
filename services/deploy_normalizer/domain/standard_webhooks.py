"""Standard Webhooks signatures, as GitLab and generic senders make them: `webhook-id`, `-timestamp`, `-signature`.

The signed content is `<id>.<timestamp>.<body>`, so a replayer can change neither the delivery id nor its time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.deploy_normalizer.domain.signature import Verdict
from services.deploy_normalizer.domain.tenant_secrets import signing_key

TOLERANCE = timedelta(minutes=5)
_VERSION = "v1,"
_MAX_TIMESTAMP_DIGITS = 12
_MAX_SIGNATURES = 32  # several while a secret is rotated; more is somebody wasting our time


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    """The three headers, empty where absent."""

    id: str
    timestamp: str
    signature: str


def standard_signature(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """Return one entry of `webhook-signature`: `v1,` and the base64 HMAC-SHA256; raises ValueError on a bad secret."""
    content = f"{delivery}.{timestamp}.".encode() + body
    return _VERSION + base64.b64encode(hmac.new(signing_key(secret), content, hashlib.sha256).digest()).decode()


def check_standard(secrets: Sequence[str], body: bytes, headers: SignedHeaders, now: datetime) -> Verdict:
    """Check the raw body and its time against each live secret; raises ValueError on a bad secret."""
    if not secrets:
        return Verdict.NOT_CONFIGURED
    if not (headers.id and headers.timestamp and headers.signature):
        return Verdict.MISSING
    given = [entry.encode() for entry in headers.signature.split() if entry.startswith(_VERSION)]
    digits = headers.timestamp
    if not given or len(given) > _MAX_SIGNATURES or not (digits.isascii() and digits.isdigit()):
        return Verdict.MALFORMED
    if len(digits) > _MAX_TIMESTAMP_DIGITS:
        return Verdict.MALFORMED
    expected = [standard_signature(secret, headers.id, digits, body).encode() for secret in secrets]
    matches = [hmac.compare_digest(mine, theirs) for mine in expected for theirs in given]
    if not any(matches):
        return Verdict.MISMATCH
    return Verdict.AUTHENTIC if abs(now.timestamp() - int(digits)) <= TOLERANCE.total_seconds() else Verdict.EXPIRED
