"""The whole life of an incident over real gRPC, Postgres and Kafka: roles, tasks, postmortem, updates, watches."""

from __future__ import annotations

import functools
import queue
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from incidentscope.alert.v1 import alert_events_pb2 as flush
from incidentscope.incident.v1 import communication_pb2 as outside
from incidentscope.incident.v1 import incident_pb2 as pb
from incidentscope.incident.v1 import incident_service_pb2 as rpc
from incidentscope.incident.v1 import response_pb2 as work

from libs.messaging.cloudevents import decode
from libs.storage.migrate import migrate_postgres
from tests.integration.incident_requests import good, mask
from tests.integration.incident_world import (
    ROOT,
    IncidentWorld,
    alert,
    analysis,
    as_tenant,
    eventually,
    group,
    incident_service,
    instant,
)

DEFAULT = as_tenant("default")


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IncidentWorld]:
    migrate_postgres(stack.postgres_url, ROOT / "infra/postgres")
    folder = tmp_path_factory.mktemp("incident_service")
    with incident_service(stack.postgres_url, stack.kafka_bootstrap, folder, OVERDUE_SWEEP_SECONDS="0.5") as running:
        yield running


def ask(world: IncidentWorld, method: str, incident_id: str = "", key: str = "", **fields: Any) -> Any:
    """Call an rpc with a good request, changed in some fields."""
    metadata = (*DEFAULT, *((("idempotency-key", key),) if key else ()))
    return getattr(world.stub, method)(good(method, incident_id, **fields), metadata=metadata, timeout=15)


def opened(world: IncidentWorld, title: str = "checkout is down") -> pb.Incident:
    incident: pb.Incident = ask(
        world, "OpenIncident", title=title, severity=pb.INCIDENT_SEVERITY_MAJOR, services=["checkout"]
    ).incident
    return incident


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, str(caught.value.details())


def told(world: IncidentWorld, incident_id: str, count: int) -> list[str]:
    """Return the types of the events of an incident, in order."""
    key = incident_id.encode()
    messages = world.events_of("incidents.events", lambda m: m.key() == key, count)
    return [type(decode(m.headers(), m.value()).data).__name__ for m in messages]


def test_an_incident_goes_from_opening_to_its_archived_postmortem(world: IncidentWorld) -> None:
    incident = opened(world)
    one = incident.id
    ask(world, "AcknowledgeIncident", one, expected_version=1)
    led = ask(world, "AssignRole", one, person="ann").incident
    ask(world, "AssignRole", one, person="bob")
    ask(world, "MitigateIncident", one, mitigation="rolled back")
    assert refusal(lambda: ask(world, "PublishPostmortem", one))[0] == "NOT_FOUND"
    ask(world, "ResolveIncident", one, resolution="deploy fixed")
    drafted = ask(world, "DraftPostmortem", one).postmortem
    assert "Mitigated by eve: rolled back" in drafted.mitigations
    assert "Opened by eve" in drafted.what_happened
    assert "Services: checkout." in drafted.impact
    code, says = refusal(lambda: ask(world, "PublishPostmortem", one))
    assert (code, says) == ("FAILED_PRECONDITION", "these sections are empty: cause")
    assert refusal(lambda: ask(world, "DraftPostmortem", one))[0] == "ALREADY_EXISTS"
    edited = ask(world, "UpdatePostmortem", one, expected_version=drafted.version).postmortem
    stale = refusal(lambda: ask(world, "UpdatePostmortem", one, expected_version=drafted.version))
    assert stale == ("ABORTED", "the postmortem has version 2, not 1: read it again")
    published = ask(world, "PublishPostmortem", one, expected_version=edited.version).postmortem
    assert published.due_at.ToDatetime(UTC) - published.drafted_at.ToDatetime(UTC) > timedelta(hours=71)
    assert refusal(lambda: ask(world, "UpdatePostmortem", one))[0] == "FAILED_PRECONDITION"
    ask(world, "CloseIncident", one)
    archived = ask(world, "ArchivePostmortem", one).postmortem
    assert archived == ask(world, "GetPostmortem", one).postmortem
    assert led.commander == "ann"
    roles = ask(world, "ListRoleAssignments", one).assignments
    assert [(r.person, r.HasField("renounced_at")) for r in roles] == [("ann", True), ("bob", False)]
    kinds = [pb.TimelineKind.Name(e.kind).removeprefix("TIMELINE_KIND_") for e in world.timeline("default", one)]
    assert kinds == [
        "STATE_CHANGE", "ACKNOWLEDGEMENT", "ROLE", "ROLE", "STATE_CHANGE", "STATE_CHANGE", "POSTMORTEM", "POSTMORTEM",
        "POSTMORTEM", "STATE_CHANGE", "POSTMORTEM",
    ]  # fmt: skip
    assert told(world, one, 11) == [
        "IncidentOpened", "IncidentAcknowledged", "IncidentUpdated", "IncidentUpdated", "IncidentMitigated",
        "IncidentResolved", "IncidentUpdated", "IncidentUpdated", "PostmortemPublished", "IncidentClosed",
        "IncidentUpdated",
    ]  # fmt: skip


