"""Bring Postgres and ClickHouse to the schema of this checkout.

Runs as the owner of the tables: POSTGRES_OWNER_URL, else POSTGRES_URL. POSTGRES_SERVICE_PASSWORD, where it is set,
becomes the password of incidentscope_service, the role services connect as.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import psycopg

from libs.kernel.errors import IncidentScopeError
from libs.storage import migrate

INFRA = Path(__file__).resolve().parent.parent / "infra"


def main() -> int:
    """Apply what is pending and say what ran; exit code 1 with one sentence when it cannot."""
    parser = argparse.ArgumentParser(description=__doc__)
    owner = os.environ.get("POSTGRES_OWNER_URL") or os.environ.get("POSTGRES_URL")
    parser.add_argument("--postgres-url", default=owner, help="default: POSTGRES_OWNER_URL, else POSTGRES_URL")
    parser.add_argument("--clickhouse-url", default=os.environ.get("CLICKHOUSE_URL"), help="default: CLICKHOUSE_URL")
    options = parser.parse_args()
    if not options.postgres_url or not options.clickhouse_url:
        parser.error('set POSTGRES_URL and CLICKHOUSE_URL, or eval "$(python -m infra.local env)"')
    try:
        password = os.environ.get("POSTGRES_SERVICE_PASSWORD", "")
        ran = migrate.migrate_postgres(options.postgres_url, INFRA / "postgres", password)
        ran += migrate.migrate_clickhouse(options.clickhouse_url, INFRA / "clickhouse")
    except (IncidentScopeError, psycopg.Error, OSError) as exc:
        print(f"migrate: {str(exc).strip()}", file=sys.stderr)
        return 1
    for migration in ran:
        print(f"migrate: applied {migration.owner}/{migration.name}")
    print(f"migrate: {len(ran)} applied, schema is current")
    return 0


if __name__ == "__main__":
    sys.exit(main())
