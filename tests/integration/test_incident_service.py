"""The incident service as a process: gRPC in front, Kafka beside, Postgres below."""

from __future__ import annotations

import functools
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.message import Message
from incidentscope.alert.v1 import alert_events_pb2 as flush
from incidentscope.alert.v1 import alert_pb2
from incidentscope.incident.v1 import incident_events_pb2, incident_pb2
from incidentscope.incident.v1 import incident_service_pb2 as rpc

from libs.messaging.cloudevents import decode
from libs.messaging.topics import ALERTS_NOTIFICATIONS, CORRELATION_HYPOTHESES
from libs.storage.migrate import migrate_postgres
from tests.integration.incident_requests import BAD_REQUESTS, METHODS, NEVER_WRONG, SERVICE, good
from tests.integration.incident_world import (
    ROOT,
    IncidentWorld,
    alert,
    analysis,
    as_tenant,
    cloud_event,
    eventually,
    group,
    incident_service,
)

Metadata = tuple[tuple[str, str], ...]
DEFAULT = as_tenant("default")
FIRST = flush.FLUSH_REASON_FIRST_NOTIFICATION


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IncidentWorld]:
    migrate_postgres(stack.postgres_url, ROOT / "infra/postgres")
    folder = tmp_path_factory.mktemp("incident_service")
    with incident_service(stack.postgres_url, stack.kafka_bootstrap, folder, stack.postgres_service_url) as running:
        yield running


@pytest.fixture
def opened(world: IncidentWorld) -> incident_pb2.Incident:
    return open_by_hand(world)


def open_by_hand(
    world: IncidentWorld, tenant: str = "default", title: str = "checkout is down"
) -> incident_pb2.Incident:
    request = rpc.OpenIncidentRequest(
        title=title, severity=incident_pb2.INCIDENT_SEVERITY_MAJOR, services=["checkout", "checkout"], actor="ann"
    )
    return world.stub.OpenIncident(request, metadata=as_tenant(tenant), timeout=10).incident


def new_key() -> str:
    return f'{{}}:{{service="{uuid.uuid4().hex}"}}'


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), str(caught.value.details())


def published(world: IncidentWorld, incident_id: str, count: int) -> list[Message]:
    key = incident_id.encode()
    messages = world.events_of("incidents.events", lambda m: m.key() == key, count)
    return [decode(m.headers(), m.value()).data for m in messages]


def test_an_alert_group_opens_one_incident_and_tells_of_it(world: IncidentWorld) -> None:
    key = new_key()
    alerts = [alert("HighErrorRate", "checkout"), alert("HighLatency", "cart", alert_pb2.SEVERITY_WARNING)]
    world.publish_group(group(key, alerts, FIRST))
    (incident,) = eventually(lambda: world.of_group("default", key), bool)
    assert incident.title == "checkout: High error rate (+1 more alert)"
    assert incident.severity == incident_pb2.INCIDENT_SEVERITY_CRITICAL
    assert list(incident.services) == ["checkout", "cart"]
    assert [e.source for e in world.timeline("default", incident.id)] == ["alerts.notifications"] * 3
    (event,) = published(world, incident.id, 1)
    assert isinstance(event, incident_events_pb2.IncidentOpened)
    assert event.incident == incident


def test_the_same_event_delivered_twice_acts_once(world: IncidentWorld) -> None:
    key = new_key()
    event_id = world.publish_group(group(key, [alert("Down", "a")], FIRST))
    (incident,) = eventually(lambda: world.of_group("default", key), bool)
    world.publish_group(group(key, [alert("Down", "a"), alert("Slow", "b")], flush.FLUSH_REASON_NEW_ALERTS), event_id)
    world.publish_group(group(key, [alert("Down", "a"), alert("Hot", "c")], flush.FLUSH_REASON_NEW_ALERTS))
    (incident,) = eventually(lambda: world.of_group("default", key), lambda found: found[0].version == 2)
    assert list(incident.services) == ["a", "c"]


