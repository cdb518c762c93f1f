"""What simple methods say of the same inputs. Each maps a case and an onset step to a score per node."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from services.correlation_engine.domain.graph import CallGraph
from services.correlation_engine.domain.model import FloatArray, Telemetry
from tests.bench.rca.case import candidates

Scores = dict[str, float]
Method = Callable[[Telemetry, int], Scores]
ELEVATED = 3.0


def _features(telemetry: Telemetry) -> Iterator[tuple[str, FloatArray]]:
    """Yield every series of every node: requests, error ratio, latency, gauges, log lines, calls as the callee's."""
    for s in telemetry.services:
        yield s.service, s.requests
        yield s.service, _ratio(s.errors, s.requests)
        yield s.service, _ratio(s.duration_ms, s.requests)
    for e in telemetry.edges:
        yield e.server, _ratio(e.client_ms, e.calls)
    for g in telemetry.gauges:
        yield g.service, g.values
    for signature in telemetry.signatures:
        yield signature.service, signature.counts


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _split(values: FloatArray, onset: int) -> tuple[FloatArray, FloatArray]:
    before, after = values[:onset], values[onset:]
    return before[np.isfinite(before)], after[np.isfinite(after)]


def _largest(telemetry: Telemetry, onset: int, score: Callable[[FloatArray, FloatArray], float]) -> Scores:
    found = dict.fromkeys(candidates(telemetry), 0.0)
    for node, values in _features(telemetry):
        before, after = _split(values, onset)
        if before.size and after.size:
            found[node] = max(found[node], score(before, after))
    return found


def loudest(telemetry: Telemetry, onset: int) -> Scores:
    """Score by the largest relative change of any metric's mean."""

    def score(before: FloatArray, after: FloatArray) -> float:
        usual = float(before.mean())
        return abs(float(after.mean()) - usual) / abs(usual) if usual else 0.0

    return _largest(telemetry, onset, score)


def n_sigma(telemetry: Telemetry, onset: int) -> Scores:
    """Score by the largest distance from the mean in standard deviations."""

    def score(before: FloatArray, after: FloatArray) -> float:
        spread = float(before.std())
        return float(np.abs(after - before.mean()).max()) / (spread or 1.0)

    return _largest(telemetry, onset, score)


def median_iqr(telemetry: Telemetry, onset: int) -> Scores:
    """Score by the largest distance above the median in interquartile ranges, as BARO's RobustScorer does."""

    def score(before: FloatArray, after: FloatArray) -> float:
        low, high = np.percentile(before, [25, 75])
        return float((after - np.median(before)).max()) / (float(high - low) or 1.0)

    return _largest(telemetry, onset, score)


def deepest_elevated(telemetry: Telemetry, onset: int) -> Scores:
    """Prefer nodes with elevated latency or errors that call no elevated node; by robust z among them."""
    z = dict.fromkeys(candidates(telemetry), 0.0)
    for s in telemetry.services:
        for values in (_ratio(s.errors, s.requests), _ratio(s.duration_ms, s.requests)):
            before, after = _split(values, onset)
            if before.size and after.size:
                middle = float(np.median(before))
                spread = max(1.4826 * float(np.median(np.abs(before - middle))), 0.05 * abs(middle), 1e-3)
                z[s.service] = max(z[s.service], (float(after.max()) - middle) / spread)
    graph = CallGraph.of(telemetry.edges)
    top = max(z.values(), default=0.0) + 1
    deepest = {
        node: value >= ELEVATED and not any(z[c] >= ELEVATED for c in graph.callees.get(node, ()))
        for node, value in z.items()
    }
    return {node: value + top * deepest[node] for node, value in z.items()}


METHODS: dict[str, Method] = {
    "loudest_metric": loudest,
    "n_sigma": n_sigma,
    "median_iqr": median_iqr,
    "deepest_elevated": deepest_elevated,
}
