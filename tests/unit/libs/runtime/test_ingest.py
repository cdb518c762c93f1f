"""What a consumer makes of its messages: tenants told apart, and what nobody can read put aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from libs.messaging.ports import Record
from libs.otlp.batch import DecodedBatch, Message, Rejected
from libs.runtime.ingest import with_tenants

GOOD = Record("otel.logs", 0, 1, None, b"good", (("x-tenant-id", b"acme"),), 0)


class Acme:
    """Knows one tenant."""

    def known(self, tenant: str) -> bool:
        """Tell whether it is that one."""
        return tenant == "acme"


def decode(messages: Sequence[Message]) -> DecodedBatch:
    """Make a row of each message; `bad` is rejected, `crash` breaks the decoder, as many together do."""
    values = [m.value for m in messages]
    if b"crash" in values:
        raise MemoryError("no room")
    if values.count(b"pair") > 1:
        raise ValueError("not together")
    rows = [v for v in values if v != b"bad"]
    rejected = tuple(Rejected(i, "undecodable", "bad") for i, v in enumerate(values) if v == b"bad")
    return DecodedBatch(("c",), b",".join(rows), len(rows), rejected)


def decoded(*records: Record) -> tuple[bytes, dict[int, str]]:
    tenants: Any = Acme()
    batch = with_tenants(decode, tenants, "")(records)
    return batch.body, {r.index: r.reason for r in batch.rejected}


def test_what_cannot_be_read_is_rejected_each_by_its_reason_and_the_rest_is_decoded() -> None:
    stranger = replace(GOOD, headers=())
    broken = replace(GOOD, unreadable="Local: Invalid compressed data")
    bad, crash = replace(GOOD, value=b"bad"), replace(GOOD, value=b"crash")
    body, rejected = decoded(stranger, GOOD, broken, crash, bad, GOOD, crash)
    assert body == b"good,good"
    assert rejected == {
        0: "unknown_tenant", 2: "unreadable", 3: "decoder_failed", 4: "undecodable", 6: "decoder_failed",
    }  # fmt: skip


def test_nothing_is_put_aside_for_an_error_that_no_message_makes_by_itself() -> None:
    with pytest.raises(ValueError, match="not together"):
        decoded(*[replace(GOOD, value=b"pair")] * 2)
