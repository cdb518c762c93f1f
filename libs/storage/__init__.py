"""ClickHouse and Postgres behind small doors: queries, inserts, transactions, migrations, outbox and inbox."""
