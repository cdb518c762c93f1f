"""Kafka behind ports: the topic catalogue, CloudEvents, consumers and producers, dead letters."""