def test_masks_say_what_is_written_and_what_is_read(world: IncidentWorld) -> None:
    incident = opened(world)
    wanted = pb.Incident(
        title="ignored", priority=pb.INCIDENT_PRIORITY_P1, services=["a", "b"], bridge_url="https://call.example/1"
    )
    paths = mask("priority", "services", "bridge_url")
    changed = ask(world, "UpdateIncident", incident.id, incident=wanted, update_mask=paths).incident
    assert (changed.title, changed.priority, list(changed.services)) == (incident.title, 1, ["a", "b"])
    read = ask(world, "GetIncident", incident.id, read_mask=mask("priority", "services")).incident
    assert read == pb.Incident(priority=pb.INCIDENT_PRIORITY_P1, services=["a", "b"])
    again = refusal(lambda: ask(world, "UpdateIncident", incident.id, incident=wanted, update_mask=paths))
    assert again == ("FAILED_PRECONDITION", "the incident has these values already")


def test_a_write_with_a_key_happens_once_and_is_answered_the_same(world: IncidentWorld) -> None:
    key = uuid.uuid4().hex
    first = ask(world, "OpenIncident", key=key, title="once")
    assert ask(world, "OpenIncident", key=key, title="once") == first
    note = uuid.uuid4().hex
    entries = {ask(world, "AddNote", first.incident.id, key=note).entry.id for _ in range(3)}
    assert len(entries) == 1
    assert len(world.timeline("default", first.incident.id)) == 2
    code, says = refusal(lambda: ask(world, "OpenIncident", key=key, title="twice"))
    assert (code, "came with another request" in says) == ("INVALID_ARGUMENT", True)
    assert refusal(lambda: ask(world, "OpenIncident", key="k" * 256))[0] == "INVALID_ARGUMENT"
    with psycopg.connect(world.postgres_url, options="-c search_path=incident") as conn:
        assert conn.execute("SELECT count(*) FROM incident WHERE title = 'once'").fetchone() == (1,)


def test_a_refused_write_does_not_use_up_its_key(world: IncidentWorld) -> None:
    incident, key = opened(world), uuid.uuid4().hex
    assert refusal(lambda: ask(world, "CloseIncident", incident.id, key=key))[0] == "FAILED_PRECONDITION"
    ask(world, "ResolveIncident", incident.id)
    assert ask(world, "CloseIncident", incident.id, key=key).incident.status == pb.INCIDENT_STATUS_CLOSED


def test_calls_at_once_with_one_key_write_once(world: IncidentWorld) -> None:
    incident, key = opened(world), uuid.uuid4().hex
    calls = [
        world.stub.AddNote.future(
            good("AddNote", incident.id), metadata=(*DEFAULT, ("idempotency-key", key)), timeout=15
        )
        for _ in range(6)
    ]
    assert len({call.result().entry.id for call in calls}) == 1


