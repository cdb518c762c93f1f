"""The service map of an incident: who calls whom, how that changed, and where the harm goes through."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from libs.kernel.quantities import percent
from services.console.domain.edgechange import EdgeChange, Harm, Level, per_second, shares_of_harm
from services.console.domain.layers import Layout, lay_out

MAX_NODES = 40  # a map with more is no picture any more; the neighbourhood of the suspects is shown instead
NODE_WIDTH, NODE_HEIGHT = 132.0, 42.0
_COLUMN, _ROW, _MARGIN, _HEAD = 216.0, 64.0, 12.0, 14.0
_THIN, _THICK, _LEAST_HARM = 1.2, 7.0, 2.0
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
    """One line: SVG path data, stroke width, and where its label stands; the label is empty on calm edges."""

    change: EdgeChange
    harm: Harm
    path: str
    width: float
    label: str
    label_x: float
    label_y: float
    summary: str


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """A drawing of `width` by `height`, also in words, and how many services it leaves out.

    Edges come as they are painted, the worst last. `harmed` tells whether lines are as wide as the harm, else they are
    as wide as the traffic; `minutes` is the length of the window.
    """

    width: float
    height: float
    nodes: tuple[MapNode, ...]
    edges: tuple[MapEdge, ...]
    description: str
    left_out: int
    harmed: bool
    minutes: int

    @property
    def rows(self) -> tuple[MapEdge, ...]:
        """Return the edges as a table has them, the most harm first."""
        return tuple(sorted(self.edges, key=lambda e: (-e.harm.share, -e.change.level.rank, -e.change.calls)))


def draw(changes: Sequence[EdgeChange], roles: Roles, minutes: int) -> ServiceMap:
    """Draw the calls of a window of that many minutes; an empty map has no nodes."""
    shown, left_out = focus([c for c in changes if c.client != c.server], roles)
    names = sorted({s for c in shown for s in (c.client, c.server)})
    layout = lay_out(names, [(c.client, c.server) for c in shown])
    nodes = tuple(_node(name, shown, roles, layout) for name in names)
    lines = _lines(shown, layout)
    return ServiceMap(
        width=2 * _MARGIN + (layout.columns - 1) * _COLUMN + NODE_WIDTH if names else 0,
        height=2 * _MARGIN + _HEAD + (layout.rows - 1) * _ROW + NODE_HEIGHT if names else 0,
        nodes=nodes,
        edges=lines,
        description=_described(nodes, lines),
        left_out=left_out,
        harmed=any(line.harm.share for line in lines),
        minutes=minutes,
    )


def focus(changes: Sequence[EdgeChange], roles: Roles) -> tuple[list[EdgeChange], int]:
    """Return the edges to draw and the number of services left out: all when few, else those near marked services."""
    names = {s for c in changes for s in (c.client, c.server)}
    if len(names) <= MAX_NODES:
        return list(changes), 0
    kept = {n for n in names if roles.of(n)[0] != "plain"}
    for change in sorted(changes, key=lambda c: (-c.level.rank, -c.calls, c.client, c.server)):
        ends = {change.client, change.server}  # neighbours that changed or are busy first
        if (ends & kept or not kept) and len(kept | ends) <= MAX_NODES:
            kept |= ends
    return [c for c in changes if c.client in kept and c.server in kept], len(names - kept)


def _node(name: str, changes: Sequence[EdgeChange], roles: Roles, layout: Layout) -> MapNode:
    incoming = [c for c in changes if c.server == name]
    role, mark = roles.of(name)
    x, y = _corner(layout.column[name], layout.row[name])
    calls_others = any(c.client == name for c in changes)
    return MapNode(
        service=name,
        label=name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…",
        detail=_load(incoming),
        role=role,
        mark=mark,
        virtual=bool(incoming) and not any(c.now.instrumented for c in incoming) and not calls_others,
        x=x,
        y=y,
    )


def _load(incoming: Sequence[EdgeChange]) -> str:
    calls, errors = sum(c.calls for c in incoming), sum(c.now.errors for c in incoming)
    if not calls:
        return "no calls now" if incoming else "no callers seen"
    rate = per_second(sum(c.now.per_second for c in incoming))
    return f"{rate} · {percent(errors / calls)} err" if errors else rate


def _lines(changes: Sequence[EdgeChange], layout: Layout) -> tuple[MapEdge, ...]:
    harm = shares_of_harm(changes)
    harmed, busiest = any(h.share for h in harm), max((c.calls for c in changes), default=0)
    lines = [
        _line(c, h, _harm_width(h.share) if harmed else _traffic_width(c.calls, busiest), layout)
        for c, h in zip(changes, harm, strict=True)
    ]
    return tuple(sorted(lines, key=lambda e: (e.change.level.rank, e.harm.share, e.change.client, e.change.server)))


def _harm_width(share: float) -> float:
    return round(_LEAST_HARM + (_THICK - _LEAST_HARM) * share, 1) if share else _THIN


def _traffic_width(calls: int, busiest: int) -> float:
    return round(_THIN + 4.0 * math.log1p(calls) / math.log1p(max(busiest, 1)), 1)


def _line(change: EdgeChange, harm: Harm, width: float, layout: Layout) -> MapEdge:
    points = _points(layout.routes[change.client, change.server])
    middle = points[len(points) // 2 - 1 : len(points) // 2 + 1]
    return MapEdge(
        change=change,
        harm=harm,
        path=_curve(points),
        width=width,
        label=change.headline,
        label_x=sum(x for x, _ in middle) / 2,
        label_y=sum(y for _, y in middle) / 2 - 5,
        summary=f"{change.summary}; {harm}" if harm.share else change.summary,
    )


def _corner(column: int, row: float) -> tuple[float, float]:
    return _MARGIN + column * _COLUMN, _MARGIN + _HEAD + row * _ROW


def _points(route: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
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


def _described(nodes: Sequence[MapNode], edges: Sequence[MapEdge]) -> str:
    by_role: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        by_role[node.role].append(node.service)
    parts = [f"{len(nodes)} services, {len(edges)} connections."]
    for role, words in (("suspect", "Suspected"), ("affected", "Affected")):
        if by_role[role]:
            parts.append(f"{words}: {', '.join(by_role[role])}.")
    told = [f"{e.change.client} to {e.change.server} ({e.label})" for e in reversed(edges) if e.harm.share]
    parts.append(f"Harm goes through: {', '.join(told)}." if told else "No connection is worse than before.")
    for level, words in ((Level.NO_BASELINE, "without a baseline"), (Level.NO_DATA, "without calls now")):
        number = sum(e.change.level is level for e in edges)
        parts += [f"{number} {words}."] if number else []
    return " ".join(parts)
