from __future__ import annotations

import random
from itertools import pairwise

from services.console.domain.layers import lay_out


def test_callers_stand_left_of_what_they_call_along_the_longest_way() -> None:
    layout = lay_out("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")])
    assert layout.column == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert layout.columns == 4


def test_a_long_arc_passes_through_a_way_point_in_each_layer_between() -> None:
    layout = lay_out("abc", [("a", "b"), ("b", "c"), ("a", "c")])
    route = layout.routes["a", "c"]
    assert [column for column, _ in route] == [0, 1, 2]
    assert route[1][1] != layout.row["b"]


def test_cycles_and_calls_to_oneself_do_not_stop_it() -> None:
    layout = lay_out("abc", [("a", "b"), ("b", "c"), ("c", "a"), ("b", "b")])
    assert sorted(layout.column.values()) == [0, 1, 2]
    assert set(layout.routes) == {("a", "b"), ("b", "c"), ("c", "a")}
    assert layout.routes["c", "a"][0][0] > layout.routes["c", "a"][-1][0]  # drawn backwards


def test_boxes_of_a_layer_never_overlap() -> None:
    rng = random.Random(7)
    names = [f"s{n}" for n in range(30)]
    arcs = [tuple(rng.sample(names, 2)) for _ in range(60)]
    layout = lay_out(names, arcs)  # type: ignore[arg-type]
    for column in range(layout.columns):
        rows = sorted(layout.row[n] for n in names if layout.column[n] == column)
        assert all(b - a >= 0.99 for a, b in pairwise(rows))


def test_parallel_chains_do_not_cross() -> None:
    layout = lay_out("adbecf", [("a", "d"), ("b", "e"), ("c", "f")])
    assert [layout.row[n] for n in "abc"] == [layout.row[n] for n in "def"]


def test_the_same_graph_in_another_order_gives_the_same_picture() -> None:
    arcs = [("a", "b"), ("a", "c"), ("c", "d"), ("b", "d")]
    assert lay_out("abcd", arcs) == lay_out("dcba", arcs[::-1])


def test_nothing_is_laid_out_as_nothing() -> None:
    layout = lay_out([], [])
    assert (layout.columns, layout.row) == (0, {})
