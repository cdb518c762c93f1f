"""Play one outage against a running stack and check what the suite says. See --help."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime, timedelta

import grpc
import httpx
import psycopg

from libs.access import admin
from libs.access.identity import Role, Scope
from libs.kernel.errors import IncidentScopeError
from scripts.create_tenant import connect, owner_url
from scripts.demo import scenario as sc
from scripts.demo.doors import Addresses
from scripts.demo.story import Ending, Options, Story
from services.deploy_normalizer.domain.tenant_secrets import derived

TENANT_SECONDS = 1.0  # every process hears of a new tenant at once, but not at the same instant
GRANT = admin.Grant("demo", Role.SERVICE, (Scope.TELEMETRY_WRITE, Scope.INCIDENTS_READ))


def main() -> int:
    """Tell the story; exit code 0 when the suite was right, 1 when it was wrong, 2 when a door did not answer."""
    options = _parser().parse_args()
    began = time.monotonic()
    try:
        ending = _play(options)
    except (grpc.RpcError, httpx.HTTPError, IncidentScopeError, TimeoutError, psycopg.Error) as exc:
        print(f"demo: {_sentence(exc)}; is the stack up? Try `make status`", file=sys.stderr)
        return 2
    seconds = time.monotonic() - began
    verdict = "ok" if ending.right else "failed"
    named, expected = ending.named or "not-enough-evidence", ending.expected or "not-enough-evidence"
    rank = 1 if ending.right else ending.rank
    for link in ending.links:
        print(f"open {link}")
    print(f"demo: {verdict} cause={named} expected={expected} rank={rank} seconds={seconds:.0f}")
    return 0 if ending.right else 1


def _play(options: argparse.Namespace) -> Ending:
    tenant = f"demo-{options.cause}-{options.seed}-{datetime.now(UTC):%H%M%S}"
    with connect(options.postgres_url) as conn:
        admin.create_tenant(conn, tenant)
        key = admin.create_key(conn, tenant, GRANT).secret
    print(f"demo: cause {options.cause}, seed {options.seed}, in a tenant of its own: {tenant}", flush=True)
    time.sleep(TENANT_SECONDS)
    how = Options(
        history=timedelta(hours=options.history_hours),
        requests_per_second=options.rate,
        patience_seconds=options.patience,
        console_url=os.environ.get("CONSOLE_URL", "http://127.0.0.1:8080"),
    )
    return Story(options.cause, options.seed, _addresses(tenant, key), how).play()


def _addresses(tenant: str, key: str) -> Addresses:
    env = os.environ.get
    root = env("WEBHOOK_ROOT_SECRET")
    if not root:
        raise IncidentScopeError('WEBHOOK_ROOT_SECRET is not set; use `make demo` or eval "$(make -s env)"')
    return Addresses(
        otlp_grpc=env("OTLP_GRPC_TARGET", "127.0.0.1:4317"),
        otlp_http_url=env("OTLP_HTTP_URL", "http://127.0.0.1:4318"),
        deploy_webhook_url=env("DEPLOY_WEBHOOK_URL", "http://127.0.0.1:8081"),
        incidents_grpc=env("INCIDENT_GRPC_TARGET", "127.0.0.1:50051"),
        clickhouse_url=env("CLICKHOUSE_URL", "clickhouse://default@127.0.0.1:9000/incidentscope?http_port=8123"),
        github_secret=derived(root, "github", tenant),
        tenant=tenant,
        api_key=key,
    )


def _parser() -> argparse.ArgumentParser:
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("--cause", choices=sc.CAUSES, default=env("DEMO_CAUSE", sc.BAD_DEPLOY), help="or DEMO_CAUSE")
    parser.add_argument("--seed", type=int, default=int(env("DEMO_SEED", "1")), help="or DEMO_SEED (default 1)")
    parser.add_argument("--history-hours", type=_positive, default=2.0, help="healthy history to send first")
    parser.add_argument("--rate", type=_positive, default=4.0, help="requests per second at the entry of the shop")
    parser.add_argument("--patience", type=_positive, default=240.0, help="seconds after onset to wait for an answer")
    parser.add_argument("--postgres-url", default=owner_url(), help="default: POSTGRES_OWNER_URL, else POSTGRES_URL")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _sentence(error: Exception) -> str:
    if isinstance(error, grpc.Call):
        return f"a gRPC door answered {error.code().name}: {error.details()}"
    return str(error) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
