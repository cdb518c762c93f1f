"""Exit 0 when a readiness address answers 200, else 1 with what it said; the images' health check."""

from __future__ import annotations

import argparse
import http.client
import sys
from urllib.parse import urlsplit

SECONDS = 5.0


def main() -> int:
    """Ask once, by the standard library alone: this runs every few seconds beside each service."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    url = parser.parse_args().url
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        parser.error(f"{url} should look like http://127.0.0.1:8080/readyz")
    try:
        status, text = ask(parts.hostname, parts.port or 80, parts.path or "/")
    except (OSError, http.client.HTTPException) as exc:
        print(f"check_ready: {url}: {exc or type(exc).__name__}", file=sys.stderr)
        return 1
    if status != http.client.OK:
        print(f"check_ready: {url}: {status} {text}", file=sys.stderr)
    return 0 if status == http.client.OK else 1


def ask(host: str, port: int, path: str) -> tuple[int, str]:
    """Return the status and the beginning of the text; raises OSError or HTTPException."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(500).decode("utf-8", "replace")
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
