"""What a sender left out is filled in, and what cannot be an alert is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from libs.kernel.errors import InvalidInput
from services.alert_router.domain.alert import Alert
from services.alert_router.domain.conventions import Conventions

MAX_ALERT_BYTES = 64 * 1024  # labels, annotations and address together
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)  # leaves room for adding timeouts
CLOCK_SKEW = timedelta(minutes=1)
START_CORRECTED = "start_corrected"  # an annotation of ours


@dataclass(frozen=True, slots=True)
class Sent:
    """An alert as its sender wrote it; None where it said nothing."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    generator_url: str = ""


@dataclass(frozen=True, slots=True)
class Door:
    """How alerts that come in one way are completed.

    `resolve_timeout` is how long an alert without a stated end counts as firing; `conventions` say how labels are read.
    """

    source: str
    resolve_timeout: timedelta
    conventions: Conventions


def arrive(sent: Sent, door: Door, now: datetime) -> Alert:
    """Return the complete alert; raises InvalidInput when it cannot be one.

    Labels without a value say nothing and are dropped. Without a start it began now, or when it ended if that is stated
    and past; without an end it lasts until the timeout.
    """
    check_texts(sent.labels, sent.annotations, sent.generator_url)
    labels = {name: value for name, value in sent.labels.items() if value}
    alert = Alert(
        labels=labels,
        annotations=dict(sent.annotations),
        starts_at=sent.starts_at or min(sent.ends_at or now, now),
        ends_at=sent.ends_at or now + door.resolve_timeout,
        updated_at=now,
        timeout=sent.ends_at is None,
        generator_url=sent.generator_url,
        source=door.source,
        service=door.conventions.naming.service_of(labels),
    )
    check(alert)
    return believed(alert, now)


def believed(alert: Alert, now: datetime) -> Alert:
    """Return an alert with a start that can be: one in the future is now, and an annotation says so.

    A clock that runs a little ahead is let be.
    """
    if alert.starts_at <= now + CLOCK_SKEW:
        return replace(alert, starts_at=max(alert.starts_at, EARLIEST))
    told = f"Its sender says it began at {alert.starts_at.isoformat()}, which lies in the future"
    start = min(now, alert.ends_at)
    return replace(alert, starts_at=start, annotations={**alert.annotations, START_CORRECTED: told})


def check_texts(labels: Mapping[str, str], annotations: Mapping[str, str], generator_url: str) -> None:
    """Refuse what cannot be stored; raises InvalidInput, reason bad_text (not Unicode, or NUL) or alert_too_large."""
    size = 0
    for part in (*labels, *labels.values(), *annotations, *annotations.values(), generator_url):
        try:
            size += len(part.encode())
        except UnicodeEncodeError as exc:
            raise InvalidInput("bad_text", f"not Unicode text: {part[:64]!r}") from exc
        if "\0" in part:
            raise InvalidInput("bad_text", f"contains the NUL character: {part[:64]!r}")
    if size > MAX_ALERT_BYTES:
        raise InvalidInput("alert_too_large", f"{size} bytes of labels and annotations, at most {MAX_ALERT_BYTES}")


def check(alert: Alert) -> None:
    """Refuse what cannot be an alert; raises InvalidInput, reason no_labels, bad_label or bad_time."""
    if not alert.labels:
        raise InvalidInput("no_labels", "an alert needs at least one label with a value")
    if "" in alert.labels or "" in alert.annotations:
        raise InvalidInput("bad_label", "a label or annotation has no name")
    if not EARLIEST <= alert.ends_at <= LATEST:
        raise InvalidInput("bad_time", f"endsAt lies outside 1970 to 9000: {alert.ends_at.isoformat()}")
    if alert.ends_at < alert.starts_at and not alert.timeout:
        raise InvalidInput("bad_time", "endsAt lies before startsAt")
