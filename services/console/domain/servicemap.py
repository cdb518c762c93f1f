"""The service map of an incident: who calls whom, how much, and where it fails."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from libs.kernel.quantities import milliseconds, percent, significant
from services.console.domain.layers import Layout, lay_out
from services.console.domain.models import Edge

MAX_NODES = 40  # a map with more is no picture any more; the neighbourhood of the suspects is shown instead
NODE_WIDTH, NODE_HEIGHT = 132.0, 42.0
_COLUMN, _ROW, _MARGIN, _HEAD = 192.0, 64.0, 12.0, 14.0
_FAILING = 0.01  # errors per call from which an edge is drawn as failing
_LONGEST_NAME = 16


@dataclass(frozen=True, slots=True)
class Roles:
    """Why services are marked: `suspects` by rank, and those that suffer."""

    suspects: Mapping[str, int]
    affected: Collection[str]

    def of(self, service: str) -> tuple[str, str]:
        """Return a service's role and the words on its mark."""
        if service in self.suspects:
            return "suspect", f"▲ suspect {self.suspects[service]}"
        return ("affected", "● affected") if service in self.affected else ("plain", "")


@dataclass(frozen=True, slots=True)
class MapNode:
    """One box; x and y are its top left corner. `virtual` ones are known only from their callers."""

    service: str
    label: str
    detail: str
    role: str
    mark: str
    virtual: bool
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class MapEdge:
    """One line: SVG path data, stroke width, and where its label stands; the label is empty on healthy edges."""

    client: str
    server: str
    path: str
    width: float
    failing: bool
    label: str
    label_x: float
    label_y: float
    summary: str


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """A drawing of `width` by `height`, also in words and as rows, and how many services it leaves out."""

    width: float
    height: float
    nodes: tuple[MapNode, ...]
    edges: tuple[MapEdge, ...]
    rows: tuple[Edge, ...]
    description: str
    left_out: int


def draw(edges: Sequence[Edge], roles: Roles, minutes: float) -> ServiceMap:
    """Draw the calls of a window of that many minutes; an empty map has no nodes."""
    shown, left_out = focus([e for e in edges if e.client != e.server], roles)
    names = sorted({s for e in shown for s in (e.client, e.server)})
    layout = lay_out(names, [(e.client, e.server) for e in shown])
    busiest = max((e.calls for e in shown), default=1)
    nodes = tuple(_node(name, shown, roles, layout, minutes) for name in names)
    lines = tuple(_edge(e, layout, busiest, minutes) for e in sorted(shown, key=lambda e: (e.errors, e.client)))
    return ServiceMap(
        width=2 * _MARGIN + (layout.columns - 1) * _COLUMN + NODE_WIDTH if names else 0,
        height=2 * _MARGIN + _HEAD + (layout.rows - 1) * _ROW + NODE_HEIGHT if names else 0,
        nodes=nodes,
        edges=lines,
        rows=tuple(sorted(shown, key=lambda e: (-e.error_ratio, -e.calls))),
        description=_described(nodes, shown),
        left_out=left_out,
    )


def focus(edges: Sequence[Edge], roles: Roles) -> tuple[list[Edge], int]:
    """Return the edges to draw and the number of services left out: all when few, else those near marked services."""
    names = {s for e in edges for s in (e.client, e.server)}
    if len(names) <= MAX_NODES:
        return list(edges), 0
    kept = {n for n in names if roles.of(n)[0] != "plain"}
    near = sorted(edges, key=lambda e: (-(e.errors > 0), -e.calls, e.client, e.server))
    for edge in near:  # busiest and failing neighbours first
        ends = {edge.client, edge.server}
        if (ends & kept or not kept) and len(kept | ends) <= MAX_NODES:
            kept |= ends
    return [e for e in edges if e.client in kept and e.server in kept], len(names - kept)


def _node(name: str, edges: Sequence[Edge], roles: Roles, layout: Layout, minutes: float) -> MapNode:
    incoming = [e for e in edges if e.server == name]
    role, mark = roles.of(name)
    x, y = _corner(layout.column[name], layout.row[name])
    return MapNode(
        service=name,
        label=name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…",
        detail=_load(incoming, minutes),
        role=role,
        mark=mark,
        virtual=bool(incoming) and not any(e.instrumented for e in incoming) and name not in _clients(edges),
        x=x,
        y=y,
    )


def _clients(edges: Sequence[Edge]) -> set[str]:
    return {e.client for e in edges}


def _load(incoming: Sequence[Edge], minutes: float) -> str:
    calls, errors = sum(e.calls for e in incoming), sum(e.errors for e in incoming)
    if not calls:
        return "no callers seen"
    rate = f"{significant(round(calls / minutes, 1))}/min"
    return f"{rate} · {percent(errors / calls)} err" if errors else rate


def _edge(edge: Edge, layout: Layout, busiest: int, minutes: float) -> MapEdge:
    points = _line(layout.routes[edge.client, edge.server])
    failing = edge.error_ratio >= _FAILING
    middle = points[len(points) // 2 - 1 : len(points) // 2 + 1]
    return MapEdge(
        client=edge.client,
        server=edge.server,
        path=_curve(points),
        width=round(1.0 + 4.0 * math.log1p(edge.calls) / math.log1p(max(busiest, 1)), 1),
        failing=failing,
        label=percent(edge.error_ratio) if failing else "",
        label_x=sum(x for x, _ in middle) / 2,
        label_y=sum(y for _, y in middle) / 2 - 5,
        summary=f"{edge.client} calls {edge.server}: {significant(round(edge.calls / minutes, 1))} calls/min, "
        f"{percent(edge.error_ratio)} errors, mean {milliseconds(edge.mean_ms)}",
    )


def _corner(column: int, row: float) -> tuple[float, float]:
    return _MARGIN + column * _COLUMN, _MARGIN + _HEAD + row * _ROW


def _line(route: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """Return the points a line goes through: out of its box, past the boxes of the layers between, into the other."""
    rightwards = route[0][0] <= route[-1][0]
    points: list[tuple[float, float]] = []
    for index, (column, row) in enumerate(route):
        x, y = _corner(column, row)
        middle = y + NODE_HEIGHT / 2
        sides = [(x, middle), (x + NODE_WIDTH, middle)]
        sides = sides if rightwards else sides[::-1]
        points += sides[1:] if index == 0 else sides[:1] if index == len(route) - 1 else sides
    return points


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """Join points with curves that leave and arrive level."""
    (x, y), *rest = points
    path = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        bend = (to_x - x) / 2
        path.append(f"C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(path)


def _described(nodes: Sequence[MapNode], edges: Sequence[Edge]) -> str:
    by_role: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        by_role[node.role].append(node.service)
    failing = [f"{e.client} to {e.server}" for e in edges if e.error_ratio >= _FAILING]
    parts = [f"{len(nodes)} services, {len(edges)} connections."]
    for role, words in (("suspect", "Suspected"), ("affected", "Affected")):
        if by_role[role]:
            parts.append(f"{words}: {', '.join(by_role[role])}.")
    parts.append(f"Failing calls: {', '.join(failing)}." if failing else "No failing calls.")
    return " ".join(parts)
