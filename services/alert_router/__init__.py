"""Turns alerts of many kinds into one, groups them, and tells the groups that need telling.

Reads: Alertmanager webhooks and API v2 pushes over HTTP; topic `alerts.events`.
Writes: `alerts.events` (alerts as received), `alerts.notifications` (flushed groups, through the outbox).
Owns: Postgres schema `alert`: alerts, groups, notification log.
"""
