"""Addresses of this console on its pages: which page is shown, and whose pages its links lead to.

Where a browser may choose its tenant, every address on a page carries it, so that each tab stays with its own.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from html import escape
from urllib.parse import quote

from libs.access.identity import CALLER

TENANT = "tenant"  # the parameter of an address that names it
HERE: ContextVar[str] = ContextVar("here", default="/")  # the page that is shown, as it is linked to
ASKED: ContextVar[str | None] = ContextVar("asked_tenant", default=None)  # of the address; None where none is chosen
# What a page's markup says of addresses. Texts cannot be mistaken for it: their quotes and brackets are escaped.
_ADDRESS = re.compile(r'(\s(?:href|action|formaction|data-listen)=")(/(?!/|static/)[^"#]*)')
_SEARCHES = re.compile(r'<form\b[^>]*\smethod="get"[^>]*>')  # a browser replaces the query of their address
_NAMES_ONE = re.compile(rf"[?&;]{TENANT}=")


def carried() -> str:
    """Return the tenant that addresses carry; empty where none can be chosen, or where a key decides."""
    caller = CALLER.get(None)
    return caller.tenant if caller is not None and not caller.key_id and ASKED.get() is not None else ""


def own(address: str) -> str:
    """Return an address of ours without an anchor as the page being answered has to lead to it."""
    return _with(address, carried(), "&")


def carry(page: str) -> str:
    """Return the markup of a page with the tenant in its links, forms, and the stream it listens to."""
    tenant = carried()
    if not tenant:
        return page
    page = _ADDRESS.sub(lambda found: found[1] + _with(found[2], tenant, "&amp;"), page)
    return _SEARCHES.sub(rf'\g<0><input type="hidden" name="{TENANT}" value="{escape(tenant)}">', page)


def _with(address: str, tenant: str, separator: str) -> str:
    if not tenant or _NAMES_ONE.search(address):
        return address
    return f"{address}{separator if '?' in address else '?'}{TENANT}={quote(tenant, safe='')}"
