"""Tasks and action items: made, changed, done, and reported when they are late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from services.incident_service.domain.lifecycle import SOURCE
from services.incident_service.domain.model import Change, Decision, Entry, EntryKind, Incident, Reason, refuse
from services.incident_service.domain.records import Due, DueKind, Task, TaskKind, TaskStatus

MOST_TASKS = 500  # of one incident
ACTOR = "incident_service"
_NAMES = {TaskKind.TASK: "Task", TaskKind.ACTION_ITEM: "Action item"}


def create_task(incident: Incident, task: Task, existing: int) -> Decision:
    """Make a task, whatever the status of the incident; `existing` is how many there are."""
    if existing >= MOST_TASKS:
        return refuse(incident, Reason.TOO_MANY, f"an incident has at most {MOST_TASKS} tasks")
    who = f" for {task.owner}" if task.owner else ""
    entry = _entry(task.created_at, task.created_by, f"{_NAMES[task.kind]}{who}: {task.title}{_by(task)}")
    return Decision(Reason.TASK_CREATED, incident, (entry,), Change.UPDATED, records=(task, _due(task)))


def update_task(
    incident: Incident, task: Task, values: Mapping[str, Any], actor: str, expected_version: int | None, now: datetime
) -> Decision:
    """Change a task's fields; refused when nothing differs or the task has another version."""
    if expected_version is not None and expected_version != task.version:
        message = f"the task has version {task.version}, not {expected_version}: read it again"
        return refuse(incident, Reason.STALE_VERSION, message)
    differing = {name: value for name, value in values.items() if getattr(task, name) != value}
    if not differing:
        return refuse(incident, Reason.NOTHING_CHANGED, "the task has these values already")
    changed = replace(task, **differing, version=task.version + 1)
    if "status" in differing:
        changed = replace(changed, finished_at=None if changed.status is TaskStatus.OPEN else now)
    entry = _entry(now, actor, _told(task, changed, actor))
    return Decision(Reason.TASK_CHANGED, incident, (entry,), Change.UPDATED, records=(changed, _due(changed)))


def report_task(incident: Incident, task: Task | None, now: datetime) -> Decision:
    """Report a task whose time has passed; nothing when it was done or put off meanwhile."""
    if task is None or not task.late(now):
        return Decision(Reason.NOT_OVERDUE, incident)
    who = f", for {task.owner}," if task.owner else ""
    entry = _entry(now, ACTOR, f"Overdue: {_NAMES[task.kind].lower()}{who} {task.title}{_by(task)}")
    return Decision(Reason.TASK_OVERDUE, incident, (entry,), Change.TASK_OVERDUE, records=(task,))


def _due(task: Task) -> Due:
    return Due(DueKind.TASK, task.id, task.due_at if task.status is TaskStatus.OPEN else None)


def _by(task: Task) -> str:
    return f", due {task.due_at.astimezone(UTC):%Y-%m-%d %H:%M UTC}" if task.due_at else ""


def _told(before: Task, after: Task, actor: str) -> str:
    name = _NAMES[after.kind]
    if after.status is not before.status:
        verb = {TaskStatus.DONE: "done", TaskStatus.CANCELLED: "given up", TaskStatus.OPEN: "open again"}
        return f"{name} {verb[after.status]}: {after.title} (by {actor})"
    if after.owner != before.owner:
        return f"{name} of {after.owner or 'nobody'} now: {after.title} (by {actor})"
    return f"{name} changed: {after.title}{_by(after)} (by {actor})"


def _entry(now: datetime, actor: str, text: str) -> Entry:
    return Entry(EntryKind.TASK, now, actor, SOURCE, text)
