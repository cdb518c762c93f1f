"""The call graph: who calls whom."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping

from services.correlation_engine.domain.model import Edge

Adjacency = Mapping[str, Collection[str]]


class CallGraph:
    """Directed calls between nodes; calls of a node to itself are left out."""

    def __init__(self, calls: Iterable[tuple[str, str]]) -> None:
        self.callees: dict[str, set[str]] = {}
        self.callers: dict[str, set[str]] = {}
        for client, server in calls:
            if client != server:
                self.callees.setdefault(client, set()).add(server)
                self.callers.setdefault(server, set()).add(client)

    @classmethod
    def of(cls, edges: Iterable[Edge]) -> CallGraph:
        """Return the graph of all edges that carried a call anywhere on the grid."""
        return cls((e.client, e.server) for e in edges)

    def downstream(self, start: Iterable[str]) -> dict[str, int]:
        """Return every node reachable along calls with its distance in hops, the start included at 0."""
        return _distances(self.callees, start)

    def upstream(self, start: Iterable[str]) -> dict[str, int]:
        """Return every node that reaches the start along calls, with its distance in hops."""
        return _distances(self.callers, start)

    def path(self, start: str, goal: str, preferred: Collection[str]) -> tuple[str, ...]:
        """Return a shortest path of calls, through preferred nodes if such a path exists; () without any."""
        narrowed = {n: [m for m in ms if m in preferred or m == goal] for n, ms in self.callees.items()}
        return _path(narrowed, start, goal) or _path(self.callees, start, goal)


def _distances(adjacency: Adjacency, start: Iterable[str]) -> dict[str, int]:
    distance = dict.fromkeys(start, 0)
    queue = deque(distance)
    while queue:
        node = queue.popleft()
        for other in adjacency.get(node, ()):
            if other not in distance:
                distance[other] = distance[node] + 1
                queue.append(other)
    return distance


def _path(adjacency: Adjacency, start: str, goal: str) -> tuple[str, ...]:
    before: dict[str, str | None] = {start: None}
    queue = deque([start])
    while queue and goal not in before:
        node = queue.popleft()
        for other in sorted(adjacency.get(node, ())):
            if other not in before:
                before[other] = node
                queue.append(other)
    if goal not in before:
        return ()
    path: list[str] = []
    step: str | None = goal
    while step is not None:
        path.append(step)
        step = before[step]
    return tuple(reversed(path))
