"""Create the topics of the catalogue that do not exist yet, and give those that exist room. Reads KAFKA_BOOTSTRAP.

Of a topic that exists only `max.message.bytes` is changed, and only to more: a release may need larger messages than
the one that created it. All else is left as it was set.
"""

from __future__ import annotations

import argparse
import os
import sys

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from libs.messaging import topics

TIMEOUT_SECONDS = 30
LIMIT = "max.message.bytes"


def create(bootstrap: str, replication: int = 1) -> list[str]:
    """Create missing topics and return their names; raises KafkaException."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    existing = set(admin.list_topics(timeout=TIMEOUT_SECONDS).topics)
    missing = [t for t in topics.all_topics() if t.name not in existing]
    if not missing:
        return []
    new = [NewTopic(t.name, t.partitions, replication, config=t.config()) for t in missing]
    for future in admin.create_topics(new, request_timeout=TIMEOUT_SECONDS).values():
        try:
            future.result()
        except KafkaException as exc:
            if exc.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return [t.name for t in missing]


def widen(bootstrap: str) -> list[str]:
    """Give existing topics the size of message they need; return which were changed. Raises KafkaException."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    existing = set(admin.list_topics(timeout=TIMEOUT_SECONDS).topics)
    wanted = {t.name: t.max_message_bytes for t in topics.all_topics() if t.name in existing}
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in wanted]
    answers = admin.describe_configs(asked, request_timeout=TIMEOUT_SECONDS) if asked else {}
    found = {resource.name: int(answer.result()[LIMIT].value) for resource, answer in answers.items()}
    narrow = sorted(name for name, limit in found.items() if limit < wanted[name])
    changes = [ConfigResource(ResourceType.TOPIC, n, incremental_configs=[_limit(wanted[n])]) for n in narrow]
    if changes:
        for change in admin.incremental_alter_configs(changes, request_timeout=TIMEOUT_SECONDS).values():
            change.result()
    return narrow


def _limit(size: int) -> ConfigEntry:
    return ConfigEntry(LIMIT, str(size), incremental_operation=AlterConfigOpType.SET)


def main() -> int:
    """Create topics and say which; exit code 1 with one sentence when the broker cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", default=os.environ.get("KAFKA_BOOTSTRAP"), help="default: KAFKA_BOOTSTRAP")
    parser.add_argument("--replication", type=int, default=1, help="replicas of each topic (default 1)")
    options = parser.parse_args()
    if not options.bootstrap:
        parser.error('set KAFKA_BOOTSTRAP, or eval "$(python -m infra.local env)"')
    try:
        created = create(options.bootstrap, options.replication)
        widened = widen(options.bootstrap)
    except KafkaException as exc:
        print(f"create_topics: cannot use the broker at {options.bootstrap}: {exc}", file=sys.stderr)
        return 1
    more = f", {len(widened)} take larger messages now" if widened else ""
    print(f"create_topics: {len(created)} created{more}" + "".join(f"\n  {name}" for name in (*created, *widened)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
