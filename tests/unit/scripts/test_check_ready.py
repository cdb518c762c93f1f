"""The images' health check."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 503)
            self.end_headers()
            self.wfile.write(b"kafka: away")

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(url: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "scripts.check_ready", url]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


def test_it_ends_with_0_only_when_the_answer_is_200(address: str) -> None:
    assert ask(f"{address}/readyz") == (0, "")
    assert ask(f"{address}/other") == (1, f"check_ready: {address}/other: 503 kafka: away\n")


def test_nobody_there_and_no_address_are_told_in_a_sentence() -> None:
    code, said = ask("http://127.0.0.1:1/readyz")
    assert (code, "Traceback" in said) == (1, False)
    assert said.startswith("check_ready: http://127.0.0.1:1/readyz: ")

    assert ask("127.0.0.1:8080/readyz")[0] == 2
