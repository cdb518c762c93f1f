"""Simulates requests through the shop: spans with durations and failures that follow from the calls they make."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from scripts.demo import scenario as sc
from scripts.demo import world
from scripts.demo.scenario import Scenario

TIMEOUT_MS = 2000.0  # every caller gives up after this long
NOISE_ERROR_RATE = 0.05


@dataclass(slots=True)
class Span:
    """One span; times are milliseconds after the trace's start. `error` is the status message, empty when fine."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    service: str
    name: str
    client: bool
    target: str
    start_ms: float
    duration_ms: float
    error: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call went, as the callee lived it."""

    duration_ms: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """One request: when it began and all spans it left."""

    started_at: datetime
    spans: list[Span]


class Shop:
    """Runs requests under a scenario. Deterministic for a seed."""

    def __init__(self, scenario: Scenario, requests_per_second: float) -> None:
        self.scenario = scenario
        self._rng = random.Random(scenario.seed * 7919 + 13)
        self._rate = requests_per_second

    def requests(self, start: datetime, end: datetime) -> Iterator[Trace]:
        """Yield the requests that arrive in a time range, as a Poisson process."""
        operations, weights = list(world.TRAFFIC), list(world.TRAFFIC.values())
        at = start + timedelta(seconds=self._rng.expovariate(self._rate))
        while at < end:
            operation = self._rng.choices(operations, weights)[0]
            yield self._request(at, operation)
            at += timedelta(seconds=self._rng.expovariate(self._rate))

    def _request(self, at: datetime, operation: str) -> Trace:
        trace = Trace(at, [])
        self._serve(trace, self._rng.randbytes(16), b"", world.ENTRY, operation, 0.0)
        return trace

    def _serve(self, trace: Trace, trace_id: bytes, parent: bytes, service: str, name: str, start: float) -> Outcome:
        operation = world.SERVICES[service][name]
        span = Span(trace_id, self._rng.randbytes(8), parent, service, name, False, "", start, 0.0, "")
        trace.spans.append(span)
        elapsed = self._work_ms(service, operation.self_ms, trace.started_at)
        error = self._own_error(service, trace.started_at)
        for call in operation.calls if not error else ():
            outcome = self._call(trace, span, call, start + elapsed)
            elapsed += outcome.duration_ms
            if outcome.error and self._rng.random() >= call.tolerated:
                error = f"{call.target}: {outcome.error}"
                break
        span.duration_ms, span.error = elapsed, error
        return Outcome(elapsed, error)

    def _call(self, trace: Trace, caller: Span, call: world.Call, start: float) -> Outcome:
        dependency = world.DEPENDENCIES.get(call.target)
        name = dependency.operation if dependency else call.operation
        span_id = self._rng.randbytes(8)
        span = Span(caller.trace_id, span_id, caller.span_id, caller.service, name, True, call.target, start, 0.0, "")
        trace.spans.append(span)
        outcome = self._reach(trace, span, call, start + 0.3)
        if outcome.duration_ms > TIMEOUT_MS:
            outcome = Outcome(TIMEOUT_MS, "deadline exceeded")
        span.duration_ms, span.error = outcome.duration_ms + 0.6, outcome.error
        return Outcome(span.duration_ms, outcome.error)

    def _reach(self, trace: Trace, span: Span, call: world.Call, start: float) -> Outcome:
        dead = self.scenario.cause == sc.DEAD_DEPENDENCY and self.scenario.broken(call.target, trace.started_at)
        if dead:
            slow = self._rng.random() < 0.3
            return Outcome(TIMEOUT_MS + 1 if slow else 1.5, "connection refused")
        dependency = world.DEPENDENCIES.get(call.target)
        if dependency is None:
            return self._serve(trace, span.trace_id, span.span_id, call.target, call.operation, start)
        return Outcome(self._dependency_ms(dependency, trace.started_at))

    def _dependency_ms(self, dependency: world.Dependency, at: datetime) -> float:
        base = self._jitter(dependency.mean_ms)
        if self.scenario.cause == sc.SLOW_DATABASE and self.scenario.broken(dependency.name, at):
            return base + self._rng.uniform(350, 1400)
        return base

    def _work_ms(self, service: str, mean: float, at: datetime) -> float:
        base = self._jitter(mean)
        if service == self.scenario.noisy and self._rng.random() < 0.08:
            base *= self._rng.uniform(3, 12)  # slow now and then, and always was
        if self.scenario.broken(service, at):
            if self.scenario.cause == sc.CPU_STARVATION:
                return base * 8 + self._rng.uniform(250, 1300)
            if self.scenario.cause == sc.BAD_DEPLOY:
                return base * self._rng.uniform(1.5, 3)
        return base

    def _own_error(self, service: str, at: datetime) -> str:
        roll = self._rng.random()
        if self.scenario.cause == sc.BAD_DEPLOY and self.scenario.broken(service, at):
            return "NullReferenceError: price rule is missing" if roll < 0.55 else ""
        if service == self.scenario.noisy and roll < NOISE_ERROR_RATE:
            return "ValidationError: bad request field"
        return "internal error" if roll < 0.001 else ""

    def _jitter(self, mean: float) -> float:
        return mean * self._rng.lognormvariate(0.0, 0.35)