def test_tasks_are_followed_until_done_and_told_when_late(world: IncidentWorld) -> None:
    incident = opened(world)
    soon = instant(datetime.now(UTC) + timedelta(seconds=1))
    late = ask(
        world,
        "CreateTask",
        incident.id,
        title="add an alert",
        kind=work.TASK_KIND_ACTION_ITEM,
        owner="ann",
        due_at=soon,
    ).task
    other = ask(world, "CreateTask", incident.id, title="look at logs", due_at=soon).task
    done = work.Task(status=work.TASK_STATUS_DONE)
    ask(world, "UpdateTask", incident.id, task_id=other.id, task=done, update_mask=mask("status"), expected_version=1)
    entries = eventually(
        lambda: [e.text for e in world.timeline("default", incident.id) if e.text.startswith("Overdue")], bool
    )
    assert len(entries) == 1
    assert "Overdue: action item, for ann, add an alert" in entries[0]
    overdue = world.stub.ListTasks(rpc.ListTasksRequest(overdue=True, page_size=500), metadata=DEFAULT, timeout=10)
    assert [t.id for t in overdue.tasks if t.incident_id == incident.id] == [late.id]
    assert told(world, incident.id, 5).count("TaskOverdue") == 1
    stale = refusal(lambda: ask(world, "UpdateTask", incident.id, task_id=other.id, expected_version=1))
    assert stale == ("ABORTED", "the task has version 2, not 1: read it again")


def test_a_postmortem_that_is_late_is_told_once(world: IncidentWorld) -> None:
    incident = opened(world)
    ask(world, "ResolveIncident", incident.id)
    with psycopg.connect(world.postgres_url, options="-c search_path=incident") as conn:
        past = datetime.now(UTC) - timedelta(hours=1)
        conn.execute("UPDATE incident SET postmortem_due_at = %s WHERE id = %s", (past, incident.id))
        conn.execute("UPDATE due SET due_at = %s WHERE subject = %s", (past, incident.id))
    assert told(world, incident.id, 3) == ["IncidentOpened", "IncidentResolved", "PostmortemOverdue"]


def test_a_merged_incidents_alerts_go_on_in_the_other_and_end_it_together(world: IncidentWorld) -> None:
    keys = [f"g-{uuid.uuid4().hex}" for _ in range(2)]
    for key, service in zip(keys, ("a", "b"), strict=True):
        world.publish_group(group(key, [alert("Down", service)], flush.FLUSH_REASON_FIRST_NOTIFICATION))
    first, second = [eventually(lambda k=key: world.of_group("default", k), bool)[0] for key in keys]  # type: ignore[misc]
    merged = ask(world, "MergeIncident", second.id, into_id=first.id)
    assert (merged.incident.merged_into, list(merged.into.services)) == (first.id, ["a", "b"])
    assert refusal(lambda: ask(world, "ReopenIncident", second.id))[0] == "FAILED_PRECONDITION"
    more = [alert("Down", "b"), alert("Slow", "c")]
    world.publish_group(group(keys[1], more, flush.FLUSH_REASON_NEW_ALERTS))
    grown = eventually(lambda: _incident(world, first.id), lambda i: len(i.services) == 3)
    assert list(grown.services) == ["a", "b", "c"]
    world.publish_group(group(keys[0], [alert("Down", "a", firing=False)], flush.FLUSH_REASON_ALL_RESOLVED))
    eventually(lambda: _incident(world, first.id).version, lambda version: version == grown.version + 1)
    assert _incident(world, first.id).status == pb.INCIDENT_STATUS_OPEN
    over = [alert("Down", "b", firing=False), alert("Slow", "c", firing=False)]
    world.publish_group(group(keys[1], over, flush.FLUSH_REASON_ALL_RESOLVED))
    eventually(lambda: _incident(world, first.id).status, lambda status: status == pb.INCIDENT_STATUS_RESOLVED)
    assert len(world.of_group("default", keys[1])) == 1


def _incident(world: IncidentWorld, incident_id: str) -> pb.Incident:
    found: pb.Incident = ask(world, "GetIncident", incident_id).incident
    return found


def test_merging_both_ways_at_once_leaves_one_open(world: IncidentWorld) -> None:
    for _ in range(5):
        one, two = opened(world), opened(world)
        calls = [
            world.stub.MergeIncident.future(good("MergeIncident", a.id, into_id=b.id), metadata=DEFAULT, timeout=15)
            for a, b in ((one, two), (two, one))
        ]
        assert sorted(call.code().name for call in calls) == ["FAILED_PRECONDITION", "OK"]


