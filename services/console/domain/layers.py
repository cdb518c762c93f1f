"""Layered drawing of a directed graph, after Sugiyama: break cycles, layer, order, place.

Callers stand left of what they call. Edges over several layers pass through way points, so that lines go between
boxes instead of under them. The same input always gives the same picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 6
Arc = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are, in grid units: `column` counts layers from the left, `row` is fractional from the top.

    `routes` gives for each arc the (column, row) of its way points from start to end, both ends included.
    """

    column: Mapping[str, int]
    row: Mapping[str, float]
    routes: Mapping[Arc, tuple[tuple[int, float], ...]]
    columns: int
    rows: float


def lay_out(nodes: Iterable[str], arcs: Iterable[Arc]) -> Layout:
    """Place every node; arcs to itself or to unknown nodes are ignored."""
    names = sorted(set(nodes))
    known = sorted({(a, b) for a, b in arcs if a != b and a in names and b in names})
    forward = _without_cycles(names, known)
    column = _layers(names, set(forward.values()))
    chains = {arc: _chain(step, column) for arc, step in forward.items()}
    order = _ordered(column, chains.values())
    row = _rows(order, _links(chains.values()))
    place = {node: (index, row[node]) for index, layer in enumerate(order) for node in layer}
    routes = {}
    for arc, chain in chains.items():
        points = tuple(place[node] for node in chain)
        routes[arc] = points if forward[arc] == arc else points[::-1]
    return Layout(column, {n: row[n] for n in names}, routes, len(order), max(row.values(), default=0.0) + 1)


def _without_cycles(nodes: Sequence[str], arcs: Sequence[Arc]) -> dict[Arc, Arc]:
    """Map each arc to itself, or to its reverse when it closes a cycle (found depth first, in name order)."""
    callees: dict[str, list[str]] = defaultdict(list)
    for a, b in arcs:
        callees[a].append(b)
    called = {b for _, b in arcs}
    done: set[str] = set()
    closing: set[Arc] = set()
    for root in [n for n in nodes if n not in called] + list(nodes):
        if root not in done:
            _walk(root, callees, done, closing)
    return {(a, b): (b, a) if (a, b) in closing else (a, b) for a, b in arcs}


def _walk(root: str, callees: Mapping[str, list[str]], done: set[str], closing: set[Arc]) -> None:
    path = {root}
    done.add(root)
    stack = [(root, iter(callees.get(root, ())))]
    while stack:
        node, rest = stack[-1]
        following = next(rest, None)
        if following is None:
            stack.pop()
            path.discard(node)
        elif following in path:
            closing.add((node, following))
        elif following not in done:
            done.add(following)
            path.add(following)
            stack.append((following, iter(callees.get(following, ()))))


def _layers(nodes: Sequence[str], arcs: Iterable[Arc]) -> dict[str, int]:
    """Return the length of the longest way to each node from one that nothing calls."""
    callees: dict[str, list[str]] = defaultdict(list)
    waiting = dict.fromkeys(nodes, 0)
    for a, b in arcs:
        callees[a].append(b)
        waiting[b] += 1
    column = dict.fromkeys(nodes, 0)
    ready = [n for n in nodes if waiting[n] == 0]
    while ready:
        node = ready.pop()
        for callee in callees[node]:
            column[callee] = max(column[callee], column[node] + 1)
            waiting[callee] -= 1
            if waiting[callee] == 0:
                ready.append(callee)
    return column


def _chain(arc: Arc, column: Mapping[str, int]) -> tuple[str, ...]:
    """Return the arc's ends with one way point for each layer between them (named so that no service can be)."""
    a, b = arc
    between = range(column[a] + 1, column[b])
    return (a, *(f"\0{a}\0{b}\0{layer}" for layer in between), b)


def _links(chains: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    links: dict[str, list[str]] = defaultdict(list)
    for chain in chains:
        for a, b in pairwise(chain):
            links[a].append(b)
            links[b].append(a)
    return links


def _ordered(column: Mapping[str, int], chains: Iterable[Sequence[str]]) -> list[list[str]]:
    """Order each layer by the mean position of its neighbours, sweeping right and left."""
    chains = list(chains)
    links = _links(chains)
    layer_of = dict(column)
    for chain in chains:
        layer_of.update({node: column[chain[0]] + step for step, node in enumerate(chain)})
    order: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for node in sorted(layer_of):
        order[layer_of[node]].append(node)
    position = {node: float(i) for layer in order for i, node in enumerate(layer)}
    for sweep in range(_SWEEPS):
        step = 1 if sweep % 2 == 0 else -1
        for index in range(len(order))[::step]:
            near = {n: [position[m] for m in links[n] if layer_of[m] == index - step] for n in order[index]}
            wanted = {n: _mean(near[n], position[n]) for n in order[index]}
            order[index].sort(key=lambda n, at=wanted: (at[n], n))  # type: ignore[misc]
            position.update({node: float(i) for i, node in enumerate(order[index])})
    return order


def _rows(order: Sequence[Sequence[str]], links: Mapping[str, list[str]]) -> dict[str, float]:
    """Pull each node towards its neighbours' mean row while neighbours in a layer stay one row apart."""
    tallest = max((len(layer) for layer in order), default=0)
    row = {n: i + (tallest - len(layer)) / 2 for layer in order for i, n in enumerate(layer)}
    for sweep in range(_SWEEPS):
        for layer in order if sweep % 2 == 0 else order[::-1]:
            wanted = [_mean([row[m] for m in links.get(n, ())], row[n]) for n in layer]
            row.update(zip(layer, _spread(wanted), strict=True))
    least = min(row.values(), default=0.0)
    return {node: round(value - least, 3) for node, value in row.items()}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _spread(wanted: Sequence[float]) -> list[float]:
    """Return positions at least 1 apart, in order, and balanced around the wanted ones."""
    down, up = list(wanted), list(wanted)
    for i in range(1, len(down)):
        down[i] = max(down[i], down[i - 1] + 1)
    for i in range(len(up) - 2, -1, -1):
        up[i] = min(up[i], up[i + 1] - 1)
    return [(a + b) / 2 for a, b in zip(down, up, strict=True)]
