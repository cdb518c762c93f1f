"""correlation_engine as a process against the real broker and database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from incidentscope.correlation.v1 import correlation_pb2 as pb
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.incident.v1 import incident_pb2
from incidentscope.incident.v1.incident_events_pb2 import IncidentOpened, IncidentReopened

from libs.kernel.ids import uuid7
from libs.messaging import cloudevents
from libs.messaging.kafka import KafkaConsumer, KafkaProducer
from libs.messaging.ports import OutgoingRecord
from libs.messaging.topics import CORRELATION_HYPOTHESES, INCIDENTS_EVENTS
from libs.storage.clickhouse import ClickHouse
from tests.integration.correlation_world import Neighbours, insert, neighbours, scenario_now, stamp
from tests.unit.services.correlation_engine import world

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60.0
KINDS = {
    "bad-deploy": pb.CAUSE_KIND_DEPLOY,
    "slow-database": pb.CAUSE_KIND_SLOW_DEPENDENCY,
    "dead-dependency": pb.CAUSE_KIND_DEAD_DEPENDENCY,
    "cpu-starvation": pb.CAUSE_KIND_RESOURCE_SATURATION,
}


@dataclass
class Bench:
    """One tenant with a simulated outage, its neighbours, and the means to run the engine beside them."""

    stack: Any
    tenant: str
    scenario: world.Scenario
    neighbours: Neighbours
    target: str
    tenants_file: Path

    def incident(self) -> incident_pb2.Incident:
        return incident_pb2.Incident(
            id=uuid7(datetime.now(UTC)),
            tenant_id=self.tenant,
            status=incident_pb2.INCIDENT_STATUS_OPEN,
            services=self.scenario.affected,
            started_at=stamp(self.scenario.started_at),
            opened_at=stamp(datetime.now(UTC)),
        )

    def publish_opened(self, incident: incident_pb2.Incident) -> None:
        self.publish(IncidentOpened(incident=incident))

    def publish(self, data: IncidentOpened | IncidentReopened) -> None:
        incident_id = data.incident.id
        event = cloudevents.CloudEvent(uuid.uuid4().hex, "/test", datetime.now(UTC), incident_id, self.tenant, data)
        self.send(cloudevents.record(INCIDENTS_EVENTS, incident_id, event))

    def send(self, record: OutgoingRecord) -> None:
        producer = KafkaProducer(self.stack.kafka_bootstrap)
        producer.send([record])
        producer.close()

    def read(self, topic: str, wanted: int, timeout_s: float = WAIT_SECONDS) -> list[Any]:
        """Return at least `wanted` messages of this tenant from a topic, or fail."""
        consumer = KafkaConsumer(self.stack.kafka_bootstrap, f"test-{uuid.uuid4().hex}", [topic])
        found: list[Any] = []
        deadline = time.monotonic() + timeout_s
        try:
            while len(found) < wanted and time.monotonic() < deadline:
                records = consumer.poll(100, 0.5)
                found += [r for r in records if r.header("ce_tenantid") in (self.tenant, None)]
        finally:
            consumer.close()
        assert len(found) >= wanted, f"{len(found)} of {wanted} messages on {topic} after {timeout_s} s"
        return found

    def analyses(self, wanted: int = 1) -> list[HypothesesPublished]:
        events = [cloudevents.decode(r.headers, r.value) for r in self.read(CORRELATION_HYPOTHESES.name, wanted)]
        return [e.data for e in events if isinstance(e.data, HypothesesPublished)]

    @contextmanager
    def engine(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the engine; it is stopped by its pid at the end, at the latest by force."""
        environment = os.environ | {
            "KAFKA_BOOTSTRAP": self.stack.kafka_bootstrap,
            "CLICKHOUSE_URL": self.stack.clickhouse_url,
            "INCIDENT_GRPC_TARGET": self.target,
            "DEPLOY_GRPC_TARGET": self.target,
            "HEALTH_PORT": "0",
            "INCIDENTSCOPE_TENANTS_FILE": str(self.tenants_file),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'libs' / 'contracts'}",
        }
        process = subprocess.Popen([sys.executable, "-m", "services.correlation_engine"], env=environment, cwd=ROOT)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


@contextmanager
def bench(stack: Any, tmp_path: Path, cause: str, seed: int = 1) -> Iterator[Bench]:
    tenant = f"t{uuid.uuid4().hex[:12]}"
    scenario = scenario_now(seed, cause)
    clickhouse = ClickHouse(stack.clickhouse_url)
    insert(clickhouse, tenant, scenario.telemetry)
    clickhouse.close()
    known = neighbours(tenant)
    known.take_deploys(scenario)
    tenants_file = tmp_path / "tenants.json"
    tenants_file.write_text(json.dumps({"tenants": [{"id": tenant, "api_keys_sha256": []}]}))
    with known.serve() as target:
        yield Bench(stack, tenant, scenario, known, target, tenants_file)