def test_a_group_widens_its_incident_then_ends_it_then_fires_again(world: IncidentWorld) -> None:
    key = new_key()
    first, second = alert("Slow", "a", alert_pb2.SEVERITY_WARNING), alert("Down", "b")
    over = [alert("Slow", "a", firing=False), alert("Down", "b", firing=False)]
    world.publish_group(group(key, [first], FIRST))
    world.publish_group(group(key, [first, second], flush.FLUSH_REASON_NEW_ALERTS))
    world.publish_group(group(key, [first, second], flush.FLUSH_REASON_REPEAT_INTERVAL))
    world.publish_group(group(key, over, flush.FLUSH_REASON_ALL_RESOLVED))
    (ended,) = eventually(lambda: world.of_group("default", key), lambda found: [i.version for i in found] == [3])
    assert (ended.status, ended.resolved_by) == (incident_pb2.INCIDENT_STATUS_RESOLVED, "alert_router")
    assert ended.severity == incident_pb2.INCIDENT_SEVERITY_CRITICAL
    world.publish_group(group(key, [second], FIRST))
    (again,) = eventually(lambda: world.of_group("default", key), lambda found: found[0].version == 4)
    assert (again.id, again.status) == (ended.id, incident_pb2.INCIDENT_STATUS_OPEN)
    assert not again.HasField("postmortem_due_at")
    kinds = [type(e).__name__ for e in published(world, ended.id, 4)]
    assert kinds == ["IncidentOpened", "IncidentUpdated", "IncidentResolved", "IncidentReopened"]


def test_odd_starts_are_bounded_and_hurt_no_merge(world: IncidentWorld) -> None:
    keys = [new_key(), new_key()]
    zero, future = alert("Ancient", "a"), alert("Future", "b")
    zero.starts_at.seconds = -62135596800
    future.starts_at.FromDatetime(datetime.now(UTC) + timedelta(minutes=10))
    for key, odd in zip(keys, (zero, future), strict=True):
        world.publish_group(group(key, [odd], FIRST))
    first, second = (eventually(lambda k=key: world.of_group("default", k), bool)[0] for key in keys)  # type: ignore[misc]
    for incident in (first, second):
        assert abs(incident.started_at.seconds - incident.opened_at.seconds) < 60
    request = rpc.MergeIncidentRequest(id=first.id, into_id=second.id, actor="ann")
    merged = world.stub.MergeIncident(request, metadata=DEFAULT, timeout=10)
    assert abs(merged.into.started_at.seconds - second.opened_at.seconds) < 60


def test_an_outage_beside_an_old_warning_is_what_the_incident_is_about(world: IncidentWorld) -> None:
    key, now = new_key(), datetime.now(UTC)
    cert, errors = alert("CertificateExpiresSoon", "a", alert_pb2.SEVERITY_WARNING), alert("HighErrors", "a")
    cert.starts_at.FromDatetime(now - timedelta(days=3))
    errors.starts_at.FromDatetime(now)
    world.publish_group(group(key, [cert], FIRST))
    (old,) = eventually(lambda: world.of_group("default", key), bool)
    assert (old.title, old.started_at) == ("a: Certificate expires soon", cert.starts_at)
    world.publish_group(group(key, [errors, cert], flush.FLUSH_REASON_NEW_ALERTS))
    (both,) = eventually(lambda: world.of_group("default", key), lambda found: found[0].version == 2)
    assert (both.title, both.started_at) == ("a: High errors (+1 more alert)", errors.starts_at)
    told = published(world, both.id, 2)[-1]
    assert isinstance(told, incident_events_pb2.IncidentUpdated)
    assert told.incident.onset_at == errors.starts_at
    assert told.incident.onset_seen_at == told.entry.occurred_at == both.updated_at


def test_what_fires_after_a_person_resolved_it_opens_another(world: IncidentWorld) -> None:
    key = new_key()
    world.publish_group(group(key, [alert("Slow", "a")], FIRST))
    (first,) = eventually(lambda: world.of_group("default", key), bool)
    request = rpc.ResolveIncidentRequest(id=first.id, actor="ann")
    world.stub.ResolveIncident(request, metadata=DEFAULT, timeout=10)
    world.publish_group(group(key, [alert("Slow", "a"), alert("Down", "b")], flush.FLUSH_REASON_NEW_ALERTS))
    second, same = eventually(lambda: world.of_group("default", key), lambda found: len(found) == 2)
    assert (same.id, second.status) == (first.id, incident_pb2.INCIDENT_STATUS_OPEN)


