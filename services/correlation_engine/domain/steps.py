"""How far each series is from its usual at each single step: many series at once, for finding when trouble began."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.correlation_engine.domain import lost_behaviour, saturation, stats
from services.correlation_engine.domain.model import FloatArray, Telemetry
from services.correlation_engine.domain.stats import Matrix

FLOOR_MS = 1.0
LEAST_RAN = 3.0  # of a statement in a step, for what follows it to say anything
CAP = 10.0


def surprises(telemetry: Telemetry, usual: slice) -> tuple[list[str], Matrix]:
    """Return per series the service it belongs to and, per step, how far beyond anything usual it is.

    1 is the larger of noise and the largest deviation during the usual steps; at most 10, at least 0.
    """
    parts = [_errors(telemetry, usual), _latencies(telemetry, usual), _gaps(telemetry, usual)]
    parts += [_resources(telemetry, usual), _lost(telemetry, usual)]
    names = [name for found, _z in parts for name in found]
    rows = [z for _names, z in parts if z.size]
    if not rows:
        return [], np.zeros((0, telemetry.grid.length))
    z = np.nan_to_num(np.vstack(rows))
    beyond = np.maximum(stats.NOISE_Z, z[:, usual].max(axis=1, keepdims=True))
    return names, np.clip(z / beyond, 0.0, CAP)


def _stack(rows: list[FloatArray], length: int) -> Matrix:
    return np.vstack(rows) if rows else np.zeros((0, length))


def _total(values: Matrix, chosen: npt.NDArray[np.bool_]) -> Matrix:
    total: Matrix = np.where(chosen, values, 0.0).sum(axis=1, keepdims=True)
    return total


def _usual(values: Matrix, usual: slice) -> tuple[Matrix, Matrix]:
    """Return each row's median and robust deviation, 0 for rows without enough values."""
    known = np.isfinite(values[:, usual]).sum(axis=1) >= stats.MIN_BASELINE_STEPS
    safe = np.where(known[:, None], values[:, usual], 0.0)
    middle = stats.row_quantile(safe, 0.5)
    spread = stats.MAD_TO_SIGMA * stats.row_quantile(np.abs(safe - middle), 0.5)
    upper = (stats.row_quantile(safe, 0.9) - middle) / stats.NINTH_DECILE_SIGMAS
    return middle, np.maximum(spread, upper)


def _proportions(part: Matrix, whole: Matrix, usual: slice) -> Matrix:
    ratio = stats.per_step(part, whole)
    ratio[:, usual] = stats.usual_proportions(part[:, usual], whole[:, usual])
    middle, spread = _usual(ratio, usual)
    calm = np.isfinite(ratio[:, usual])
    pooled = (_total(part[:, usual], calm) + 1) / (_total(whole[:, usual], calm) + 2)
    sampling = np.sqrt(pooled * (1 - pooled) / np.maximum(whole, 1.0))
    z: Matrix = (ratio - middle) / np.maximum(np.maximum(spread, sampling), stats.PROPORTION_FLOOR)
    return z


def _means(total: Matrix, count: Matrix, usual: slice, level: Matrix | None = None) -> Matrix:
    ratio = stats.per_step(total, count)
    middle, spread = _usual(ratio, usual)
    usual_count, _spread = _usual(np.where(count > 0, count, np.nan), usual)
    spread = spread * np.sqrt(np.maximum(1.0, usual_count / np.maximum(count, 1.0)))
    reference = middle if level is None else _usual(level, usual)[0]
    z: Matrix = (ratio - middle) / np.maximum(np.maximum(spread, stats.LEVEL_FLOOR * np.abs(reference)), FLOOR_MS)
    return z


def _errors(telemetry: Telemetry, usual: slice) -> tuple[list[str], Matrix]:
    length = telemetry.grid.length
    whole = _stack([s.requests for s in telemetry.services], length)
    part = _stack([s.errors for s in telemetry.services], length)
    return [s.service for s in telemetry.services], _proportions(part, whole, usual)


def _latencies(telemetry: Telemetry, usual: slice) -> tuple[list[str], Matrix]:
    length = telemetry.grid.length
    count = _stack([s.requests for s in telemetry.services], length)
    total = _stack([s.duration_ms for s in telemetry.services], length)
    return [s.service for s in telemetry.services], _means(total, count, usual)


def _gaps(telemetry: Telemetry, usual: slice) -> tuple[list[str], Matrix]:
    """Compare what callers wait beyond what the callee reports, by callee."""
    length = telemetry.grid.length
    count = _stack([e.calls for e in telemetry.edges], length)
    client = _stack([e.client_ms for e in telemetry.edges], length)
    server = _stack([e.server_ms for e in telemetry.edges], length)
    names = [e.server for e in telemetry.edges]
    return names, _means(client - server, count, usual, stats.per_step(client, count))


def _resources(telemetry: Telemetry, usual: slice) -> tuple[list[str], Matrix]:
    gauges = [g for g in telemetry.gauges if saturation.is_share(g)]
    values = _stack([saturation.as_share(g) for g in gauges], telemetry.grid.length)
    middle, spread = _usual(values, usual)
    floor = np.maximum(saturation.UTILISATION_FLOOR, stats.LEVEL_FLOOR * np.abs(middle))
    z = (values - middle) / np.maximum(spread, floor)
    return [g.service for g in gauges], np.where(values >= saturation.NEARLY_FULL, z, 0.0)


def _lost(telemetry: Telemetry, usual: slice) -> tuple[list[str], Matrix]:
    found = [t for t in telemetry.transitions if lost_behaviour.is_usual(t, usual)]
    ran = _stack([t.ran for t in found], telemetry.grid.length)
    followed = _stack([t.followed for t in found], telemetry.grid.length)
    z = _proportions(ran - followed, ran, usual)
    return [t.service for t in found], np.where(ran >= LEAST_RAN, z, 0.0)
