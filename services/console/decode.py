"""Contract messages -> what pages are made of."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.alert.v1 import alert_pb2
from incidentscope.correlation.v1 import correlation_events_pb2 as correlation_events
from incidentscope.correlation.v1 import correlation_pb2 as correlation
from incidentscope.deploy.v1 import deploy_pb2
from incidentscope.incident.v1 import communication_pb2, incident_pb2, incident_service_pb2, response_pb2

from services.console.domain import causes, models

_STATUS = {
    incident_pb2.INCIDENT_STATUS_OPEN: models.Status.OPEN,
    incident_pb2.INCIDENT_STATUS_ACKNOWLEDGED: models.Status.ACKNOWLEDGED,
    incident_pb2.INCIDENT_STATUS_MITIGATED: models.Status.MITIGATED,
    incident_pb2.INCIDENT_STATUS_RESOLVED: models.Status.RESOLVED,
    incident_pb2.INCIDENT_STATUS_CLOSED: models.Status.CLOSED,
}
_SEVERITY = {
    incident_pb2.INCIDENT_SEVERITY_MINOR: models.Severity.MINOR,
    incident_pb2.INCIDENT_SEVERITY_MAJOR: models.Severity.MAJOR,
    incident_pb2.INCIDENT_SEVERITY_CRITICAL: models.Severity.CRITICAL,
}
_CAUSES = {
    correlation.CAUSE_KIND_DEPLOY: "bad deploy",
    correlation.CAUSE_KIND_SLOW_DEPENDENCY: "slow dependency",
    correlation.CAUSE_KIND_DEAD_DEPENDENCY: "dead dependency",
    correlation.CAUSE_KIND_RESOURCE_SATURATION: "resource exhausted",
    correlation.CAUSE_KIND_SERVICE_FAULT: "service fault",
    correlation.CAUSE_KIND_UNCLEAR: "unclear",
}
SECTIONS = ("what_happened", "cause", "impact", "mitigations", "follow_ups")


def instant(stamp: Timestamp) -> datetime:
    """Return a timestamp as an instant in UTC."""
    return stamp.ToDatetime(tzinfo=UTC)


def timestamp(at: datetime) -> Timestamp:
    """Return an instant as a protobuf timestamp."""
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def incident(message: incident_pb2.Incident) -> models.Incident:
    """Return an incident; without a start of its alerts it began when it was opened."""
    opened = instant(message.opened_at)
    return models.Incident(
        id=message.id,
        title=message.title,
        status=_STATUS.get(message.status, models.Status.UNKNOWN),
        severity=_SEVERITY.get(message.severity, models.Severity.UNKNOWN),
        services=tuple(message.services),
        started_at=instant(message.started_at) if message.HasField("started_at") else opened,
        opened_at=opened,
        version=message.version,
        acknowledged_at=_when(message, "acknowledged_at"),
        acknowledged_by=message.acknowledged_by,
        resolved_at=_when(message, "resolved_at"),
        resolved_by=message.resolved_by,
        priority=incident_pb2.IncidentPriority.Name(message.priority)[-2:] if 0 < message.priority <= 5 else "",
        summary=message.summary,
        bridge_url=message.bridge_url,
        commander=message.commander,
        scribe=message.scribe,
        communications=message.communications,
        mitigated_at=_when(message, "mitigated_at"),
        mitigated_by=message.mitigated_by,
        closed_by=message.closed_by,
        merged_into=message.merged_into,
        public=message.public,
        public_title=message.public_title,
        postmortem_due_at=_when(message, "postmortem_due_at"),
        no_data_since=_when(message, "no_data_since"),
        updated_at=_when(message, "updated_at"),
    )


def status_number(word: str) -> incident_pb2.IncidentStatus.ValueType:
    """Return the contract's number of a status, such as `open`."""
    return incident_pb2.IncidentStatus.Value(f"INCIDENT_STATUS_{word.upper()}")


def severity_number(word: str) -> incident_pb2.IncidentSeverity.ValueType:
    """Return the contract's number of a severity, such as `major`."""
    return incident_pb2.IncidentSeverity.Value(f"INCIDENT_SEVERITY_{word.upper()}")


def sort_number(word: str) -> incident_service_pb2.IncidentSort.ValueType:
    """Return the contract's number of what a list is sorted by, such as `opened`."""
    return incident_service_pb2.IncidentSort.Value(f"INCIDENT_SORT_{word.upper()}")


def _when(message: Message, field: str) -> datetime | None:
    return instant(getattr(message, field)) if message.HasField(field) else None


def alert(message: incident_pb2.IncidentAlert) -> models.Alert:
    """Return an alert in its own words."""
    return models.Alert(
        name=message.name,
        service=message.service,
        severity=_SEVERITY.get(message.severity, models.Severity.UNKNOWN),
        state=_words(alert_pb2.AlertStatus.Name(message.status), "ALERT_STATUS_"),
        starts_at=instant(message.starts_at),
        ended_at=_when(message, "ended_at"),
        no_data_since=_when(message, "no_data_since"),
        labels=dict(sorted(message.labels.items())),
        annotations=dict(sorted(message.annotations.items())),
        generator_url=message.generator_url,
        runbook_url=message.runbook_url,
        dashboard_url=message.dashboard_url,
    )


