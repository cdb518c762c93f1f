"""One export, whichever way it came: checked, kept, counted."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram

from libs.kernel.errors import InvalidInput, Unavailable
from services.otlp_receiver.domain import Encoding, ExportRefused, Outcome, Reason, Signal, Taken
from services.otlp_receiver.ports import Checker, Publisher


class ReceiverMetrics:
    """What the receiver tells about itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "incidentscope_otlp_receiver"
        labels = ["signal", "protocol", "outcome"]
        self.exports = Counter(f"{prefix}_exports_total", "Exports by how they ended", labels, registry=registry)
        self.bytes = Counter(f"{prefix}_bytes_total", "Bytes of accepted exports", ["signal"], registry=registry)
        self.seconds = Histogram(
            f"{prefix}_export_seconds", "From the decoded body until the broker's answer", registry=registry
        )


class Receiver:
    """Takes exports and keeps them as they came."""

    def __init__(self, publisher: Publisher, checker: Checker, metrics: ReceiverMetrics) -> None:
        self._publisher = publisher
        self._checker = checker
        self._metrics = metrics

    async def receive(self, signal: Signal, tenant: str, encoding: Encoding, body: bytes) -> Taken:
        """Return once the export is kept, if there is anything to keep; raises ExportRefused."""
        try:
            checked = await self._checker.check(signal, tenant, encoding, body)
        except Unavailable as error:
            raise ExportRefused(Reason.UNAVAILABLE, f"not stored, send it again: {error}") from error
        if checked.reason is not None:
            raise ExportRefused(checked.reason, checked.problem)
        if checked.ignored:
            return Taken(Outcome.IGNORED, checked.ignored)
        if checked.empty:
            return Taken(Outcome.EMPTY)
        await self._publish(signal, tenant, encoding, body)
        return Taken(Outcome.ACCEPTED)

    async def _publish(self, signal: Signal, tenant: str, encoding: Encoding, body: bytes) -> None:
        started = time.monotonic()
        try:
            await self._publisher.publish(signal, tenant, encoding, body)
        except Unavailable as error:
            raise ExportRefused(Reason.UNAVAILABLE, f"not stored, send it again: {error}") from error
        except InvalidInput as error:
            raise ExportRefused(Reason.TOO_LARGE, str(error)) from error
        finally:
            self._metrics.seconds.observe(time.monotonic() - started)
        self._metrics.bytes.labels(signal).inc(len(body))

    def count(self, signal: Signal, protocol: str, ended: Outcome | Reason) -> None:
        """Count an export by how it ended."""
        self._metrics.exports.labels(signal, protocol, ended).inc()
