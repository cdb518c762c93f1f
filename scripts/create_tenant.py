"""Create a tenant, or give one another API key. The key is printed once; only its hash is stored."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

from libs.access.tenants import TenantsFileInvalid, add_key, start_file

DEFAULT_FILE = ".local/tenants.json"


def main() -> int:
    """Print the new key; exit code 1 with one sentence when the file cannot be changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tenant", help="id: lower-case letters, digits, - and _")
    default = Path(os.environ.get("INCIDENTSCOPE_TENANTS_FILE", DEFAULT_FILE))
    parser.add_argument("--file", type=Path, default=default, help=f"tenants file (default {default})")
    parser.add_argument("--if-missing", action="store_true", help="create the file too, or do nothing where it exists")
    options = parser.parse_args()
    if options.if_missing and options.file.exists():
        return 0
    key = new_key()
    try:
        if options.if_missing:
            start_file(options.file, options.tenant)
        add_key(options.file, options.tenant, key)
    except TenantsFileInvalid as exc:
        print(f"create_tenant: {exc}", file=sys.stderr)
        return 1
    print(key)
    return 0


def new_key() -> str:
    """Return a random API key of 256 bits."""
    return f"is_{secrets.token_urlsafe(32)}"


if __name__ == "__main__":
    sys.exit(main())