def task(message: response_pb2.Task) -> models.Task:
    """Return a task."""
    return models.Task(
        id=message.id,
        kind=_words(response_pb2.TaskKind.Name(message.kind), "TASK_KIND_"),
        title=message.title,
        owner=message.owner,
        status=_words(response_pb2.TaskStatus.Name(message.status), "TASK_STATUS_"),
        version=message.version,
        due_at=_when(message, "due_at"),
    )


def link(message: response_pb2.Link) -> models.Link:
    """Return a link."""
    return models.Link(message.title, message.url)


def postmortem(message: response_pb2.Postmortem) -> models.Postmortem:
    """Return a postmortem."""
    return models.Postmortem(
        status=_words(response_pb2.PostmortemStatus.Name(message.status), "POSTMORTEM_STATUS_"),
        sections={name: getattr(message, name) for name in SECTIONS},
        version=message.version,
        updated_by=message.updated_by,
        updated_at=instant(message.updated_at),
        due_at=_when(message, "due_at"),
        published_at=_when(message, "published_at"),
    )


def public_incident(message: communication_pb2.PublicIncident) -> models.PublicIncident:
    """Return an incident as the status page shows it."""
    updates = (
        models.PublicUpdate(u.id, _public(u.status), u.message, instant(u.posted_at)) for u in message.updates
    )  # fmt: skip
    return models.PublicIncident(
        incident(message.incident), _public(message.status), tuple(updates), instant(message.updated_at)
    )


def _public(number: communication_pb2.PublicStatus.ValueType) -> str:
    return _words(communication_pb2.PublicStatus.Name(number), "PUBLIC_STATUS_")


def timeline_entry(message: incident_pb2.TimelineEntry) -> models.TimelineEntry:
    """Return a timeline entry."""
    name = incident_pb2.TimelineKind.Name(message.kind) if message.kind in _TIMELINE_KINDS else ""
    return models.TimelineEntry(
        kind=_words(name, "TIMELINE_KIND_"),
        occurred_at=instant(message.occurred_at),
        actor=message.actor,
        source=message.source,
        text=message.text,
        url=message.url,
    )


_TIMELINE_KINDS = frozenset(incident_pb2.TimelineKind.values())
_EVIDENCE_KINDS = {
    correlation.EVIDENCE_KIND_ERROR_ORIGIN: "fails by itself",
    correlation.EVIDENCE_KIND_SELF_LATENCY: "slow by itself",
    correlation.EVIDENCE_KIND_RESOURCE_SATURATION: "resource at its limit",
    correlation.EVIDENCE_KIND_UNHEALTHY_DEPENDENCY: "as callers see it",
    correlation.EVIDENCE_KIND_TRAFFIC_CHANGE: "traffic",
    correlation.EVIDENCE_KIND_LOG_SIGNATURE: "log line",
    correlation.EVIDENCE_KIND_DEPLOY: "deploy",
    correlation.EVIDENCE_KIND_LOST_BEHAVIOUR: "work not done",
    correlation.EVIDENCE_KIND_NETWORK_GAP: "lost on the way",
}
_PARTS = {
    correlation.STORY_PART_CHANGE: "change",
    correlation.STORY_PART_FIRST_FAILURE: "first sign",
    correlation.STORY_PART_BLAST_RADIUS: "who suffers",
}
_VERDICTS = {
    correlation.FEEDBACK_VERDICT_CONFIRMED: "confirmed",
    correlation.FEEDBACK_VERDICT_REJECTED: "rejected",
    correlation.FEEDBACK_VERDICT_REAL_CAUSE: "real cause",
}
_STANDINGS = {
    correlation.CAUSE_STANDING_SUSPECTED: "suspected",
    correlation.CAUSE_STANDING_CONFIRMED: "confirmed",
    correlation.CAUSE_STANDING_REJECTED: "rejected",
}
_DEPLOY_STATUSES = frozenset(deploy_pb2.DeployStatus.values())
_KINDS = {
    deploy_pb2.CHANGE_KIND_CODE_CHANGE: "code change",
    deploy_pb2.CHANGE_KIND_RELEASE: "release",
    deploy_pb2.CHANGE_KIND_CI_OUTCOME: "CI",
    deploy_pb2.CHANGE_KIND_CONFIGURATION: "configuration",
    deploy_pb2.CHANGE_KIND_PREVIEW: "preview",
}
_MOVEMENTS = {
    deploy_pb2.DEPLOY_MOVEMENT_NEW: "new",
    deploy_pb2.DEPLOY_MOVEMENT_REDEPLOY: "redeploy",
    deploy_pb2.DEPLOY_MOVEMENT_ROLLBACK: "rollback",
    deploy_pb2.DEPLOY_MOVEMENT_PROMOTION: "promotion",
}
_PROVIDERS = frozenset(deploy_pb2.Provider.values())


