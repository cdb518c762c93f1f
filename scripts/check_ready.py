"""Exit 0 when a readiness address answers 200, else 1 with what it said; the images' health check."""

from __future__ import annotations

import argparse
import sys

import httpx


def main() -> int:
    """Ask once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    url = parser.parse_args().url
    try:
        answer = httpx.get(url, timeout=2, trust_env=False)
    except httpx.HTTPError as exc:
        print(f"check_ready: {url}: {exc}", file=sys.stderr)
        return 1
    if answer.status_code != httpx.codes.OK:
        print(f"check_ready: {url}: {answer.status_code} {answer.text[:500]}", file=sys.stderr)
    return 0 if answer.status_code == httpx.codes.OK else 1


if __name__ == "__main__":
    sys.exit(main())
