"""Recorded calls and lines summed per minute, as the materialised views and the edge job do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from services.correlation_engine.domain.model import (
    Edge,
    FloatArray,
    Grid,
    LogSignature,
    LogTransition,
    ServiceSeries,
)
from tests.bench.rca.recording import Call, Line, Recording

Key = tuple[Hashable, ...]
Item = tuple[str, int, Key, float]  # trace, time in ns, what is counted, how much


class Rollup:
    """Sums per minute of what is counted."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.sums: dict[Key, FloatArray] = defaultdict(grid.zeros)
        self.texts: dict[Key, str] = {}

    def add(self, recorded: Recording) -> None:
        """Count everything in the minute it happened in."""
        start = int(self.grid.start.timestamp()) * 10**9
        for _trace, time, key, amount in self._items(recorded):
            place = (time - start) // (60 * 10**9)
            if 0 <= place < self.grid.length:
                self.sums[key][place] += amount

    def resample(self, pool: Sequence[Recording], places: range, rng: np.random.Generator) -> None:
        """Fill each minute from one recording drawn from the pool, by whole traces drawn with replacement."""
        drawn = rng.integers(len(pool), size=len(places))
        for number, recorded in enumerate(pool):
            chosen = np.asarray(places)[drawn == number]
            items = list(self._items(recorded))
            traces = {trace: i for i, trace in enumerate(sorted({item[0] for item in items}))}
            minutes = max(1.0, round((recorded.end - recorded.start) / self.grid.step))
            times = rng.poisson(1 / minutes, (len(traces), chosen.size))
            for trace, _time, key, amount in items:
                self.sums[key][chosen] += amount * times[traces[trace]]

    def _items(self, recorded: Recording) -> Iterator[Item]:
        for call in recorded.calls:
            yield from _of_call(call)
        for line in recorded.lines:
            key = ("log", line.service, line.severity, line.signature)
            self.texts.setdefault(key, line.text)
            yield line.trace, line.time, key, 1.0
        yield from _transitions(recorded.lines)


def _of_call(call: Call) -> Iterator[Item]:
    if call.instrumented:
        yield call.trace, call.time, ("requests", call.server), 1.0
        yield call.trace, call.time, ("ms", call.server), call.server_ms
    if call.client:
        pair = (call.client, call.server, call.instrumented)
        yield call.trace, call.time, ("calls", *pair), 1.0
        yield call.trace, call.time, ("client_ms", *pair), call.client_ms
        yield call.trace, call.time, ("server_ms", *pair), call.server_ms


def _transitions(lines: Iterable[Line]) -> Iterator[Item]:
    """Count, within a span, how often a statement ran and which one ran next; `` is the span's end."""
    traced = sorted((x for x in lines if x.span), key=lambda x: (x.trace, x.span, x.service, x.time))
    for (trace, _span, service), group in groupby(traced, key=lambda x: (x.trace, x.span, x.service)):
        found = list(group)
        yield trace, found[0].time, ("logging", service), 1.0
        for line, after in zip(found, [*(x.signature for x in found[1:]), ""], strict=True):
            yield trace, line.time, ("ran", service, line.signature), 1.0
            yield trace, line.time, ("next", service, line.signature, after), 1.0


Parts = tuple[tuple[ServiceSeries, ...], tuple[Edge, ...], tuple[LogSignature, ...], tuple[LogTransition, ...]]


def merged(*rollups: Rollup) -> Parts:
    """Return several rollups of one grid added up, as the engine reads them."""
    grid = rollups[0].grid
    sums: dict[Key, FloatArray] = defaultdict(grid.zeros)
    for rollup in rollups:
        for key, values in rollup.sums.items():
            sums[key] = sums[key] + values
    texts = {key: text for rollup in rollups for key, text in rollup.texts.items()}
    kinds: dict[str, dict[Key, FloatArray]] = defaultdict(dict)
    for key, values in sorted(sums.items(), key=lambda item: tuple(map(str, item[0]))):
        kinds[str(key[0])][key[1:]] = values
    return (
        tuple(_service(str(k[0]), v, kinds["ms"][k], grid) for k, v in kinds["requests"].items()),
        tuple(_edge(k, v, kinds, grid) for k, v in kinds["calls"].items()),
        tuple(_signature(k, v, texts[("log", *k)]) for k, v in kinds["log"].items()),
        (*_transitions_of(kinds), *_logging(kinds)),
    )


def _transitions_of(kinds: dict[str, dict[Key, FloatArray]]) -> Iterator[LogTransition]:
    for key, followed in kinds["next"].items():
        yield LogTransition(str(key[0]), str(key[1]), str(key[2]), kinds["ran"][key[:2]], followed)


def _logging(kinds: dict[str, dict[Key, FloatArray]]) -> Iterator[LogTransition]:
    for key, spans in kinds["logging"].items():
        if key in kinds["requests"]:
            yield LogTransition(str(key[0]), "", "", kinds["requests"][key], spans)


def _service(name: str, requests: FloatArray, ms: FloatArray, grid: Grid) -> ServiceSeries:
    # Quantiles do not add up; the ranking does not use them.
    return ServiceSeries(name, requests, grid.zeros(), ms, np.full(grid.length, np.nan))


def _edge(key: Key, calls: FloatArray, kinds: dict[str, dict[Key, FloatArray]], grid: Grid) -> Edge:
    known = bool(key[2])
    return Edge(
        str(key[0]), str(key[1]), "rpc" if known else "database", known, calls, grid.zeros(),
        kinds["client_ms"][key], kinds["server_ms"][key], grid.zeros(),
    )  # fmt: skip


def _signature(key: Key, counts: FloatArray, example: str) -> LogSignature:
    return LogSignature(str(key[0]), int(str(key[1])), str(key[2]), example, counts)
