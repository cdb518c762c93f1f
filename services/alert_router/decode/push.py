"""What Prometheus and its kin push to Alertmanager: API v2, `POST /api/v2/alerts`.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from libs.kernel.errors import InvalidInput
from services.alert_router.decode.json_body import Batch, collect, instant, parse, text, texts
from services.alert_router.domain.arrival import Door, Sent, arrive


def decode_push(body: bytes, door: Door, now: datetime) -> Batch:
    """Return the alerts of a push; raises InvalidInput when the body as a whole is not one."""
    payload = parse(body)
    if not isinstance(payload, list):
        raise InvalidInput("not_a_list", "expected a list of alerts")
    return collect(payload, lambda item: arrive(_sent(item), door, now))


def _sent(item: Mapping[str, Any]) -> Sent:
    return Sent(
        texts(item, "labels"),
        texts(item, "annotations"),
        instant(item, "startsAt"),
        instant(item, "endsAt"),
        text(item, "generatorURL"),
    )