def test_hypotheses_are_kept_and_named_on_the_timeline(world: IncidentWorld, opened: incident_pb2.Incident) -> None:
    request = rpc.GetHypothesesRequest(id=opened.id)
    code, details = refusal(lambda: world.stub.GetHypotheses(request, metadata=DEFAULT, timeout=10))
    assert (code, details) == (grpc.StatusCode.NOT_FOUND, f"incident {opened.id} has not been analysed yet")
    for version, cause in ((1, ""), (2, "payments"), (3, "payments"), (2, "cart")):
        world.publish_analysis(analysis(opened.id, version, cause))
    latest = eventually(lambda: _latest_version(world, opened.id), lambda version: version == 3)
    assert latest == 3
    told = [e.text for e in world.timeline("default", opened.id) if e.kind == incident_pb2.TIMELINE_KIND_HYPOTHESIS]
    assert told == [
        "Not enough evidence to name a cause: every service is within its own noise",
        "Likely cause: payments: deploy v42 raised its error rate from 0 to 31 % (83 % confident)",
    ]
    answer = world.stub.GetIncident(rpc.GetIncidentRequest(id=opened.id), metadata=DEFAULT, timeout=10)
    assert list(answer.incident.services) == ["checkout", "frontend"]
    assert len(published(world, opened.id, 3)) == 3


def _latest_version(world: IncidentWorld, incident_id: str) -> int:
    try:
        answer = world.stub.GetHypotheses(rpc.GetHypothesesRequest(id=incident_id), metadata=DEFAULT, timeout=10)
    except grpc.RpcError:
        return 0
    return int(answer.analysis.version)


def test_a_person_takes_an_incident_notes_and_ends_it(world: IncidentWorld, opened: incident_pb2.Incident) -> None:
    stub = world.stub
    take = rpc.AcknowledgeIncidentRequest(id=opened.id, actor="bob", expected_version=1)
    taken = stub.AcknowledgeIncident(take, metadata=DEFAULT, timeout=10).incident
    assert (taken.status, taken.acknowledged_by, taken.version) == (incident_pb2.INCIDENT_STATUS_ACKNOWLEDGED, "bob", 2)
    note = rpc.AddNoteRequest(id=opened.id, actor="bob", text="rolling back ↩")
    assert stub.AddNote(note, metadata=DEFAULT, timeout=10).entry.text == "rolling back ↩"
    end = rpc.ResolveIncidentRequest(id=opened.id, actor="bob", resolution="rolled back", expected_version=2)
    ended = stub.ResolveIncident(end, metadata=DEFAULT, timeout=10).incident
    assert stub.GetIncident(rpc.GetIncidentRequest(id=opened.id), metadata=DEFAULT, timeout=10).incident == ended
    texts = [e.text for e in world.timeline("default", opened.id)]
    assert texts == ["Opened by ann", "Acknowledged by bob", "rolling back ↩", "Resolved by bob: rolled back"]
    kinds = [type(e).__name__ for e in published(world, opened.id, 4)]
    assert kinds == ["IncidentOpened", "IncidentAcknowledged", "IncidentUpdated", "IncidentResolved"]


def test_of_concurrent_acknowledgements_exactly_one_wins(world: IncidentWorld) -> None:
    for _ in range(5):
        incident = open_by_hand(world)
        together = threading.Barrier(8)

        def take(actor: int, incident: incident_pb2.Incident = incident, together: threading.Barrier = together) -> str:
            together.wait()
            request = rpc.AcknowledgeIncidentRequest(id=incident.id, actor=f"actor-{actor}")
            try:
                world.stub.AcknowledgeIncident(request, metadata=DEFAULT, timeout=10)
            except grpc.RpcError as refused:
                return str(refused.code().name)
            return "OK"

        with ThreadPoolExecutor(8) as people:
            outcomes = sorted(people.map(take, range(8)))
        assert outcomes == ["FAILED_PRECONDITION"] * 7 + ["OK"]


