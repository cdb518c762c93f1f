"""Lets a browser choose its tenant where the tenant header is trusted, as on one machine: `?tenant=<id>`."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import unquote_plus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.access.tenants import TENANT_HEADER, TenantRegistry
from services.console.adapters.http_links import ASKED, TENANT

COOKIE = TENANT
CREDENTIALS = ("authorization", "x-api-key", TENANT_HEADER)


@dataclass(frozen=True, slots=True)
class TenantChoice:
    """ASGI middleware: takes the tenant out of an address and sends it along as the tenant header.

    An address without one gets the tenant last chosen, which a cookie keeps; it is passed over when it is gone. A
    tenant that an address names and that does not exist is refused as such. Credentials decide before either.
    """

    app: ASGIApp
    tenants: TenantRegistry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope, asked = _taken_out(scope)
        headers = Headers(scope=scope)
        if any(name in headers for name in CREDENTIALS):
            await self.app(scope, receive, send)
            return
        kept = _cookie(headers.get("cookie", ""))
        chosen = asked or (kept if self.tenants.known(kept) else "")
        if chosen:
            MutableHeaders(scope=scope)[TENANT_HEADER] = chosen
        opened = headers.get("sec-fetch-mode", "navigate") == "navigate"  # by a person, not by a page that is open
        remembered = asked if opened and asked != kept and self.tenants.known(asked) else ""
        token = ASKED.set(asked if chosen or len(self.tenants.ids) > 1 else None)
        try:
            await self.app(scope, receive, _remembering(send, remembered) if remembered else send)
        finally:
            ASKED.reset(token)


def _taken_out(scope: Scope) -> tuple[Scope, str]:
    """Return a request without the tenant in its address, and that tenant, empty without one."""
    pairs = [(pair, *pair.partition("=")[::2]) for pair in scope["query_string"].decode("latin-1").split("&")]
    asked = [unquote_plus(value) for _, name, value in pairs if name == TENANT]
    rest = "&".join(pair for pair, name, _ in pairs if name != TENANT)
    return {**scope, "headers": list(scope["headers"]), "query_string": rest.encode("latin-1")}, "".join(asked[-1:])


def _remembering(send: Send, tenant: str) -> Send:
    carrier = Response()
    carrier.set_cookie(COOKIE, tenant, httponly=True, samesite="lax")

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("set-cookie", carrier.headers["set-cookie"])
        await send(message)

    return sending


def _cookie(text: str) -> str:
    try:
        morsel = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
