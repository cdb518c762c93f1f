"""The whole suite on one machine without Docker: a real Kafka, PostgreSQL and ClickHouse engine, and every service.

`python -m infra.local up|down|status|logs|env`, or `infra.local.stack.Stack` from Python. All of it listens on
127.0.0.1 and keeps its data under one home folder (default `.local/`).
"""
