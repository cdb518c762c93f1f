"""Which tenant a message of a telemetry topic names."""

from __future__ import annotations

from libs.access.tenants import TENANT_HEADER
from libs.kernel.errors import InvalidInput
from libs.messaging.ports import Record

# Headers that mean a tenant elsewhere: what has one is somebody's, though we do not read it
ELSEWHERE = frozenset({"tenant", "xtenant", "tenantid", "cetenantid", "orgid", "xorgid", "xscopeorgid", "scopeorgid"})


def tenant_of(record: Record, anonymous: str) -> str:
    """Return the tenant a message names, or `anonymous` (empty: there is none) if it names none in any form.

    The header may be written in any case, with `-` or `_`. Raises InvalidInput `unknown_tenant`.
    """
    named = {value.decode("utf-8", "replace").strip() for name, value in record.headers if _letters(name) == _OURS}
    if len(named) > 1:
        raise InvalidInput("unknown_tenant", f"the header {TENANT_HEADER} names {len(named)} tenants")
    if named:
        return named.pop()
    foreign = next((name for name, _ in record.headers if _letters(name) in ELSEWHERE), "")
    if foreign:
        raise InvalidInput("unknown_tenant", f"the tenant is read from {TENANT_HEADER}, not from {foreign[:64]!r}")
    if not anonymous:
        raise InvalidInput("unknown_tenant", f"the header {TENANT_HEADER} is missing")
    return anonymous


def _letters(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(".", "")


_OURS = _letters(TENANT_HEADER)