def test_a_stale_version_is_aborted_and_a_wrong_state_names_its_reason(world: IncidentWorld) -> None:
    incident, stub = open_by_hand(world), world.stub
    stale = rpc.ResolveIncidentRequest(id=incident.id, actor="bob", expected_version=9)
    code, details = refusal(lambda: stub.ResolveIncident(stale, metadata=DEFAULT, timeout=10))
    assert (code, details) == (grpc.StatusCode.ABORTED, "the incident has version 1, not 9: read it again")
    end = rpc.ResolveIncidentRequest(id=incident.id, actor="bob")
    stub.ResolveIncident(end, metadata=DEFAULT, timeout=10)
    take = rpc.AcknowledgeIncidentRequest(id=incident.id, actor="ann")
    for call in (
        lambda: stub.ResolveIncident(end, metadata=DEFAULT),
        lambda: stub.AcknowledgeIncident(take, metadata=DEFAULT),
    ):
        code, details = refusal(call)
        assert (code, details) == (grpc.StatusCode.FAILED_PRECONDITION, "the incident is already resolved by bob")


@pytest.mark.parametrize(("method", "request_", "says"), BAD_REQUESTS)
def test_bad_input_is_refused_naming_the_field(world: IncidentWorld, method: str, request_: Message, says: str) -> None:
    code, details = refusal(lambda: call(world, method, request_))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert says in details


def call(world: IncidentWorld, method: str, request: Message, metadata: Metadata = DEFAULT) -> Any:
    """Call an rpc; of a stream, return the first answer."""
    answer = getattr(world.stub, method)(request, metadata=metadata, timeout=10)
    return next(iter(answer)) if METHODS[method].server_streaming else answer


def test_every_rpc_has_a_case_of_bad_input() -> None:
    assert {method for method, _, _ in BAD_REQUESTS} | NEVER_WRONG == set(METHODS)


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_refused_or_answered_and_the_service_lives_on(
    world: IncidentWorld, opened: incident_pb2.Incident, seed: int
) -> None:
    dice = random.Random(seed)
    for method in METHODS.values():
        path = f"/{SERVICE.full_name}/{method.name}"
        door = world.channel.unary_stream if method.server_streaming else world.channel.unary_unary
        raw = door(path, request_serializer=bytes, response_deserializer=bytes)
        for garbage in (b"\xff\x00\x99garbage", dice.randbytes(dice.randrange(1, 400))):
            with suppress(grpc.RpcError):
                answer = raw(garbage, metadata=DEFAULT, timeout=0.5)
                _ = list(answer) if method.server_streaming else answer
    assert opened.id in {i.id for i in world.incidents("default")}


def test_an_oversized_message_is_refused_and_the_next_call_answered(
    world: IncidentWorld, opened: incident_pb2.Incident
) -> None:
    for method in ("AddNote", "UpdateTemplate", "WatchIncidents"):
        path = f"/{SERVICE.full_name}/{method}"
        door = world.channel.unary_stream if METHODS[method].server_streaming else world.channel.unary_unary
        raw = door(path, request_serializer=bytes, response_deserializer=bytes)
        oversized = functools.partial(raw, b"\x12" + bytes(5 * 1024 * 1024), metadata=DEFAULT, timeout=10)
        code, _ = refusal(lambda: list(oversized()) if METHODS[method].server_streaming else oversized())  # noqa: B023
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert opened.id in {i.id for i in world.incidents("default")}


def test_cancelled_calls_leave_all_done_or_nothing(world: IncidentWorld) -> None:
    for wait in (0.0, 0.001, 0.003, 0.01, 0.03):
        incident = open_by_hand(world)
        calls: list[Any] = [world.stub.AddNote.future(good("AddNote", incident.id), metadata=DEFAULT) for _ in range(8)]
        time.sleep(wait)
        for one in calls:
            one.cancel()
        time.sleep(0.2)
        notes = [e for e in world.timeline("default", incident.id) if e.kind == incident_pb2.TIMELINE_KIND_NOTE]
        updates = published(world, incident.id, 1 + len(notes))
        assert len(updates) == 1 + len(notes)


def test_pages_cover_everything_once_and_tokens_stay_in_their_listing(world: IncidentWorld) -> None:
    made = [open_by_hand(world, "third", f"number {n}").id for n in range(7)]
    seen: list[str] = []
    request = rpc.ListIncidentsRequest(page_size=3)
    while True:
        page = world.stub.ListIncidents(request, metadata=as_tenant("third"), timeout=10)
        seen += [i.id for i in page.incidents]
        if not page.next_page_token:
            break
        request = rpc.ListIncidentsRequest(page_size=3, page_token=page.next_page_token)
    assert len(seen) == len(set(seen))
    assert set(made) <= set(seen)
    assert [i for i in seen if i in made] == sorted(made, reverse=True)
    other = rpc.ListIncidentsRequest(statuses=[incident_pb2.INCIDENT_STATUS_OPEN], page_token=request.page_token)
    code, details = refusal(lambda: world.stub.ListIncidents(other, metadata=as_tenant("third"), timeout=10))
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "page_token belongs to another listing or filter")


