"""Calls between services: found whatever order and whatever pieces their halves arrive in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.integration.alert_world import eventually
from tests.integration.ingest_world import IngestWorld, attributes, new_process, new_trace, running_ingest, span
from tests.unit.libs.otlp.requests import spans

CLIENT, SERVER, PRODUCER, CONSUMER = 3, 2, 4, 5
HTTP: dict[str, Any] = {"http__request__method": "GET"}
SETTLED_SECONDS = 25.0  # unpaired halves are given ten seconds


@pytest.fixture(scope="module")
def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IngestWorld]:
    with running_ingest(stack, tmp_path_factory.mktemp("ingest"), ("trace_consumer",)) as running:
        yield running


@pytest.fixture
def tenant(world: IngestWorld) -> str:
    return world.new_tenant()


Send = Callable[..., None]


@pytest.fixture
def send(world: IngestWorld, tenant: str) -> Send:
    """Return a way to send spans of one service and wait until they are stored."""
    sent = 0

    def message(*made: Span, service: str) -> None:
        nonlocal sent
        sent += len(made)
        world.produce("traces", [spans(*made, service=service).SerializeToString()], x_tenant_id=tenant)
        world.wait_for_rows("spans_raw", tenant, sent)

    return message


def edge_when(world: IngestWorld, tenant: str, client: str, server: str, **wanted: Any) -> dict[str, Any]:
    """Return an edge once it has the wanted counts."""

    def matches(found: dict[tuple[str, str], dict[str, Any]]) -> bool:
        edge = found.get((client, server))
        return edge is not None and all(edge[name] == amount for name, amount in wanted.items())

    return eventually(lambda: world.edges(tenant), matches, SETTLED_SECONDS)[client, server]


def call(trace: bytes, error: bool = False) -> tuple[Span, Span]:
    """Return both ends of a call: the client took 30 ms, the server 20."""
    return (
        span(trace, 1, kind=CLIENT, ms=30, error=error, **HTTP),
        span(trace, 2, parent=1, kind=SERVER, ms=20, error=error, **HTTP),
    )


def test_both_halves_in_one_message(world: IngestWorld, tenant: str) -> None:
    client, server = call(new_trace())
    request = spans(client, service="front")
    request.MergeFrom(spans(server, service="cart"))
    world.produce("traces", [request.SerializeToString()], x_tenant_id=tenant)
    edge = edge_when(world, tenant, "front", "cart", Calls=1)
    assert (edge["ConnectionType"], edge["ServerInstrumented"], edge["Errors"], edge["Unpaired"]) == ("http", 1, 0, 0)
    assert (edge["ClientDurationSum"], edge["ServerDurationSum"]) == (30_000_000, 20_000_000)


def test_the_child_first(world: IngestWorld, tenant: str, send: Send) -> None:
    client, server = call(new_trace(), error=True)
    send(server, service="cart")
    send(client, service="front")
    assert edge_when(world, tenant, "front", "cart", Calls=1)["Errors"] == 1


def test_the_parent_first(world: IngestWorld, tenant: str, send: Send) -> None:
    client, server = call(new_trace())
    send(client, service="front")
    send(server, service="cart")
    edge_when(world, tenant, "front", "cart", Calls=1)


def test_calls_of_many_traces_add_up(world: IngestWorld, tenant: str, send: Send) -> None:
    calls = [call(new_trace(), error=n < 3) for n in range(10)]
    minute = min(client.start_time_unix_nano for client, _ in calls)
    for client, _ in calls:
        client.start_time_unix_nano = minute
    send(*(server for _, server in calls), service="cart")
    send(*(client for client, _ in calls), service="front")
    assert edge_when(world, tenant, "front", "cart", Calls=10)["Errors"] == 3


def test_a_half_that_comes_late_turns_a_virtual_server_into_a_real_one(
    world: IngestWorld, tenant: str, send: Send
) -> None:
    client, server = call(new_trace())
    client.attributes.extend(attributes({"server.address": "cart.internal"}))
    send(client, service="front")
    virtual = edge_when(world, tenant, "front", "cart.internal", Calls=1)
    assert (virtual["ServerInstrumented"], virtual["Unpaired"]) == (0, 1)
    send(server, service="cart")
    edge_when(world, tenant, "front", "cart", Calls=1, ServerInstrumented=1)
    assert ("front", "cart.internal") not in world.edges(tenant)


def test_what_has_no_server_span_becomes_a_virtual_node(world: IngestWorld, tenant: str, send: Send) -> None:
    trace = new_trace()
    send(
        span(trace, 1, kind=CLIENT, db__system__name="postgresql", db__namespace="orders", server__address="pg-1"),
        span(trace, 2, kind=CLIENT, db__system="redis", net__peer__name="cache"),
        span(trace, 3, kind=CLIENT, error=True, rpc__system="grpc", server__address="gone"),
        span(trace, 4, kind=CLIENT, peer__service="partner", server__address="203.0.113.9", **HTTP),
        span(trace, 5, kind=PRODUCER, messaging__system="kafka", messaging__destination__name="mails"),
        span(trace, 6, kind=CLIENT, http__request__method="GET", url__full="https://api.example.com/v1?x=1"),
        span(trace, 7, kind=CLIENT),
        service="cart",
    )
    eventually(lambda: world.edges(tenant), lambda found: len(found) >= 6, SETTLED_SECONDS)
    found = {server: (e["ConnectionType"], e["Errors"]) for (_, server), e in world.edges(tenant).items()}
    assert found == {
        "orders": ("database", 0), "cache": ("database", 0), "gone": ("rpc", 1), "partner": ("http", 0),
        "mails": ("messaging_system", 0), "api.example.com": ("http", 0),
    }  # fmt: skip


def test_an_entry_span_is_no_call(world: IngestWorld, tenant: str, send: Send) -> None:
    send(span(new_trace(), 1, kind=SERVER, **HTTP), service="front")
    client, server = call(new_trace())
    send(client, service="a")
    send(server, service="b")
    edge_when(world, tenant, "a", "b", Calls=1)
    assert set(world.edges(tenant)) == {("a", "b")}


def test_one_message_with_several_consumers_is_one_edge_to_each(world: IngestWorld, tenant: str, send: Send) -> None:
    trace = new_trace()
    producer = span(trace, 1, kind=PRODUCER, messaging__system="kafka", messaging__destination__name="orders")
    by_parent = span(trace, 2, parent=1, kind=CONSUMER, messaging__system="kafka")
    by_link = span(new_trace(), 3, kind=CONSUMER, messaging__system="kafka")
    by_link.links.add(trace_id=trace, span_id=producer.span_id)
    by_both = span(trace, 4, parent=1, kind=CONSUMER, messaging__system="kafka")
    by_both.links.add(trace_id=trace, span_id=producer.span_id)
    send(by_parent, service="mailer")
    send(by_link, service="auditor")
    send(by_both, service="shipper")
    send(producer, service="shop")
    for server in ("mailer", "auditor", "shipper"):
        edge = edge_when(world, tenant, "shop", server, Calls=1)
        assert (edge["ConnectionType"], edge["ServerInstrumented"]) == ("messaging_system", 1)


def test_a_client_span_around_another_is_not_counted_as_a_second_call(
    world: IngestWorld, tenant: str, send: Send
) -> None:
    trace = new_trace()
    send(
        span(trace, 1, kind=CLIENT, rpc__system="aws-api", rpc__service="S3"),
        span(trace, 2, parent=1, kind=CLIENT, server__address="s3.example.com", **HTTP),
        service="shop",
    )
    edge_when(world, tenant, "shop", "s3.example.com", Calls=1)
    assert set(world.edges(tenant)) == {("shop", "s3.example.com")}


def test_edges_missed_while_the_job_was_away_are_made_up(world: IngestWorld, tenant: str) -> None:
    consumer = world.processes["trace_consumer"]
    consumer.stop()
    idle = new_process(world, "trace_consumer", EDGE_SECONDS="300")
    idle.start()
    client, server = call(new_trace())
    try:
        request = spans(client, service="front")
        request.MergeFrom(spans(server, service="cart"))
        world.produce("traces", [request.SerializeToString()], x_tenant_id=tenant)
        world.wait_for_rows("spans_raw", tenant, 2, timeout_s=20)
    finally:
        idle.stop()
        consumer.start()
    edge_when(world, tenant, "front", "cart", Calls=1)


def test_halves_that_come_over_different_partitions_meet(world: IngestWorld, tenant: str) -> None:
    client, server = call(new_trace())
    halves = [spans(client, service="front"), spans(server, service="cart")]
    world.produce("traces", [half.SerializeToString() for half in halves], x_tenant_id=tenant)
    edge_when(world, tenant, "front", "cart", Calls=1)
    partitions = world.query("SELECT DISTINCT IngestPartition FROM spans_raw WHERE TenantId = %(t)s", t=tenant)
    assert len(partitions) == 2


def test_a_message_sent_again_is_not_a_second_call(world: IngestWorld, tenant: str, send: Send) -> None:
    client, server = call(new_trace())
    send(client, service="front")
    send(server, service="cart")
    edge_when(world, tenant, "front", "cart", Calls=1)
    send(server, service="cart")
    send(client, service="front")
    later, answered = call(new_trace())
    send(later, service="front")
    send(answered, service="cart")
    counted = eventually(lambda: calls_of(world, tenant, "front", "cart"), lambda n: n >= 2, SETTLED_SECONDS)
    assert counted == 2


def calls_of(world: IngestWorld, tenant: str, client: str, server: str) -> int:
    """Return the calls of an edge over all minutes."""
    sql = "SELECT sum(Calls) FROM service_edges_1m FINAL WHERE TenantId = %(t)s AND Client = %(c)s AND Server = %(s)s"
    return int(world.query(sql, t=tenant, c=client, s=server)[0][0])


def test_a_consumer_killed_between_two_halves_still_pairs_them(world: IngestWorld, tenant: str, send: Send) -> None:
    client, server = call(new_trace())
    send(client, service="front")
    consumer = world.processes["trace_consumer"]
    consumer.kill()
    consumer.start()  # the broker holds its partitions back until the dead one's session ends
    world.produce("traces", [spans(server, service="cart").SerializeToString()], x_tenant_id=tenant)
    world.wait_for_rows("spans_raw", tenant, 2, timeout_s=60)
    edge_when(world, tenant, "front", "cart", Calls=1)


@pytest.mark.parametrize("ahead_s", [-90, 90])
def test_halves_whose_clocks_differ_meet(world: IngestWorld, tenant: str, send: Send, ahead_s: int) -> None:
    client, server = call(new_trace())
    server.start_time_unix_nano += ahead_s * 10**9
    server.end_time_unix_nano += ahead_s * 10**9
    send(server, service="cart")
    send(client, service="front")
    edge = edge_when(world, tenant, "front", "cart", Calls=1)
    assert (edge["ClientDurationSum"], edge["ServerDurationSum"]) == (30_000_000, 20_000_000)


@pytest.mark.parametrize(
    ("tracestate", "stands_for"),
    [("ot=th:8", 2), ("vendor=1,ot=rv:0f2c;th:c", 4), ("ot=th:0", 1), ("ot=p:3;r:9", 8), ("ot=p:x,other=th:8", 1)],
)
def test_a_sampled_call_counts_for_those_it_stands_for(
    world: IngestWorld, tenant: str, send: Send, tracestate: str, stands_for: int
) -> None:
    client, server = call(new_trace(), error=True)
    client.trace_state = server.trace_state = tracestate
    send(client, service="front")
    send(server, service="cart")
    edge = edge_when(world, tenant, "front", "cart", Calls=stands_for, Unpaired=0)
    assert (edge["Errors"], edge["ClientDurationSum"]) == (stands_for, stands_for * 30_000_000)


@pytest.mark.parametrize(
    ("tracestate", "about", "stands_for"),
    [
        ("", {"sampling.adjusted_count": "4"}, 4),
        ("", {"SampleRate": "10"}, 10),
        ("", {"SampleRate": "0"}, 1),
        ("", {"sampling.adjusted_count": "many"}, 1),
        ("ot=th:8", {"sampling.adjusted_count": "4"}, 2),
    ],
)
def test_an_adjusted_count_may_be_an_attribute(
    world: IngestWorld, tenant: str, send: Send, tracestate: str, about: dict[str, str], stands_for: int
) -> None:
    client, server = call(new_trace())
    for half, service in ((client, "front"), (server, "cart")):
        half.trace_state = tracestate
        half.attributes.extend(attributes(about))
        send(half, service=service)
    edge_when(world, tenant, "front", "cart", Calls=stands_for, Unpaired=0)
