"""Lets a browser choose its tenant where the tenant header is trusted, as on one machine: `?tenant=<id>` once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.access.tenants import TENANT_HEADER, TenantRegistry

COOKIE = "tenant"
CREDENTIALS = ("authorization", "x-api-key", TENANT_HEADER)


@dataclass(frozen=True, slots=True)
class TenantChoice:
    """ASGI middleware: keeps the tenant of a link in a cookie, and sends it along as the tenant header.

    A tenant that does not exist is ignored: the caller is then whoever it would be without the choice.
    """

    app: ASGIApp
    tenants: TenantRegistry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] == "GET":
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
            if COOKIE in query:
                await self._remember(scope["path"], query)(scope, receive, send)
                return
        if scope["type"] == "http":
            self._send_along(scope)
        await self.app(scope, receive, send)

    def _remember(self, path: str, query: Mapping[str, str]) -> RedirectResponse:
        rest = urlencode({name: value for name, value in query.items() if name != COOKIE})
        # One leading slash: two would be a link to another host.
        answer = RedirectResponse("/" + path.lstrip("/") + (f"?{rest}" if rest else ""), 303)
        if self.tenants.known(query[COOKIE]):
            answer.set_cookie(COOKIE, query[COOKIE], httponly=True, samesite="lax")
        else:
            answer.delete_cookie(COOKIE)
        return answer

    def _send_along(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        chosen = _cookie(headers.get("cookie", ""))
        if self.tenants.known(chosen) and not any(name in headers for name in CREDENTIALS):
            MutableHeaders(scope=scope)[TENANT_HEADER] = chosen


def _cookie(text: str) -> str:
    try:
        morsel = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
