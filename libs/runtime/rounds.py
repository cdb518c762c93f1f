"""One round of work by the clock: whatever goes wrong in it is told and counted, and met again in the next round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import structlog
from prometheus_client import Counter

from libs.kernel.errors import IncidentScopeError

log = structlog.get_logger()
FAILED = Counter("incidentscope_job_failures_total", "Rounds of work by the clock that failed", ["job", "reason"])


async def attempt(job: str, work: Callable[[], Awaitable[object]], **where: str) -> str | None:
    """Do one round and return None, or why it failed: no error of any kind ends the loop it is called from."""
    try:
        await work()
    except Exception as exc:
        FAILED.labels(job, type(exc).__name__).inc()
        expected = isinstance(exc, IncidentScopeError)
        log.warning("job_failed", job=job, error=str(exc) or repr(exc), exc_info=None if expected else exc, **where)
        return str(exc) or repr(exc)
    return None


async def attempt_each(
    job: str, tenants: Iterable[str], work: Callable[[str], Awaitable[object]]
) -> dict[str, str]:  # fmt: skip
    """Do one round for every tenant, whatever becomes of the others'; return why it failed, by tenant."""
    failed = {}
    for tenant in sorted(tenants):
        why = await attempt(job, lambda tenant=tenant: work(tenant), tenant=tenant)  # type: ignore[misc]
        if why is not None:
            failed[tenant] = why
    return failed


def pause(failures: int, first_s: float, most_s: float) -> float:
    """Return how many seconds to wait after that many failures in a row: twice as long each time, up to a bound."""
    return float(min(most_s, first_s * 2 ** min(failures, 20)))
