"""/healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Check = Callable[[], str | None]


class Health:
    """Named readiness checks. A check returns None when all is well, else one sentence saying what is not."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._checks: dict[str, Check] = {}
        self._started = False
        self.check("started", lambda: None if self._started else "still starting")

    def check(self, name: str, fn: Check) -> None:
        """Add a check, or replace the one of that name."""
        self._checks[name] = fn

    def started(self) -> None:
        """Say that start-up is done."""
        self._started = True

    def problems(self) -> dict[str, str]:
        """Return what is not well, by the name of the check."""
        found = {name: fn() for name, fn in self._checks.items()}
        return {name: problem for name, problem in found.items() if problem is not None}

    def routes(self) -> list[Route]:
        """Return the three routes, to be mounted in any Starlette or FastAPI app."""
        return [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]

    def app(self) -> Starlette:
        """Return an app of these routes alone."""
        return Starlette(routes=self.routes())

    async def _healthz(self, _request: Request) -> Response:
        return JSONResponse({"service": self._service, "status": "ok"})

    async def _readyz(self, _request: Request) -> Response:
        problems = self.problems()
        body = {
            "service": self._service,
            "status": "not ready" if problems else "ready",
            "problems": problems,
        }
        return JSONResponse(body, status_code=503 if problems else 200)

    async def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})
