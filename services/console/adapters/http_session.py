"""Signing in with an API key: the browser gets a cookie that stands for the key, and ends with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from libs.access.audit import Entry
from libs.access.denied import AccessDenied
from libs.access.http import Exempt, exempt
from libs.access.identity import Identity, Requirement
from libs.access.tenants import TenantRegistry
from libs.access.tokens import SESSION_SECONDS, Signer
from services.console.adapters.http_security import WriteCheck, check_write
from services.console.adapters.http_templates import Pages

COOKIE = "incidentscope_session"
_KEY_HEADERS = ("authorization", "x-api-key")


@dataclass(frozen=True, slots=True)
class Sessions:
    """Who a request comes from: an API key in a header, else the session of a cookie, else as the registry decides.

    The cookie holds the signed id of the key, so every request looks the key up: revoked, it is over at once.
    """

    tenants: TenantRegistry
    signer: Signer
    secure: bool = False
    record: Callable[[Entry], None] = lambda _entry: None

    def admit(self, request: Request, asked: Requirement) -> Identity:
        """Return the caller of a request if it may do what asks this; raises AccessDenied."""
        caller = self._caller(request)
        try:
            self.tenants.authorize(caller, asked)
        except AccessDenied as denied:
            if denied.statuses.http is HTTPStatus.FORBIDDEN:
                what = f"{request.method} {request.url.path}"[:200]
                self.record(Entry(caller, what, denied.statuses.grpc, reason=denied.reason))
            raise
        return caller

    def who(self, request: Request) -> Identity | None:
        """Return the caller of a request that was decided on already; None when it is not known who that is."""
        try:
            key_id = self._key(request)
            return self.tenants.of_key(key_id) if key_id else self.tenants.who(request.headers)
        except AccessDenied:
            return None

    def _caller(self, request: Request) -> Identity:
        key_id = self._key(request)
        return self.tenants.of_key(key_id) if key_id else self.tenants.identify(request.headers)

    def _key(self, request: Request) -> str:
        """Return the id of the key that a session stands for; empty without one, and where a key itself is sent."""
        if any(name in request.headers for name in _KEY_HEADERS):
            return ""
        return self.signer.session_key(request.cookies.get(COOKIE, ""))

    def begin(self, answer: Response, key: str) -> None:
        """Give an answer the session of a key; raises AccessDenied."""
        caller = self.tenants.identify({"x-api-key": key or "-"})
        self.record(Entry(caller, "session.begin", "OK", caller.key_id))
        answer.set_cookie(
            COOKIE, self.signer.session(caller.key_id), int(SESSION_SECONDS),
            httponly=True, samesite="lax", secure=self.secure,
        )  # fmt: skip

    def end(self, answer: Response) -> None:
        """Take the session back."""
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=self.secure)


@dataclass(frozen=True, slots=True)
class SignIn:
    """The page to sign in on, and the way out."""

    sessions: Sessions
    pages: Pages

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/sign-in", self.form, methods=["GET"]),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    @exempt(Exempt.PUBLIC)
    async def form(self, request: Request) -> Response:
        """The page that asks for a key."""
        return self.pages.render("sign_in.html", "", {"error": "", "next": _own(request.query_params.get("next", ""))})

    @exempt(Exempt.PUBLIC)
    async def sign_in(self, request: Request) -> Response:
        """Take a key; a wrong one shows the page again."""
        _require_own_page(request)
        async with request.form(max_files=0, max_fields=5) as form:
            key, after = str(form.get("key", "")).strip(), _own(str(form.get("next", "")))
        answer = RedirectResponse(after, 303)
        try:
            self.sessions.begin(answer, key)
        except AccessDenied as denied:
            return self.pages.render("sign_in.html", "", {"error": str(denied), "next": after}, denied.statuses.http)
        return answer

    @exempt(Exempt.PUBLIC)
    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        _require_own_page(request)
        answer = RedirectResponse("/sign-in", 303)
        self.sessions.end(answer)
        return answer


def _require_own_page(request: Request) -> None:
    if check_write(request.headers, browser_form=True) is not WriteCheck.SAME_ORIGIN:
        raise HTTPException(403, "Sign in and out on the console's own pages.")


def _own(address: str) -> str:
    """Return an address on this console; the start page in place of any other."""
    parts = urlsplit(address)
    own = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.netloc
    return address if own and address.isprintable() else "/"
