from __future__ import annotations

from services.console.domain import servicemap
from services.console.domain.edgechange import EdgeChange, Level, compare
from services.console.domain.models import Edge
from services.console.domain.servicemap import Roles, ServiceMap

ROLES = Roles({"db": 1}, frozenset({"api"}))
NOBODY = Roles({}, ())


def edge(client: str, server: str, calls: int = 100, errors: int = 0, mean_ms: float = 12.0, minutes: int = 10) -> Edge:
    return Edge(client, server, "http", server != "db", calls, errors, mean_ms, minutes)


def steady(*edges: Edge) -> list[EdgeChange]:
    return compare(edges, edges)


def levels(drawn: ServiceMap) -> dict[str, Level]:
    return {e.change.server: e.change.level for e in drawn.edges}


def test_suspects_and_affected_are_marked_in_words() -> None:
    now, before = [edge("web", "api"), edge("api", "db", errors=30)], [edge("web", "api"), edge("api", "db")]
    drawn = servicemap.draw(compare(now, before), ROLES, 10)
    marks = {n.service: (n.role, n.mark, n.virtual) for n in drawn.nodes}
    assert marks["db"] == ("suspect", "▲ suspect 1", True)
    assert marks["api"] == ("affected", "● affected", False)
    assert marks["web"] == ("plain", "", False)
    assert drawn.description == (
        "3 services, 2 connections. Suspected: db. Affected: api. Harm goes through: api to db (0 → 30 %)."
    )


def test_colour_follows_the_change_and_not_the_share_that_always_fails() -> None:
    now = [edge("a", "slow", 1000, 0, 944), edge("a", "noisy", 1000, 20), edge("a", "new"), edge("a", "b")]
    before = [edge("a", "slow", 1000, 0, 7), edge("a", "noisy", 1000, 20), edge("a", "gone"), edge("a", "b")]
    drawn = servicemap.draw(compare(now, before), NOBODY, 10)
    assert levels(drawn) == {
        "slow": Level.MUCH_WORSE, "noisy": Level.CALM, "new": Level.NO_BASELINE, "gone": Level.NO_DATA,
        "b": Level.CALM,
    }  # fmt: skip
    assert {e.change.server: e.label for e in drawn.edges if e.label} == {"slow": "7 → 944 ms", "gone": "no calls"}
    assert drawn.edges[-1].change.server == "slow"  # painted over the others
    assert drawn.description.endswith("(7 → 944 ms). 1 without a baseline. 1 without calls now.")
    assert {n.service: n.detail for n in drawn.nodes}["gone"] == "no calls now"


def test_lines_are_as_wide_as_the_harm_where_there_is_any() -> None:
    before = [edge("a", "busy", 90_000), edge("a", "most", 1000), edge("a", "some", 1000)]
    now = [edge("a", "busy", 90_000), edge("a", "most", 1000, 400), edge("a", "some", 1000, 100)]
    drawn = servicemap.draw(compare(now, before), NOBODY, 10)
    width = {e.change.server: e.width for e in drawn.edges}
    assert drawn.harmed
    assert width["most"] > width["some"] > width["busy"]
    assert [(r.change.server, str(r.harm)) for r in drawn.rows] == [
        ("most", "80 % of added failures"), ("some", "20 % of added failures"), ("busy", ""),
    ]  # fmt: skip
    assert drawn.rows[0].summary.replace("\N{NO-BREAK SPACE}", " ") == (
        "a calls most, much worse: errors 0 % → 40 %, mean latency 12 ms → 12 ms, calls 1.67/s → 1.67/s; "
        "80 % of added failures"
    )


def test_without_harm_lines_are_as_wide_as_the_traffic() -> None:
    drawn = servicemap.draw(steady(edge("a", "b", 10_000), edge("a", "c", 10, errors=3)), NOBODY, 10)
    width = {e.change.server: e.width for e in drawn.edges}
    assert not drawn.harmed
    assert width["b"] > width["c"]
    assert drawn.description == "3 services, 2 connections. No connection is worse than before."


def test_a_service_shows_the_rate_of_the_minutes_its_callers_were_heard_in() -> None:
    drawn = servicemap.draw(steady(edge("a", "c", 360, 36, minutes=3), edge("b", "c", 900, minutes=15)), NOBODY, 15)
    assert {n.service: n.detail for n in drawn.nodes}["c"] == "3/s · 2.9 % err"
    assert (drawn.minutes, sorted(r.change.now.minutes for r in drawn.rows)) == (15, [3, 15])


def test_everything_lies_inside_the_drawing() -> None:
    drawn = servicemap.draw(steady(edge("a", "b"), edge("b", "c"), edge("a", "d"), edge("d", "a")), NOBODY, 1)
    assert all(n.x >= 0 and n.x + servicemap.NODE_WIDTH <= drawn.width for n in drawn.nodes)
    assert all(n.y >= 0 and n.y + servicemap.NODE_HEIGHT <= drawn.height for n in drawn.nodes)


def test_a_large_map_keeps_the_neighbourhood_of_the_suspects() -> None:
    far = [edge(f"x{n}", f"y{n}", calls=10_000) for n in range(40)]
    drawn = servicemap.draw(steady(*far, edge("api", "db", 1), edge("web", "api", 1)), ROLES, 10)
    assert {n.service for n in drawn.nodes} == {"api", "db", "web"}
    assert drawn.left_out == 80


def test_a_large_map_without_suspects_is_bounded_too() -> None:
    hub = [edge("hub", f"s{n}", calls=n) for n in range(1, 100)]
    drawn = servicemap.draw(steady(*hub), NOBODY, 10)
    assert len(drawn.nodes) == servicemap.MAX_NODES
    assert drawn.left_out == 100 - servicemap.MAX_NODES


def test_a_large_map_keeps_what_changed_before_what_is_busy() -> None:
    usual = [edge("hub", f"s{n}", calls=1000 + n) for n in range(100)]
    now = [edge("hub", "s0", calls=1000, mean_ms=944), *usual[1:]]
    drawn = servicemap.draw(compare(now, usual), NOBODY, 10)
    assert levels(drawn)["s0"] is Level.MUCH_WORSE


def test_an_empty_map_has_no_nodes() -> None:
    assert servicemap.draw([], ROLES, 10).nodes == ()
