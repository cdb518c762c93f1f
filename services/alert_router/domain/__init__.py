"""The rules of alerts, as Alertmanager has them: identity, merge, grouping clock, deduplication. All pure."""
