"""Create the topics of the catalogue that do not exist yet. Reads KAFKA_BOOTSTRAP."""

from __future__ import annotations

import argparse
import os
import sys

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from libs.messaging import topics

TIMEOUT_SECONDS = 30


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
    except KafkaException as exc:
        print(f"create_topics: cannot use the broker at {options.bootstrap}: {exc}", file=sys.stderr)
        return 1
    print(f"create_topics: {len(created)} created" + "".join(f"\n  {name}" for name in created))
    return 0


if __name__ == "__main__":
    sys.exit(main())
