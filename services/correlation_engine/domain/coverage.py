"""Up to when calls are known as well as requests: edges need both halves of a call and are computed some time later."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from services.correlation_engine.domain import stats
from services.correlation_engine.domain.model import Telemetry

MOST = timedelta(minutes=10)  # edges later than this are not late: they do not come
COVERED = 0.5  # of the usual share of requests whose callers are known


def settled(telemetry: Telemetry) -> Telemetry:
    """Return the telemetry up to where edges are complete; the same object when they are complete to its end.

    Half of an outage's calls would blame a caller for what failed below it.
    """
    steps = complete_steps(telemetry)
    return telemetry if steps == telemetry.grid.length else telemetry.first(steps)


def complete_steps(telemetry: Telemetry) -> int:
    """Return how many steps of the grid have their edges: only the last ten minutes of it can lack them.

    Told from requests whose caller reports them too: their share of all requests is steady, whatever is broken.
    """
    length = telemetry.grid.length
    called = {edge.server for edge in telemetry.edges if edge.instrumented and edge.client != edge.server}
    paired = telemetry.grid.zeros()
    for edge in telemetry.edges:
        if edge.server in called:
            paired += edge.calls - edge.unpaired
    requests = sum((s.requests for s in telemetry.services if s.service in called), telemetry.grid.zeros())
    share = np.divide(paired, requests, out=np.full(length, np.nan), where=requests > 0)
    late = max(0, length - MOST // telemetry.grid.step)
    known = share[:late][np.isfinite(share[:late])]
    if known.size < stats.MIN_BASELINE_STEPS:
        return length
    judged = np.flatnonzero(np.isfinite(share))
    behind = share[judged] < COVERED * float(np.median(known))
    covered = judged[~behind]
    steps = int(covered[-1]) + 1 if covered.size and behind[-1] else length
    return max(late, steps)
