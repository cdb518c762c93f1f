"""Forms on pages: read, and kept when the answer is a refusal, so that nobody types a note twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request

from libs.runtime.bodies import BodyRefused
from services.console.adapters.http_security import WriteCheck, check_write
from services.console.ports import RefusalReason, Refused

MAX_FIELDS = 30
UNTYPED = frozenset({"version", "about", "judged", "task", "actor"})  # what pages fill in themselves
CHOSEN = frozenset({"severity", "priority", "public", "role", "kind", "status"})  # without typing
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_REFUSED_WRITES = {
    WriteCheck.CROSS_SITE: "The form was sent from another site. Open the incident here and send it again.",
    WriteCheck.NO_ORIGIN: "The form does not say which site it comes from. Programs use the REST interface, /api/v1.",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """A form that was not taken: where it goes when it is sent again, what was typed into it, and all else it holds."""

    action: str
    typed: Mapping[str, str]
    untyped: Mapping[str, str]


async def read(request: Request, action: str, known: Mapping[str, str]) -> dict[str, str]:
    """Return the text fields of a form from one of our own pages; raises Refused."""
    if action not in known:
        raise Refused(RefusalReason.NOT_FOUND, f"An incident cannot be asked to {action[:30]!r}.")
    checked = check_write(dict(request.headers), browser_form=True)
    if checked is not WriteCheck.SAME_ORIGIN:
        raise Refused(RefusalReason.PERMISSION_DENIED, _REFUSED_WRITES[checked])
    request.state.form = await _fields(request)
    return dict(request.state.form)


async def kept(request: Request) -> Kept | None:
    """Return what was typed into or chosen in a form that is answered by an error page; None when nothing was.

    A form from another site is not kept: sent again, it would come from ours.
    """
    headers = dict(request.headers)
    form_sent = request.method == "POST" and headers.get("content-type", "").startswith(_FORM_TYPES)
    if not form_sent or check_write(headers, browser_form=True) is not WriteCheck.SAME_ORIGIN:
        return None
    fields = getattr(request.state, "form", None)
    if fields is None:  # the caller was stopped at the door
        try:
            fields = await _fields(request)
        except (HTTPException, BodyRefused):
            return None
    filled = {name: value for name, value in fields.items() if value.strip() and name not in UNTYPED}
    if not filled:
        return None
    typed = {name: value for name, value in filled.items() if name not in CHOSEN}
    return Kept(request.url.path, typed, {name: value for name, value in fields.items() if name not in typed})


async def _fields(request: Request) -> dict[str, str]:
    async with request.form(max_files=0, max_fields=MAX_FIELDS) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def page_of(request: Request) -> str:
    """Return the address of the page a request belongs to: its own, or for a form that of the page it is on.

    What was done last (`?done=`) is news once, and no part of it.
    """
    path = quote(request.url.path)
    if request.method != "GET":
        return path.rpartition("/")[0] or "/"
    query = "&".join(part for part in request.url.query.split("&") if not part.startswith("done="))
    return f"{path}?{query}" if query else path
