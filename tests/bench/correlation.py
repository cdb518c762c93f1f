"""How long from `IncidentOpened` to published hypotheses in a large estate: `python -m tests.bench.correlation`.

Starts a broker, ClickHouse and correlation_engine as a process, lays out an estate, opens incidents one after the
other and waits for each first analysis on `correlation.hypotheses`. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.incident.v1 import incident_pb2
from incidentscope.incident.v1.incident_events_pb2 import IncidentOpened, IncidentResolved

from libs.kernel.ids import uuid7
from libs.messaging import cloudevents
from libs.messaging.kafka import KafkaConsumer, KafkaProducer
from libs.messaging.topics import CORRELATION_HYPOTHESES, INCIDENTS_EVENTS
from libs.storage.clickhouse import ClickHouse
from tests import servers
from tests.bench.estate import Estate
from tests.integration.correlation_world import neighbours, stamp

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """One incident: seconds from its event being produced to its hypotheses being consumed, and the first cause."""

    seconds: float
    cause: str


class Opener:
    """Opens incidents of one estate and waits for their analyses."""

    def __init__(self, bootstrap: str, estate: Estate) -> None:
        self._producer = KafkaProducer(bootstrap)
        self._consumer = KafkaConsumer(bootstrap, f"bench-{uuid.uuid4().hex}", [CORRELATION_HYPOTHESES.name])
        self._estate = estate
        self._consumer.poll(1, 5.0)  # joins its group before the first incident

    def open(self) -> Answer:
        """Open an incident, wait for its analysis, resolve it. Raises TimeoutError."""
        now = datetime.now(UTC)
        incident = incident_pb2.Incident(
            id=uuid7(now), tenant_id=self._estate.tenant, status=incident_pb2.INCIDENT_STATUS_OPEN,
            services=[f"service-{i}" for i in self._estate.callers[:1]],
            started_at=stamp(self._estate.onset + timedelta(minutes=1)), opened_at=stamp(now),
        )  # fmt: skip
        begun = time.monotonic()
        self._send(incident, IncidentOpened(incident=incident))
        analysis = self._wait(incident.id, begun + ANSWER_SECONDS)
        seconds = time.monotonic() - begun
        self._send(incident, IncidentResolved(incident=incident))
        return Answer(seconds, analysis.hypotheses[0].service if analysis.hypotheses else "")

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
        self._producer.close()

    def _send(self, incident: incident_pb2.Incident, data: IncidentOpened | IncidentResolved) -> None:
        event = cloudevents.CloudEvent(
            uuid.uuid4().hex, "/bench", datetime.now(UTC), incident.id, self._estate.tenant, data
        )
        self._producer.send([cloudevents.record(INCIDENTS_EVENTS, incident.id, event)])

    def _wait(self, incident_id: str, deadline: float) -> HypothesesPublished:
        while time.monotonic() < deadline:
            for record in self._consumer.poll(100, 0.02):
                data = cloudevents.decode(record.headers, record.value).data
                if isinstance(data, HypothesesPublished) and data.incident_id == incident_id:
                    return data
        raise TimeoutError(f"no analysis within {ANSWER_SECONDS:.0f} s")


@contextlib.contextmanager
def engine(found: servers.Servers, target: str, tenant: str) -> Iterator[psutil.Process]:
    """Run correlation_engine beside the estate; stopped by its pid."""
    with tempfile.TemporaryDirectory() as folder:
        tenants = Path(folder) / "tenants.json"
        tenants.write_text(json.dumps({"tenants": [{"id": tenant, "api_keys_sha256": []}]}))
        environment = os.environ | {
            "KAFKA_BOOTSTRAP": found.kafka_bootstrap, "CLICKHOUSE_URL": found.clickhouse_url,
            "INCIDENT_GRPC_TARGET": target, "DEPLOY_GRPC_TARGET": target, "HEALTH_PORT": "0", "LOG_LEVEL": "warning",
            "INCIDENTSCOPE_TENANTS_FILE": str(tenants),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'libs' / 'contracts'}",
        }  # fmt: skip
        process = psutil.Popen([sys.executable, "-m", "services.correlation_engine"], env=environment, cwd=ROOT)
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
                process.wait(20)
            if process.is_running():
                process.kill()


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--edges", type=int, default=5000)
    parser.add_argument("--spans", type=int, default=10_000_000, help="in the last hour")
    parser.add_argument("--lines", type=int, default=2_000_000, help="of log, in the last hour")
    parser.add_argument("--incidents", type=int, default=40, help="opened one after the other")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def measure(asked: argparse.Namespace, found: servers.Servers) -> dict[str, object]:
    """Lay out the estate, run the engine, open incidents; returns the figures."""
    tenant = f"bench{uuid.uuid4().hex[:8]}"
    estate = Estate(tenant, asked.services, asked.edges, asked.spans, asked.lines, asked.seed, datetime.now(UTC))
    clickhouse = ClickHouse(found.clickhouse_url)
    estate.write(clickhouse, say)
    clickhouse.close()
    with neighbours(tenant).serve() as target, engine(found, target, tenant) as process:
        opener = Opener(found.kafka_bootstrap, estate)
        say(f"the first analysis, with the start of the engine: {opener.open().seconds:.2f} s")
        answers = []
        for number in range(1, asked.incidents + 1):
            answers.append(opener.open())
            if number % 10 == 0:
                say(f"{number} of {asked.incidents} incidents analysed")
        opener.close()
        memory = process.memory_info().rss
    seconds = sorted(a.seconds for a in answers)
    return {
        "bench": "correlation", "services": asked.services, "edges": asked.edges, "spans_last_hour": asked.spans,
        "lines_last_hour": asked.lines,
        "incidents": len(seconds), "p50_s": round(_quantile(seconds, 0.5), 3),
        "p95_s": round(_quantile(seconds, 0.95), 3),
        "max_s": round(seconds[-1], 3), "cause_first": sum(a.cause == f"service-{estate.culprit}" for a in answers),
        "engine_rss_mib": memory >> 20,
    }  # fmt: skip


def _quantile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank quantile."""
    return ordered[max(0, -(-len(ordered) * int(share * 100) // 100) - 1)]


def main() -> int:
    """Run the bench; exit 1 when p95 is 2 s or more."""
    asked = arguments()
    if asked.incidents < 1 or asked.services < 2 or min(asked.spans, asked.lines) < 60 or asked.edges < 1:
        print("bench-correlation: every count must be positive, and services at least 2", file=sys.stderr)
        return 2
    kind, why = servers.choose(os.environ)
    say(f"servers: {kind} ({why})")
    with servers.running(kind, lambda: contextlib.redirect_stdout(sys.stderr)) as found:
        figures = measure(asked, found)
    print(json.dumps(figures))
    return 0 if float(str(figures["p95_s"])) < 2 else 1


if __name__ == "__main__":
    sys.exit(main())
