"""Puts the detector together."""

from __future__ import annotations

from libs.kernel.clock import SystemClock
from libs.messaging import topics
from libs.messaging.kafka import KafkaProducer, read_topic
from libs.runtime.access import open_access
from libs.runtime.lifecycle import Lifecycle
from libs.storage.clickhouse import ClickHouse
from services.anomaly_detector.adapters.clickhouse import ClickHouseRollups
from services.anomaly_detector.adapters.kafka import KafkaAnnouncer
from services.anomaly_detector.adapters.rules_file import load_rules
from services.anomaly_detector.adapters.timer import DetectionTimer
from services.anomaly_detector.handlers import DetectAnomalies
from services.anomaly_detector.settings import AnomalyDetectorSettings

SERVICE = "anomaly_detector"


async def start(lifecycle: Lifecycle, settings: AnomalyDetectorSettings) -> None:
    """Start the health door and the timer; raises RulesInvalid or TenantsFileInvalid."""
    rules = load_rules(settings.anomaly_rules_file)
    tenants = await open_access(lifecycle)
    producer = KafkaProducer(settings.kafka_bootstrap)
    lifecycle.push(producer.close, "producer")
    clickhouse = ClickHouse(settings.clickhouse_url, pool_size=2)
    lifecycle.push(clickhouse.close, "clickhouse")
    detect = DetectAnomalies(
        ClickHouseRollups(clickhouse),
        KafkaAnnouncer(producer, lambda: read_topic(settings.kafka_bootstrap, topics.ANOMALIES_EVENTS.name)),
        rules,
        lambda: tenants.ids,
        SystemClock(),
    )
    timer = DetectionTimer(detect, rules.every)
    lifecycle.health.check("rounds", timer.problem)
    await lifecycle.serve_http(lifecycle.health.app(), settings.health_port)
    lifecycle.background("detection", timer.run)
