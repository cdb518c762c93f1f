"""What keeps strangers' pages out: headers on every answer, allowed hosts, and same-site writes only."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.runtime.bodies import BoundedBody

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
OTHER_SITES = frozenset({"cross-site", "same-site"})  # as browsers say in `Sec-Fetch-Site`
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})  # for probes, which come under any name
BYTES_PER_CHARACTER = 12  # at most, as forms and JSON write it: %F0%9F%98%80, \ud83d\ude00
MAX_BODY_BYTES = 384 * 1024  # what every field of an incident's page holds, and the longest template
MAX_POSTMORTEM_BYTES = 5 * 50_000 * BYTES_PER_CHARACTER + 64 * 1024  # five full sections


def most_bytes(path: str) -> int:
    """Return how large a body may be that is sent to a path: what the fields there allow fits in."""
    return MAX_POSTMORTEM_BYTES if "/postmortem" in path else MAX_BODY_BYTES


class WriteCheck(Enum):
    """Why a write is let through, or not."""

    SAME_ORIGIN = "same_origin"
    NOT_A_BROWSER = "not_a_browser"
    CROSS_SITE = "cross_site"
    NO_ORIGIN = "no_origin"


def check_write(headers: Mapping[str, str], browser_form: bool) -> WriteCheck:
    """Decide on a write from its headers (names in lower case); forms must come from a page of this very origin.

    Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`; no page can forge either.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return WriteCheck.SAME_ORIGIN if site == "same-origin" else WriteCheck.CROSS_SITE
    if origin is not None:
        same = urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
        return WriteCheck.SAME_ORIGIN if same else WriteCheck.CROSS_SITE
    return WriteCheck.NO_ORIGIN if browser_form else WriteCheck.NOT_A_BROWSER


def known_host(host: str, allowed: frozenset[str]) -> bool:
    """Tell whether a Host header names this console: an address, a name of one label, or a listed name."""
    name = urlsplit(f"//{host}").hostname or ""
    if not name:
        return False
    if "." not in name and ":" not in name:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in allowed or name.endswith(".localhost") or "*" in allowed
    return True


@dataclass(frozen=True, slots=True)
class Guard:
    """ASGI middleware: refuses unknown hosts, large and slow bodies, and puts the security headers on every answer."""

    app: ASGIApp
    allowed_hosts: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope["path"], Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        await self.app(scope, BoundedBody(receive, most_bytes(scope["path"])), _with_headers(send))

    def _refusal(self, path: str, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        try:
            known = path in OPEN_PATHS or known_host(host, self.allowed_hosts)
            int(headers.get("content-length", "0"))
        except ValueError:
            return PlainTextResponse("The Host or Content-Length header is malformed.\n", 400)
        if not known:
            advice = f"This console is not called {host!r}. Add the name to CONSOLE_ALLOWED_HOSTS.\n"
            return PlainTextResponse(advice, 421)
        return None


class Compressed(GZipMiddleware):
    """ASGI middleware: compresses whole answers, and no streams, which must not be held back.

    Answers to what other sites make a browser ask are as long as they are: a page repeats words of its address beside
    its incidents, and how well the two compress together would tell the other site what the incidents say (BREACH).
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, minimum_size=1024, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        asked_by_another = scope["type"] == "http" and Headers(scope=scope).get("sec-fetch-site") in OTHER_SITES
        await (self.app if asked_by_another else super().__call__)(scope, receive, send)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
