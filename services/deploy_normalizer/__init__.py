"""Deploys, normalized: what changed, where and when, whichever system rolled it out.

Reads: GitHub webhooks (`deployment`, `deployment_status`, `workflow_run`, `ping`) and Argo CD notifications over HTTP.
Writes: `deploys.events` (DeployChanged) through the outbox.
Owns: PostgreSQL schema `deploy`; answers gRPC look-ups (DeployService).
"""