def test_pages_of_a_search_keep_its_order_and_a_change_moves_an_incident_to_the_front(world: IncidentWorld) -> None:
    word = uuid.uuid4().hex
    made = [open_by_hand(world, "third", f"{word} number {n}").id for n in range(5)]
    note = rpc.AddNoteRequest(id=open_by_hand(world, "third").id, actor="ann", text=f"see {word.upper()}")
    world.stub.AddNote(note, metadata=as_tenant("third"), timeout=10)
    take = rpc.AcknowledgeIncidentRequest(id=made[1], actor="ann")
    taken = world.stub.AcknowledgeIncident(take, metadata=as_tenant("third"), timeout=10).incident
    assert taken.updated_at.ToDatetime() > taken.opened_at.ToDatetime()
    found: list[incident_pb2.Incident] = []
    request = rpc.ListIncidentsRequest(q=word, sort=rpc.INCIDENT_SORT_UPDATED, page_size=2)
    while True:
        page = world.stub.ListIncidents(request, metadata=as_tenant("third"), timeout=10)
        found += page.incidents
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [i.id for i in found] == [made[1], note.id, *(made[n] for n in (4, 3, 2, 0))]
    assert found[0] == taken
    request.order = rpc.SORT_ORDER_ASC
    code, details = refusal(lambda: world.stub.ListIncidents(request, metadata=as_tenant("third"), timeout=10))
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "page_token belongs to another listing or filter")


def test_the_timeline_is_paged_in_the_order_written(world: IncidentWorld, opened: incident_pb2.Incident) -> None:
    for n in range(5):
        note = rpc.AddNoteRequest(id=opened.id, actor="ann", text=f"note {n}")
        world.stub.AddNote(note, metadata=DEFAULT, timeout=10)
    texts: list[str] = []
    token = ""
    while True:
        request = rpc.ListTimelineRequest(id=opened.id, page_size=2, page_token=token)
        page = world.stub.ListTimeline(request, metadata=DEFAULT, timeout=10)
        texts += [e.text for e in page.entries]
        if not (token := page.next_page_token):
            break
    assert texts == ["Opened by ann", *(f"note {n}" for n in range(5))]


def test_no_rpc_reaches_another_tenants_incident(world: IncidentWorld, opened: incident_pb2.Incident) -> None:
    own = open_by_hand(world, "other")
    for name, method in METHODS.items():
        if "id" not in method.input_type.fields_by_name:
            continue
        request = good(name, opened.id, **({"into_id": own.id} if name == "MergeIncident" else {}))
        code, details = refusal(functools.partial(call, world, name, request, as_tenant("other")))
        assert code == grpc.StatusCode.NOT_FOUND, f"{name}: {details}"
    into = good("MergeIncident", own.id, into_id=opened.id)
    code, _ = refusal(functools.partial(call, world, "MergeIncident", into, as_tenant("other")))
    assert code == grpc.StatusCode.NOT_FOUND
    assert opened.id not in {i.id for i in world.incidents("other")}
    assert len(world.timeline("default", opened.id)) == 1


def test_a_call_without_a_known_tenant_is_unauthenticated(world: IncidentWorld) -> None:
    request = rpc.ListIncidentsRequest()
    for metadata in ((), as_tenant("nobody"), (("x-api-key", "wrong"),)):
        code, _ = refusal(functools.partial(world.stub.ListIncidents, request, metadata=metadata, timeout=10))
        assert code == grpc.StatusCode.UNAUTHENTICATED


