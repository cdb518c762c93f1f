"""Tasks and postmortems: written, finished, and reported when they are late."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.incident_service.domain import postmortems, tasks
from services.incident_service.domain.model import (
    Change,
    Decision,
    Entry,
    EntryKind,
    Incident,
    Reason,
    Severity,
    Status,
)
from services.incident_service.domain.postmortems import Material
from services.incident_service.domain.records import (
    Due,
    DueKind,
    Postmortem,
    PostmortemStatus,
    Task,
    TaskKind,
    TaskStatus,
)

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=90)
OPEN = Incident("i1", "t", "checkout is down", Status.OPEN, Severity.MAJOR, ("checkout",), "", NOW, NOW)
DUE = NOW + timedelta(hours=72)
ENDED = replace(
    OPEN, status=Status.RESOLVED, resolved_at=LATER, resolved_by="bob", postmortem_due_at=DUE, version=3
)  # fmt: skip
TASK = Task("t1", "i1", TaskKind.ACTION_ITEM, "add an alert", "ann", LATER, "bob", NOW)
DRAFT = Postmortem("i1", "It broke.", "a deploy", "many", "a rollback", "", NOW, "ann", NOW)


def written(decision: Decision) -> Postmortem:
    (found,) = [r for r in decision.records if isinstance(r, Postmortem)]
    return found


def test_a_task_is_made_and_put_on_the_list_of_what_falls_due() -> None:
    decision = tasks.create_task(ENDED, TASK, 0)
    assert decision.records == (TASK, Due(DueKind.TASK, "t1", LATER))
    assert [e.text for e in decision.entries] == ["Action item for ann: add an alert, due 2026-03-01 04:30 UTC"]
    assert tasks.create_task(OPEN, TASK, tasks.MOST_TASKS).reason is Reason.TOO_MANY


def test_a_done_task_is_dated_and_leaves_the_list() -> None:
    decision = tasks.update_task(OPEN, TASK, {"status": TaskStatus.DONE}, "ann", 1, LATER)
    done = replace(TASK, status=TaskStatus.DONE, finished_at=LATER, version=2)
    assert decision.records == (done, Due(DueKind.TASK, "t1", None))
    again = tasks.update_task(OPEN, done, {"status": TaskStatus.OPEN}, "ann", None, LATER)
    assert again.records == (replace(TASK, version=3), Due(DueKind.TASK, "t1", LATER))


def test_a_stale_or_empty_change_of_a_task_is_refused() -> None:
    stale = tasks.update_task(OPEN, TASK, {"owner": "cyd"}, "ann", 2, LATER)
    assert (stale.reason, stale.message) == (
        Reason.STALE_VERSION,
        "the task has version 1, not 2: read it again",
    )
    assert tasks.update_task(OPEN, TASK, {"owner": "ann"}, "ann", None, LATER).reason is Reason.NOTHING_CHANGED


@pytest.mark.parametrize(
    ("task", "now", "change"),
    [
        (TASK, LATER, Change.TASK_OVERDUE),
        (TASK, NOW, None),
        (replace(TASK, due_at=None), LATER, None),
        (replace(TASK, status=TaskStatus.DONE, finished_at=NOW), LATER, None),
        (None, LATER, None),
    ],
)
def test_only_a_late_and_open_task_is_reported(task: Task | None, now: datetime, change: Change | None) -> None:
    assert tasks.report_task(OPEN, task, now).change is change


def entry(kind: EntryKind, text: str) -> Entry:
    return Entry(kind, NOW, "ann", "grpc", text)


def test_a_draft_takes_the_cause_that_people_named_before_what_the_analysis_says() -> None:
    timeline = [
        entry(EntryKind.HYPOTHESIS, "Cause confirmed by ann: hypothesis 1 of analysis 2, payments: a deploy"),
        Entry(EntryKind.HYPOTHESIS, NOW, "correlation_engine", "correlation.hypotheses", "Likely cause: cart"),
        entry(EntryKind.HYPOTHESIS, "Rejected by bob: hypothesis 1 of analysis 3, cart, is not the cause"),
    ]
    drafted = written(postmortems.draft(ENDED, None, Material(timeline, []), "ann", LATER))
    assert drafted.cause == "Cause confirmed by ann: hypothesis 1 of analysis 2, payments: a deploy"
    only_analysis = written(postmortems.draft(ENDED, None, Material(timeline[1:], []), "ann", LATER))
    assert only_analysis.cause == "Likely cause: cart"


def test_a_draft_tells_what_the_timeline_knows() -> None:
    timeline = [
        entry(EntryKind.STATE_CHANGE, "Opened by ann"),
        entry(EntryKind.LINK, "Link: dashboard"),
        entry(EntryKind.HYPOTHESIS, "Not enough evidence"),
        entry(EntryKind.HYPOTHESIS, "Likely cause: payments"),
        entry(EntryKind.STATE_CHANGE, "Mitigated by ann: rolled\nback"),
        entry(EntryKind.STATE_CHANGE, "Resolved by bob"),
    ]
    gone = replace(TASK, id="t2", title="nothing", status=TaskStatus.CANCELLED)
    drafted = written(postmortems.draft(ENDED, None, Material(timeline, [TASK, gone]), "ann", LATER))
    assert drafted.what_happened.splitlines()[0] == "2026-03-01 03:00:00 UTC: Opened by ann"
    assert "dashboard" not in drafted.what_happened
    assert drafted.cause == "Likely cause: payments"
    lasted = "Alerts fired from 2026-03-01 03:00 UTC; it lasted 1 h 30 min."
    assert drafted.impact == f"Severity: major.\nServices: checkout.\n{lasted}"
    assert drafted.mitigations == "Mitigated by ann: rolled back\nResolved by bob"
    assert drafted.follow_ups == "add an alert (ann)"


def test_a_long_timeline_is_cut_and_says_so() -> None:
    timeline = [entry(EntryKind.NOTE, "x" * 1000)] * (postmortems.TOLD + 7)
    drafted = written(postmortems.draft(OPEN, None, Material(timeline, []), "ann", LATER))
    assert drafted.what_happened.endswith("(and 7 more on the timeline)")
    assert len(drafted.what_happened) < postmortems.SECTION_CHARS * 2


def test_there_is_one_postmortem() -> None:
    assert postmortems.draft(ENDED, DRAFT, Material([], []), "ann", LATER).reason is Reason.POSTMORTEM_EXISTS


def test_a_complete_draft_of_a_resolved_incident_is_published_once() -> None:
    decision = postmortems.publish(ENDED, DRAFT, "ann", 1, LATER)
    published = written(decision)
    assert (published.status, published.published_at, published.version) == (PostmortemStatus.PUBLISHED, LATER, 2)
    assert (decision.change, decision.records[1]) == (
        Change.POSTMORTEM_PUBLISHED,
        Due(DueKind.POSTMORTEM, "i1", None),
    )
    assert postmortems.publish(ENDED, published, "ann", None, LATER).reason is Reason.POSTMORTEM_NOT_DRAFT
    assert postmortems.edit(ENDED, published, {"cause": "x"}, "ann", None, LATER).reason is Reason.POSTMORTEM_NOT_DRAFT
    assert written(postmortems.archive(ENDED, published, "ann", LATER)).status is PostmortemStatus.ARCHIVED


@pytest.mark.parametrize(
    ("incident", "draft", "version", "reason"),
    [
        (OPEN, DRAFT, None, Reason.NOT_RESOLVED),
        (ENDED, replace(DRAFT, cause=" "), None, Reason.POSTMORTEM_INCOMPLETE),
        (ENDED, DRAFT, 5, Reason.STALE_VERSION),
    ],
)
def test_what_cannot_be_published_says_why(
    incident: Incident, draft: Postmortem, version: int | None, reason: Reason
) -> None:
    assert postmortems.publish(incident, draft, "ann", version, LATER).reason is reason


def test_only_a_published_postmortem_is_archived() -> None:
    assert postmortems.archive(ENDED, DRAFT, "ann", LATER).reason is Reason.POSTMORTEM_NOT_PUBLISHED


@pytest.mark.parametrize(
    ("incident", "postmortem", "now", "change"),
    [
        (ENDED, None, DUE, Change.POSTMORTEM_OVERDUE),
        (ENDED, DRAFT, DUE, Change.POSTMORTEM_OVERDUE),
        (ENDED, None, NOW, None),
        (ENDED, replace(DRAFT, status=PostmortemStatus.PUBLISHED), DUE, None),
        (replace(ENDED, severity=Severity.MINOR), None, DUE, None),
        (replace(ENDED, severity=Severity.MINOR), DRAFT, DUE, Change.POSTMORTEM_OVERDUE),
        (OPEN, None, DUE, None),
    ],
)
def test_a_late_postmortem_is_reported_where_one_is_owed(
    incident: Incident, postmortem: Postmortem | None, now: datetime, change: Change | None
) -> None:
    assert postmortems.report_postmortem(incident, postmortem, now).change is change
