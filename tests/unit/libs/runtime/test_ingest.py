"""What a consumer makes of its messages: tenants told apart, and what nobody can read put aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from libs.messaging.ports import Headers, Record
from libs.otlp.batch import DecodedBatch, Message, Rejected
from libs.runtime.ingest import with_tenants
from libs.runtime.record_tenant import tenant_of

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


@pytest.mark.parametrize("name", ["X-Tenant-Id", "X-TENANT-ID", "x_tenant_id", "X-Tenant_ID", "xTenantId"])
def test_the_header_of_the_tenant_is_read_in_any_form(name: str) -> None:
    for value in (b"acme", b" acme\r\n"):
        assert tenant_of(replace(GOOD, headers=((name, value),)), "default") == "acme"


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ((("x-tenant-id", b""),), "no tenant is called ''"),
        ((("X-Tenant-Id", b"ACME"),), "no tenant is called 'ACME'"),
        ((("X-Tenant-Id", b"\xff"),), "no tenant is called"),
        ((("x-tenant-id", b"acme"), ("X-Tenant-Id", b"zoo")), "names 2 tenants"),
        ((("tenant", b"acme"),), "not from 'tenant'"),
        ((("X-Scope-OrgID", b"acme"),), "not from 'X-Scope-OrgID'"),
        ((("ce_tenantid", b"acme"),), "not from 'ce_tenantid'"),
        ((("tenant.id", b"acme"),), "not from 'tenant.id'"),
    ],
)
def test_what_names_a_tenant_in_any_form_is_never_the_anonymous_one_s(headers: Headers, why: str) -> None:
    tenants: Any = Acme()
    batch = with_tenants(decode, tenants, "acme")([replace(GOOD, headers=headers), replace(GOOD, headers=())])
    (rejected,) = batch.rejected
    assert (batch.body, rejected.index, rejected.reason) == (b"good", 0, "unknown_tenant")
    assert why in rejected.error


def test_the_same_tenant_may_be_named_twice() -> None:
    assert tenant_of(replace(GOOD, headers=(("x-tenant-id", b"acme"), ("X-Tenant-Id", b"acme"))), "") == "acme"


def test_the_content_type_is_read_in_any_case() -> None:
    seen: list[str] = []

    def note(messages: Sequence[Message]) -> DecodedBatch:
        seen.extend(m.content_type for m in messages)
        return decode(messages)

    tenants: Any = Acme()
    record = replace(GOOD, headers=(*GOOD.headers, ("Content-Type", b"Application/JSON; charset=utf-8")))
    with_tenants(note, tenants, "")([record])
    assert seen == ["application/json"]


def test_nothing_is_put_aside_for_an_error_that_no_message_makes_by_itself() -> None:
    with pytest.raises(ValueError, match="not together"):
        decoded(*[replace(GOOD, value=b"pair")] * 2)
