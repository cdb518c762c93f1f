"""Apache Kafka on the JVM: one node that is broker and KRaft controller."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local import jars, java
from infra.local.errors import PartFailed
from infra.local.part import Part, Say, tcp_problem
from infra.local.ports import Ports
from infra.local.processes import Command

MAX_MESSAGE_BYTES = 5 * 1024 * 1024
JVM_OPTIONS = (  # the first compiler only: on two cores the second takes from the services more than it gives back
    "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true", "-Dfile.encoding=UTF-8",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kafka:
    """Where this broker lives."""

    home: Path
    ports: Ports
    environment: Mapping[str, str]

    @property
    def bootstrap(self) -> str:
        """Return the address for clients."""
        return self.ports.address("kafka")

    def part(self) -> Part:
        """Return how to run it."""
        return Part("kafka", ("kafka", "kafka_controller"), self._prepare, self._problem)

    @property
    def _folder(self) -> Path:
        return self.home / "kafka"

    def _prepare(self, say: Say) -> Command:
        runtime = java.find(self.environment)
        folder = jars.ensure(self.environment, runtime.home, say)
        self._folder.mkdir(parents=True, exist_ok=True)
        properties = self._folder / "server.properties"
        properties.write_text(server_properties(self.ports, self._folder / "data"))
        base = [str(runtime.program), *JVM_OPTIONS, "-cp", str(folder / "*")]
        # Each thread of the JVM would get a malloc arena of its own; two are enough.
        environment = {**self.environment, "MALLOC_ARENA_MAX": "2"}
        if not (self._folder / "data" / "meta.properties").exists():
            say("formatting a new data folder")
            self._format(base, properties, environment)
        return Command([*base, "kafka.Kafka", str(properties)], environment, self._folder)

    def _format(self, base: list[str], properties: Path, environment: Mapping[str, str]) -> None:
        shutil.rmtree(self._folder / "data", ignore_errors=True)  # a start that was cut short
        log = self.home / "logs" / "kafka.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        arguments = ["kafka.tools.StorageTool", "format", "-c", str(properties), "-t", new_cluster_id()]
        with log.open("ab") as output:
            ended = subprocess.run(
                [*base, *arguments], env=dict(environment), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, check=False, timeout=60,
            )  # fmt: skip
        if ended.returncode != 0:
            raise PartFailed("kafka", "could not format its data folder", log)

    def _problem(self) -> str | None:
        closed = tcp_problem(self.ports["kafka"])
        if closed:
            return closed
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        try:
            brokers = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=2).brokers
        except KafkaException as exc:
            return f"not answering: {exc.args[0].str()}"
        return None if brokers else "no broker has joined yet"


def new_cluster_id() -> str:
    """Return a random id in Kafka's notation: 16 bytes, base64 for URLs, not starting with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):
            return text


def server_properties(ports: Ports, data: Path) -> str:
    """Return the broker's configuration file."""
    return "".join(f"{name}={_escape(value)}\n" for name, value in _settings(ports, data).items())


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\")


def _settings(ports: Ports, data: Path) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{ports.address('kafka_controller')}",
        "listeners": f"PLAINTEXT://{ports.address('kafka')},CONTROLLER://{ports.address('kafka_controller')}",
        "advertised.listeners": f"PLAINTEXT://{ports.address('kafka')}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(MAX_MESSAGE_BYTES),
        "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
        "offset.metadata.max.bytes": "16384",  # a batch plan travels in it
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.segment.bytes": str(256 * 1024 * 1024),
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        "num.recovery.threads.per.data.dir": str(os.cpu_count() or 2),
        # One node has nobody to yield to: elect at once, and forget a killed predecessor soon.
        "controller.quorum.election.timeout.ms": "500",
        "controller.quorum.fetch.timeout.ms": "1000",
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }
