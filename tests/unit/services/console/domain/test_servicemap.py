from __future__ import annotations

from services.console.domain import servicemap
from services.console.domain.models import Edge
from services.console.domain.servicemap import Roles

ROLES = Roles({"db": 1}, frozenset({"api"}))


def edge(client: str, server: str, calls: int = 100, errors: int = 0, instrumented: bool = True) -> Edge:
    return Edge(client, server, "http", instrumented, calls, errors, 12.0)


def test_suspects_and_affected_are_marked_in_words() -> None:
    drawn = servicemap.draw([edge("web", "api"), edge("api", "db", errors=30, instrumented=False)], ROLES, 10)
    marks = {n.service: (n.role, n.mark, n.virtual) for n in drawn.nodes}
    assert marks["db"] == ("suspect", "▲ suspect 1", True)
    assert marks["api"] == ("affected", "● affected", False)
    assert marks["web"] == ("plain", "", False)
    assert drawn.description == "3 services, 2 connections. Suspected: db. Affected: api. Failing calls: api to db."


def test_failing_edges_carry_their_share_and_busy_edges_are_thicker() -> None:
    drawn = servicemap.draw([edge("a", "b", 10_000), edge("a", "c", 10, errors=3)], Roles({}, ()), 10)
    by_server = {e.server: e for e in drawn.edges}
    assert (by_server["c"].failing, by_server["c"].label) == (True, "30 %")
    assert (by_server["b"].failing, by_server["b"].label) == (False, "")
    assert by_server["b"].width > by_server["c"].width
    assert by_server["c"].summary == "a calls c: 1 calls/min, 30 % errors, mean 12 ms"


def test_everything_lies_inside_the_drawing() -> None:
    drawn = servicemap.draw([edge("a", "b"), edge("b", "c"), edge("a", "d"), edge("d", "a")], Roles({}, ()), 1)
    assert all(n.x >= 0 and n.x + servicemap.NODE_WIDTH <= drawn.width for n in drawn.nodes)
    assert all(n.y >= 0 and n.y + servicemap.NODE_HEIGHT <= drawn.height for n in drawn.nodes)


def test_a_large_map_keeps_the_neighbourhood_of_the_suspects() -> None:
    far = [edge(f"x{n}", f"y{n}", calls=10_000) for n in range(40)]
    drawn = servicemap.draw([*far, edge("api", "db", 1), edge("web", "api", 1)], ROLES, 10)
    assert {n.service for n in drawn.nodes} == {"api", "db", "web"}
    assert drawn.left_out == 80


def test_a_large_map_without_suspects_is_bounded_too() -> None:
    hub = [edge("hub", f"s{n}", calls=n) for n in range(1, 100)]
    drawn = servicemap.draw(hub, Roles({}, ()), 10)
    assert len(drawn.nodes) == servicemap.MAX_NODES
    assert drawn.left_out == 100 - servicemap.MAX_NODES


def test_an_empty_map_has_no_nodes() -> None:
    assert servicemap.draw([], ROLES, 10).nodes == ()
