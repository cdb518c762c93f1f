"""Deploys, normalized: what changed, where and when, whichever system rolled it out.

Reads: webhooks over HTTP, of GitHub (`deployment`, `deployment_status`, `workflow_run`, `push`, `release`,
`check_suite`, `ping`), GitLab (`deployment`, `pipeline`), Argo CD notifications and any sender of the generic JSON; a
file of rules from repository, application, environment and paths to services; its own `deploys.events`, for streams.
Writes: `deploys.events` (DeployChanged) through the outbox.
Owns: PostgreSQL schema `deploy`; answers gRPC look-ups and streams (DeployService).
"""
