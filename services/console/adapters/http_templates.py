"""Templates: what they can call, and how they become answers. Everything put into a page is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from libs.access.identity import CALLER, Identity, Role
from libs.kernel import quantities
from libs.kernel.timewindow import TimeWindow
from services.console.adapters.http_links import ASKED, HERE, carry
from services.console.adapters.http_may import May
from services.console.domain import charts, filters, formats, servicemap
from services.console.domain.doors import Doors

FOLDER = Path(__file__).parent.parent / "templates"
STATIC = Path(__file__).parent.parent / "static"
_NOBODY = Identity("", Role.VIEWER)  # who may choose among all tenants where nobody has a key


class Pages:
    """Renders templates.

    `doors` are told where nothing has come in yet, `tenants` those a caller may choose among, `may` what is offered.
    """

    def __init__(self, doors: Doors, tenants: Callable[[Identity], Sequence[str]], may: May) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for name in (
            "absolute", "iso", "clock", "minute", "relative", "safe_url",
        ):  # fmt: skip
            self._environment.filters[name] = getattr(formats, name)
        for name in ("milliseconds", "percent", "confidence", "significant"):
            self._environment.filters[name] = getattr(quantities, name)
        self._environment.filters["log_level"] = formats.log_level
        self._environment.globals.update(
            identity=lambda: CALLER.get(None), may=may, refusal=may.refusal, ways=may.ways,
            here_now=HERE.get, asked_tenant=ASKED.get,
            tenants=tenants, choices=lambda: [tenant for tenant in tenants(_NOBODY) if tenant],
            doors=doors, service_href=service_href, chart_box=_CHART_BOX,
            periods=filters.PERIODS, going_on=filters.GOING_ON, over=filters.OVER,
            node_width=servicemap.NODE_WIDTH, node_height=servicemap.NODE_HEIGHT,
        )  # fmt: skip

    def render(self, template: str, tenant: str, shown: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """Return a page; raises jinja2's errors, which are faults of ours."""
        text = self._environment.get_template(template).render(tenant=tenant, **shown)
        return HTMLResponse(carry(text), status)


_CHART_BOX = {
    "width": charts.WIDTH,
    "height": charts.HEIGHT,
    "left": charts.LEFT,
    "right": charts.RIGHT,
    "top": charts.TOP,
    "bottom": charts.BOTTOM,
}


def service_href(name: str, window: TimeWindow | None = None) -> str:
    """Return the address of a service's page, over a window when one is given."""
    path = f"/services/{quote(name, safe='')}"
    if window is None:
        return path
    return f"{path}?{urlencode({'from': formats.iso(window.start), 'to': formats.iso(window.end)})}"
