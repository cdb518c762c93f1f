"""The topic catalogue."""

from __future__ import annotations

import re
from pathlib import Path

from libs.messaging import topics

ROOT = Path(__file__).resolve().parents[4]


def test_every_topic_has_a_name_a_description_a_key_and_a_producer() -> None:
    for topic in topics.CATALOGUE:
        assert re.fullmatch(r"[a-z]+\.[a-z]+", topic.name)
        assert topic.description
        assert topic.key
        assert topic.producer


def test_names_are_unique_and_every_consumed_topic_has_dead_letters() -> None:
    names = [t.name for t in topics.all_topics()]

    assert len(names) == len(set(names))
    consumed = [t for t in topics.CATALOGUE if t.consumers and t.cleanup_policy == "delete"]
    assert {t.dlq for t in consumed} <= set(names)


def test_a_compacted_topic_has_no_retention() -> None:
    assert "retention.ms" not in topics.OUTBOX_POSITIONS.config()
    assert topics.OTEL_LOGS.config()["max.message.bytes"] == "5242880"


def test_an_event_type_is_found_by_its_full_name() -> None:
    for topic in topics.CATALOGUE:
        for message in topic.messages:
            assert topics.message_type(message.DESCRIPTOR.full_name) is message
    assert topics.message_type("com.example.Nothing") is None


def test_every_producer_and_consumer_named_is_a_service_that_exists() -> None:
    services = {p.name for p in (ROOT / "services").iterdir() if (p / "__init__.py").exists()}
    named = {n.split(" ")[0] for t in topics.CATALOGUE for n in (*t.consumers, *t.producer.split(", "))}

    assert named - services <= {"OpenTelemetry", "catalog"}
