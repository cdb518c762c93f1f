"""A client that calls the application without a network, one request at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from starlette.types import ASGIApp


class Client:
    """Keeps cookies between requests; redirects are not followed."""

    def __init__(self, app: ASGIApp) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://testserver")
        self.cookies = self._http.cookies

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request and return the whole answer."""
        return asyncio.run(self._http.request(method, path, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Send a GET."""
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """Send a POST."""
        return self.request("POST", path, **more)
