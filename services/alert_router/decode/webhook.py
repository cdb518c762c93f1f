"""What Alertmanager sends to a webhook receiver, payload version 4.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from libs.kernel.errors import InvalidInput
from services.alert_router.decode.json_body import Batch, collect, instant, parse, text, texts
from services.alert_router.domain.arrival import Door, Sent, arrive

VERSION = "4"
STATUSES = ("firing", "resolved")


def decode_webhook(body: bytes, door: Door, now: datetime) -> Batch:
    """Return the alerts of a notification; raises InvalidInput when the body as a whole is not one."""
    payload = parse(body)
    if not isinstance(payload, dict) or not isinstance(payload.get("alerts"), list):
        raise InvalidInput("not_a_notification", "expected an object with a list `alerts`")
    if payload.get("version") != VERSION:
        raise InvalidInput(
            "unsupported_version", f"expected `version` {VERSION!r}: {str(payload.get('version'))[:20]!r}"
        )
    return collect(payload["alerts"], lambda item: arrive(_sent(item, now), door, now))


def _sent(item: Mapping[str, Any], now: datetime) -> Sent:
    status = text(item, "status")
    if status not in STATUSES:
        raise InvalidInput("bad_field", f"status must be firing or resolved: {status[:20]!r}")
    starts_at, ends_at = instant(item, "startsAt"), _end(status, instant(item, "endsAt"), now)
    if starts_at and ends_at and status == "resolved":
        starts_at = min(starts_at, ends_at)  # a sender whose clock is ahead
    return Sent(texts(item, "labels"), texts(item, "annotations"), starts_at, ends_at, text(item, "generatorURL"))


def _end(status: str, stated: datetime | None, now: datetime) -> datetime | None:
    """The status decides: a firing alert has no end in the past, a resolved one has one not after now."""
    if status == "firing":
        return stated if stated and stated > now else None
    return min(stated or now, now)