def test_a_call_past_its_deadline_changes_nothing(world: IncidentWorld, opened: incident_pb2.Incident) -> None:
    take = rpc.AcknowledgeIncidentRequest(id=opened.id, actor="bob")
    with psycopg.connect(world.postgres_url, options="-c search_path=incident") as blocker:
        blocker.execute("SELECT 1 FROM incident WHERE id = %s FOR UPDATE", (opened.id,))
        for _ in range(12):  # more than the pool has connections: none may stay behind
            code, _ = refusal(lambda: world.stub.AcknowledgeIncident(take, metadata=DEFAULT, timeout=0.2))
            assert code == grpc.StatusCode.DEADLINE_EXCEEDED
        eventually(lambda: _waiting_for_a_lock(world), lambda waiting: waiting == 0)
    answer = world.stub.GetIncident(rpc.GetIncidentRequest(id=opened.id), metadata=DEFAULT, timeout=10)
    assert answer.incident == opened


def _waiting_for_a_lock(world: IncidentWorld) -> int:
    with psycopg.connect(world.postgres_url) as conn:
        mine = "application_name = 'incidentscope_incident' AND wait_event_type = 'Lock'"
        row = conn.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {mine}").fetchone()
    return int(row[0]) if row else 0


def test_the_timeline_cannot_be_edited_even_by_its_owner(world: IncidentWorld, opened: incident_pb2.Incident) -> None:
    statements = ("UPDATE timeline SET text = 'x'", "DELETE FROM timeline", "TRUNCATE timeline", "DELETE FROM analysis")
    for statement in statements:
        with (
            psycopg.connect(world.postgres_url, options="-c search_path=incident") as conn,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
        ):
            conn.execute(statement)
    assert len(world.timeline("default", opened.id)) == 1


def test_the_database_itself_keeps_tenants_apart(world: IncidentWorld, opened: incident_pb2.Incident) -> None:
    with psycopg.connect(world.postgres_url, options="-c search_path=incident") as conn:
        conn.execute("CREATE ROLE plain_reader")
        conn.execute("GRANT USAGE ON SCHEMA incident TO plain_reader")
        conn.execute("GRANT SELECT ON incident, timeline, analysis TO plain_reader")
        conn.execute("SET LOCAL ROLE plain_reader")
        for tenant, expected in (("default", 1), ("other", 0), ("", 0)):
            conn.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant,))
            row = conn.execute("SELECT count(*) FROM incident WHERE id = %s", (opened.id,)).fetchone()
            assert row == (expected,)
        conn.rollback()


def _bad_event(kind: str, key: str) -> tuple[list[tuple[str, bytes]], bytes]:
    """Return headers and value of a message that no retry can make good."""
    good = group(key, [alert("Down", "a")], FIRST)
    if kind == "tenant_mismatch":
        event = cloud_event(key, "other", good)
    elif kind == "status_mismatch":
        good.status = alert_pb2.ALERT_STATUS_RESOLVED
        event = cloud_event(key, "default", good)
    else:
        event = cloud_event(key, "default", good)
    headers = [("ce_id", event.id), ("ce_source", "/t"), ("ce_type", event.type), ("ce_specversion", "1.0"),
               ("ce_time", event.time.isoformat()), ("ce_tenantid", event.tenant)]  # fmt: skip
    value = b"\xff\xfegarbage" if kind == "bad_data" else good.SerializeToString()
    return [(n, v.encode()) for n, v in headers if (kind, n) != ("not_cloudevent", "ce_id")], value


@pytest.mark.parametrize("kind", ["bad_data", "not_cloudevent", "tenant_mismatch", "status_mismatch"])
def test_a_poison_event_goes_to_the_dead_letters_and_the_next_is_handled(world: IncidentWorld, kind: str) -> None:
    key = new_key()
    headers, value = _bad_event(kind, key)
    world.producer.produce(ALERTS_NOTIFICATIONS.name, value, key.encode(), headers=list(headers))
    world.publish_group(group(key, [alert("Down", "a")], FIRST))
    eventually(lambda: world.of_group("default", key), lambda found: len(found) == 1)
    (letter,) = world.events_of(ALERTS_NOTIFICATIONS.dlq, lambda m: m.key() == key.encode(), 1)
    assert letter.value() == value
    assert dict(letter.headers())["dlq_reason"] == kind.encode()


def test_an_analysis_of_an_unknown_incident_is_a_dead_letter(world: IncidentWorld) -> None:
    lost = str(uuid.uuid4())
    world.publish_analysis(analysis(lost, 1, "payments"))
    (letter,) = world.events_of(CORRELATION_HYPOTHESES.dlq, lambda m: m.key() == lost.encode(), 1)
    assert dict(letter.headers())["dlq_reason"] == b"unknown_incident"