@pytest.mark.parametrize(("environment", "blamed"), [("prod", False), ("stg", True)])
def test_a_deploy_to_staging_is_blamed_for_an_outage_of_staging_only(
    stack: Any, tmp_path: Path, environment: str, blamed: bool
) -> None:
    with bench(stack, tmp_path, "bad-deploy") as around, around.engine():
        around.neighbours.alerts = [incident_pb2.IncidentAlert(id="a", labels={"env": environment})]
        for known in around.neighbours.deploys:
            known.environment = "staging"
        around.publish_opened(around.incident())

        first = around.analyses()[0].hypotheses[0]

    assert first.service == around.scenario.expected
    assert (first.cause_kind == pb.CAUSE_KIND_DEPLOY, bool(first.deploy_id)) == (blamed, blamed)


@pytest.mark.parametrize("cause", world.CAUSES)
def test_the_cause_of_an_opened_incident_is_published(stack: Any, tmp_path: Path, cause: str) -> None:
    with bench(stack, tmp_path, cause) as around, around.engine():
        incident = around.incident()
        around.publish_opened(incident)

        analysis = around.analyses()[0]

    assert (analysis.incident_id, analysis.version) == (incident.id, 1)
    assert analysis.verdict == pb.VERDICT_CAUSE_NAMED, analysis.reason
    first = analysis.hypotheses[0]
    assert first.service == around.scenario.expected
    assert first.cause_kind == KINDS[cause]
    assert first.chain[-1] in around.scenario.affected
    assert all(e.url and e.unit and e.statement for e in first.evidence)
    onset = analysis.onset_at.ToDatetime(tzinfo=UTC)
    assert abs(onset - around.scenario.onset) <= timedelta(minutes=2)


def test_no_outage_is_not_enough_evidence(stack: Any, tmp_path: Path) -> None:
    with bench(stack, tmp_path, "none") as around, around.engine():
        around.publish_opened(around.incident())

        analysis = around.analyses()[0]

    assert analysis.verdict == pb.VERDICT_NOT_ENOUGH_EVIDENCE
    assert analysis.reason


def test_a_reopened_incident_is_analysed_over_the_outage_it_was_reopened_for(stack: Any, tmp_path: Path) -> None:
    with bench(stack, tmp_path, "dead-dependency") as around, around.engine():
        incident = around.incident()
        before = datetime.now(UTC) - timedelta(days=2)  # of which there is no telemetry at all
        for moment in (incident.started_at, incident.opened_at):
            moment.CopyFrom(stamp(before))
        incident.reopened_at.CopyFrom(stamp(datetime.now(UTC)))
        around.neighbours.analyses[incident.id] = HypothesesPublished(version=6, analysed_at=stamp(before))
        around.publish(IncidentReopened(incident=incident))

        analysis = around.analyses()[0]

    assert (analysis.incident_id, analysis.version) == (incident.id, 7)
    assert analysis.hypotheses[0].service == around.scenario.expected
    assert abs(analysis.onset_at.ToDatetime(tzinfo=UTC) - around.scenario.onset) <= timedelta(minutes=2)


def test_after_kill_9_open_incidents_are_analysed_again(stack: Any, tmp_path: Path) -> None:
    with bench(stack, tmp_path, "slow-database") as around:
        incident = around.incident()
        with around.engine() as process:
            around.publish_opened(incident)
            first = around.analyses()[0]
            process.send_signal(signal.SIGKILL)
            process.wait(10)
        waiting = around.incident()  # opened while nobody listened, and its event long consumed
        around.neighbours.incidents = [incident, waiting]
        around.neighbours.analyses[incident.id] = first

        with around.engine():
            analyses = around.analyses(wanted=2)

    assert first.hypotheses[0].service == around.scenario.expected
    again = [a for a in analyses if a.incident_id == waiting.id]
    assert [a.version for a in again] == [1]
    assert again[0].hypotheses[0].service == around.scenario.expected


def test_an_event_that_cannot_be_used_goes_to_the_dead_letters_and_the_next_is_handled(
    stack: Any, tmp_path: Path
) -> None:
    with bench(stack, tmp_path, "bad-deploy") as around, around.engine():
        incident = around.incident()
        headless = incident_pb2.Incident(tenant_id=around.tenant, services=["front"])
        event = cloudevents.CloudEvent(
            uuid.uuid4().hex, "/test", datetime.now(UTC), "", around.tenant, IncidentOpened(incident=headless)
        )
        around.send(cloudevents.record(INCIDENTS_EVENTS, incident.id, event))
        around.publish_opened(incident)

        assert around.analyses()[0].incident_id == incident.id
        letter = around.read(INCIDENTS_EVENTS.dlq, 1)[-1]

    assert letter.header("dlq_reason") == "incomplete_incident"