def analysis(message: correlation_events.HypothesesPublished) -> models.Analysis:
    """Return an analysis with its hypotheses by rank."""
    ranked = sorted(message.hypotheses, key=lambda h: h.rank)
    return models.Analysis(
        version=message.version,
        named=message.verdict == correlation.VERDICT_CAUSE_NAMED,
        reason=message.reason,
        hypotheses=tuple(_hypothesis(h) for h in ranked),
        analysed_at=instant(message.analysed_at) if message.HasField("analysed_at") else None,
        onset=instant(message.onset_at) if message.HasField("onset_at") else None,
        change=message.change_statement,
    )


def _hypothesis(message: correlation.Hypothesis) -> models.Hypothesis:
    return models.Hypothesis(
        rank=message.rank,
        service=message.service,
        cause=_CAUSES.get(message.cause_kind, "unknown kind"),
        statement=message.statement,
        confidence=message.confidence,
        evidence=tuple(_evidence(e) for e in message.evidence),
        chain=tuple(message.chain),
        impacted=tuple(message.impacted_services),
        deploy_id=message.deploy_id,
        story=tuple(_step(step) for step in message.story),
        checks=tuple(_check(check) for check in message.checks),
    )


def _step(message: correlation.StoryStep) -> causes.StoryStep:
    return causes.StoryStep(
        _PARTS.get(message.part, ""), message.service, message.statement, _when(message, "at"), message.url,
        message.at_to_the_minute,
    )  # fmt: skip


def _check(message: correlation.Check) -> causes.Check:
    return causes.Check(
        kind=_evidence_kind(message.kind),
        service=message.service,
        look_at=message.look_at,
        confirms=message.confirms,
        refutes=message.refutes,
        url=message.url,
        query=message.query,
    )


def analysis_version(message: correlation.AnalysisVersion) -> causes.AnalysisVersion:
    """Return one publication of the history."""
    return causes.AnalysisVersion(
        version=message.version,
        named=message.verdict == correlation.VERDICT_CAUSE_NAMED,
        change=message.change_statement,
        service=message.service,
        confidence=message.confidence,
        statement=message.statement,
        analysed_at=_when(message, "analysed_at"),
    )


def feedback(message: correlation.Feedback) -> causes.Feedback:
    """Return what a person found."""
    return causes.Feedback(
        verdict=_VERDICTS.get(message.verdict, "unknown"),
        service=message.service,
        cause=_CAUSES.get(message.cause_kind, "unknown kind"),
        rank=message.rank,
        analysis_version=message.analysis_version,
        real_service=message.real_service,
        real_cause=message.real_cause,
        note=message.note,
        actor=message.actor,
        given_at=instant(message.given_at),
    )


def similar_incident(message: correlation.SimilarIncident) -> causes.SimilarIncident:
    """Return a past incident that resembles another."""
    return causes.SimilarIncident(
        id=message.incident_id,
        title=message.title,
        similarity=message.similarity,
        reasons=tuple(message.reasons),
        cause_service=message.cause_service,
        cause=message.cause,
        standing=_STANDINGS.get(message.standing, "unknown"),
        judged_by=message.judged_by,
        resolution=message.resolution,
        opened_at=instant(message.opened_at),
        resolved_at=_when(message, "resolved_at"),
    )


def _evidence(message: correlation.Evidence) -> models.Evidence:
    return models.Evidence(
        kind=_evidence_kind(message.kind),
        service=message.service,
        statement=message.statement,
        observed=message.observed,
        baseline=message.baseline,
        unit=message.unit,
        strength=message.strength,
        start=instant(message.start_time) if message.HasField("start_time") else None,
        end=instant(message.end_time) if message.HasField("end_time") else None,
        url=message.url,
    )


def _evidence_kind(number: correlation.EvidenceKind.ValueType) -> str:
    return _EVIDENCE_KINDS.get(number, "")


def deploy(message: deploy_pb2.Deploy) -> models.Deploy:
    """Return a deploy."""
    status = deploy_pb2.DeployStatus.Name(message.status) if message.status in _DEPLOY_STATUSES else ""
    provider = deploy_pb2.Provider.Name(message.provider) if message.provider in _PROVIDERS else ""
    return models.Deploy(
        id=message.id,
        service=message.service,
        environment=message.environment,
        version=message.version,
        revision=message.revision,
        status=_words(status, "DEPLOY_STATUS_"),
        provider=_words(provider, "PROVIDER_"),
        repository=message.repository,
        actor=message.actor,
        url=message.url,
        description=message.description,
        started_at=instant(message.started_at if message.HasField("started_at") else message.updated_at),
        finished_at=instant(message.finished_at) if message.HasField("finished_at") else None,
        kind=_KINDS.get(message.kind, "deploy"),
        movement=_MOVEMENTS.get(message.movement, ""),
    )


def _words(name: str, prefix: str) -> str:
    """Return an enum value's name as words; unset and unknown ones are `unknown`."""
    words = name.removeprefix(prefix).replace("_", " ").lower()
    return "unknown" if words in ("", "unspecified") else words