def test_an_incident_is_not_reopened_beside_another_of_its_alerts(world: IncidentWorld) -> None:
    key = f"g-{uuid.uuid4().hex}"
    world.publish_group(group(key, [alert("Down", "a")], flush.FLUSH_REASON_FIRST_NOTIFICATION))
    (first,) = eventually(lambda: world.of_group("default", key), bool)
    ask(world, "ResolveIncident", first.id)
    world.publish_group(group(key, [alert("Down", "a")], flush.FLUSH_REASON_REPEAT_INTERVAL))
    eventually(lambda: world.of_group("default", key), lambda found: len(found) == 2)
    code, says = refusal(lambda: ask(world, "ReopenIncident", first.id))
    assert (code, "of the same alerts is open" in says) == ("FAILED_PRECONDITION", True)


def test_messages_come_from_templates_that_tenants_can_change(world: IncidentWorld) -> None:
    incident = opened(world, "search & find")
    for channel in (outside.CHANNEL_SLACK, outside.CHANNEL_EMAIL, outside.CHANNEL_STATUS_PAGE):
        made = ask(world, "RenderMessage", incident.id, channel=channel, message="We know.").message
        assert "We know." in made.body
    email = ask(world, "RenderMessage", incident.id, channel=outside.CHANNEL_EMAIL).message
    assert email.subject == "[major] search & find: open"
    own = outside.MessageTemplate(channel=outside.CHANNEL_SLACK, body="{{ incident.title | upper }}")
    ask(world, "UpdateTemplate", template=own)
    assert ask(world, "RenderMessage", incident.id).message.body == "SEARCH & FIND"
    restored = ask(world, "UpdateTemplate", template=outside.MessageTemplate(channel=outside.CHANNEL_SLACK)).template
    assert "Open the incident" in restored.body
    assert [t.channel for t in ask(world, "ListTemplates").templates] == [1, 2, 3]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{{ ''.__class__.__mro__ }}", "not allowed"),
        ("{{ incident.__init__.__globals__ }}", "body"),
        ("{% for a in 'x' * 40000 %}xx{% endfor %}", "more than 40000 characters"),
        ("{{ 'x' * 4000000000 }}", "memory"),
        ("{{ 9 ** (9 ** 9) }}", "time|takes longer than"),
        ("{{ range(5) }}", "undefined"),
        ("{% include '/etc/passwd' %}", "body"),
        ("{{ incident.nothing }}", "nothing"),
    ],
)
def test_a_template_reaches_nothing_but_the_facts_and_is_bounded(world: IncidentWorld, body: str, says: str) -> None:
    incident = opened(world)
    trial = outside.MessageTemplate(body=body)
    code, details = refusal(lambda: ask(world, "RenderMessage", incident.id, template=trial))
    assert code == "INVALID_ARGUMENT"
    assert re.search(says, details)


def test_the_status_page_shows_what_was_made_public_and_only_that(world: IncidentWorld) -> None:
    hidden, shown = opened(world, "hidden"), opened(world, "db-7 melts")
    assert refusal(lambda: ask(world, "PostStatusUpdate", shown.id, public=True))[0] == "FAILED_PRECONDITION"
    wanted = pb.Incident(public=True, public_title="Slow checkout")
    ask(world, "UpdateIncident", shown.id, incident=wanted, update_mask=mask("public", "public_title"))
    ask(world, "PostStatusUpdate", shown.id, message="for insiders")
    ask(
        world, "PostStatusUpdate", shown.id, public=True, message="We found it.",
        status=outside.PUBLIC_STATUS_IDENTIFIED,
    )  # fmt: skip
    page = ask(world, "GetStatusPage").incidents
    (mine,) = [p for p in page if p.incident.id == shown.id]
    assert hidden.id not in {p.incident.id for p in page}
    assert (mine.incident.title, mine.status, [u.message for u in mine.updates]) == (
        "Slow checkout", outside.PUBLIC_STATUS_IDENTIFIED, ["We found it."],
    )  # fmt: skip
    assert len(ask(world, "ListStatusUpdates", shown.id).updates) == 2


