"""Set how many days a tenant's telemetry is kept, or show what is set. Applied within an hour by log_consumer."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import psycopg

from libs.access import admin
from libs.access.directory import demand_tenant
from libs.access.tenants_file import FileSource
from libs.kernel.errors import IncidentScopeError
from libs.storage.clickhouse import ClickHouse
from libs.storage.retention import RAW_DAYS, ROLLUP_DAYS, Kept, Retention
from scripts.create_tenant import connect, owner_url


def known_tenants() -> frozenset[str]:
    """Return the ids of all tenants, from the tenants file where one is set, else from Postgres.

    Raises TenantsFileInvalid, or psycopg.Error.
    """
    file = os.environ.get("INCIDENTSCOPE_TENANTS_FILE")
    if file:
        return FileSource(Path(file)).directory().tenants
    with connect(owner_url()) as conn:
        return admin.tenants(conn)


def main() -> int:
    """Set or show; exit code 1 with one sentence when that is not possible."""
    parser = argparse.ArgumentParser(prog="python -m scripts.set_retention", description=__doc__)
    parser.add_argument("tenant", nargs="?", help="leave it out to show all that is set")
    parser.add_argument("--raw-days", type=int, default=RAW_DAYS, help=f"logs, spans and points (default {RAW_DAYS})")
    parser.add_argument("--rollup-days", type=int, default=ROLLUP_DAYS, help=f"rollups (default {ROLLUP_DAYS})")
    asked = parser.parse_args()
    url = os.environ.get("CLICKHOUSE_URL", "clickhouse://default@127.0.0.1:9000/incidentscope?http_port=8123")
    logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)  # it would add a traceback to our one sentence
    clickhouse = ClickHouse(url)
    try:
        retention = Retention(clickhouse)
        if asked.tenant:
            demand_tenant(asked.tenant, known_tenants())
            retention.set(asked.tenant, Kept(asked.raw_days, asked.rollup_days))
        for tenant, kept in sorted(retention.known().items()):
            print(f"{tenant}: raw {kept.raw} days, rollups {kept.rollup} days")
        print(f"all others: raw {RAW_DAYS} days, rollups {ROLLUP_DAYS} days")
    except (IncidentScopeError, ValueError, psycopg.Error) as exc:
        print(f"set_retention: {str(exc).strip()}", file=sys.stderr)
        return 1
    finally:
        clickhouse.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