class Watcher:
    """Reads a stream in a thread."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.heard: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for message in self.stream:
                self.heard.put(message)
        except grpc.RpcError as ended:
            self.heard.put(ended)

    def next(self) -> Any:
        """Return the next message, waiting for it."""
        return self.heard.get(timeout=15)


def test_a_watch_begins_with_the_state_and_tells_every_change_in_order(world: IncidentWorld) -> None:
    incident = opened(world)
    watcher = Watcher(world.stub.WatchIncident(rpc.WatchIncidentRequest(id=incident.id), metadata=DEFAULT, timeout=60))
    first = watcher.next()
    assert (first.incident, first.event) == (incident, "")
    opened(world)  # of no interest here
    ask(world, "AcknowledgeIncident", incident.id)
    ask(world, "AddNote", incident.id)
    ask(world, "ResolveIncident", incident.id)
    heard = [watcher.next() for _ in range(3)]
    assert [h.event for h in heard] == ["IncidentAcknowledged", "IncidentUpdated", "IncidentResolved"]
    assert [h.incident.version for h in heard] == [2, 2, 3]
    assert heard[1].entry.text == "hi"
    watcher.stream.cancel()


def test_the_list_is_watched_by_status_and_never_across_tenants(world: IncidentWorld) -> None:
    other = Watcher(
        world.stub.WatchIncidents(rpc.WatchIncidentsRequest(), metadata=as_tenant("quiet"), timeout=60)
    )  # fmt: skip
    only = rpc.WatchIncidentsRequest(statuses=[pb.INCIDENT_STATUS_MITIGATED])
    watcher = Watcher(world.stub.WatchIncidents(only, metadata=DEFAULT, timeout=60))
    incident = opened(world)
    eventually(lambda: _mitigated_when_heard(world, watcher), bool)
    assert other.heard.empty()
    for one in (watcher, other):
        one.stream.cancel()
    assert incident.id


def test_the_list_is_watched_by_service_and_severity(world: IncidentWorld) -> None:
    service = f"s-{uuid.uuid4().hex}"
    major, minor = pb.INCIDENT_SEVERITY_MAJOR, pb.INCIDENT_SEVERITY_MINOR
    wanted = rpc.WatchIncidentsRequest(services=[service], severities=[major])
    make = functools.partial(world.stub.OpenIncident, metadata=DEFAULT, timeout=10)
    there = make(rpc.OpenIncidentRequest(title="there", actor="ann", services=[service], severity=major)).incident
    watcher = Watcher(world.stub.WatchIncidents(wanted, metadata=DEFAULT, timeout=60))
    assert watcher.next().incident == there
    for severity, services in ((minor, [service]), (major, ["other"]), (major, [service, "other"])):
        make(rpc.OpenIncidentRequest(title=f"{severity} {services}", actor="ann", services=services, severity=severity))
    heard = watcher.next()
    assert (heard.event, list(heard.incident.services)) == ("IncidentOpened", [service, "other"])
    watcher.stream.cancel()


def _mitigated_when_heard(world: IncidentWorld, watcher: Watcher) -> bool:
    incident = opened(world)
    ask(world, "MitigateIncident", incident.id)
    message = watcher.next()
    return bool(message.event == "IncidentMitigated" and message.incident.status == pb.INCIDENT_STATUS_MITIGATED)


def test_many_watches_that_come_and_go_leave_nothing_behind(world: IncidentWorld) -> None:
    for _ in range(30):
        stream: Any = world.stub.WatchIncidents(rpc.WatchIncidentsRequest(), metadata=DEFAULT, timeout=30)
        stream.cancel()
    assert opened(world).id


def test_an_analysis_is_the_cause_of_a_draft(world: IncidentWorld) -> None:
    incident = opened(world)
    world.publish_analysis(analysis(incident.id, 1, "payments"))
    eventually(lambda: len(world.timeline("default", incident.id)), lambda count: count == 2)
    drafted = ask(world, "DraftPostmortem", incident.id).postmortem
    assert drafted.cause.startswith("Likely cause: payments")


def test_a_reopened_incident_owes_no_postmortem(world: IncidentWorld) -> None:
    incident = opened(world)
    ask(world, "ResolveIncident", incident.id)
    again = ask(world, "ReopenIncident", incident.id).incident
    assert (again.status, again.HasField("postmortem_due_at")) == (pb.INCIDENT_STATUS_OPEN, False)
    with psycopg.connect(world.postgres_url, options="-c search_path=incident") as conn:
        assert conn.execute("SELECT 1 FROM due WHERE subject = %s", (incident.id,)).fetchone() is None
