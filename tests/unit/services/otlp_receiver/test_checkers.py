"""What is said about bodies, and that JSON is looked into by other processes, in turn."""

from __future__ import annotations

import asyncio
import json
import os
import signal as signals
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from libs.kernel.errors import Unavailable
from services.otlp_receiver.adapters import checkers as beside
from services.otlp_receiver.adapters.checkers import AT_ONCE_BYTES, MOST_OF_ONE_TENANT, Checkers
from services.otlp_receiver.decode import MAX_JSON_OBJECTS, MAX_RECORDS, check
from services.otlp_receiver.domain import Checked, Encoding, Reason, Signal
from tests.unit.libs.otlp.requests import TRACE, logs, metrics, spans

NAMES = {
    Signal.LOGS: ("resourceLogs", "scopeLogs", "logRecords"),
    Signal.METRICS: ("resourceMetrics", "scopeMetrics", "metrics"),
    Signal.TRACES: ("resourceSpans", "scopeSpans", "spans"),
}


RECORDS: dict[Signal, dict[str, Any]] = {
    Signal.LOGS: {}, Signal.METRICS: {"gauge": {"dataPoints": []}}, Signal.TRACES: {"startTimeUnixNano": "1"},
}  # fmt: skip


def written(signal: Signal, *records: Any) -> bytes:
    resources, scopes, name = NAMES[signal]
    return json.dumps({resources: [{scopes: [{name: list(records)}]}]}).encode()


@pytest.mark.parametrize("signal", Signal)
def test_an_export_is_fine_empty_or_refused_with_its_reason(signal: Signal) -> None:
    assert check(signal, Encoding.JSON, written(signal, RECORDS[signal])) == Checked()
    assert check(signal, Encoding.JSON, b"{}") == Checked(empty=True)
    assert check(signal, Encoding.PROTOBUF, b"") == Checked(empty=True)
    broken = check(signal, Encoding.JSON, written(signal, {})[:-1])
    assert (broken.reason, broken.problem.startswith("malformed_json")) == (Reason.UNDECODABLE, True)
    assert check(signal, Encoding.PROTOBUF, b"\xff").reason is Reason.UNDECODABLE


@pytest.mark.parametrize("signal", Signal)
def test_records_are_bounded(signal: Signal) -> None:
    assert check(signal, Encoding.JSON, written(signal, *[RECORDS[signal]] * MAX_RECORDS)) == Checked()
    many = check(signal, Encoding.JSON, written(signal, *[RECORDS[signal]] * (MAX_RECORDS + 1)))
    assert (many.reason, str(MAX_RECORDS) in many.problem) == (Reason.TOO_LARGE, True)


def test_points_of_metrics_are_records_too() -> None:
    gauge = {"name": "g", "gauge": {"dataPoints": [{}] * MAX_RECORDS}}
    assert check(Signal.METRICS, Encoding.JSON, written(Signal.METRICS, gauge)).reason is Reason.TOO_LARGE


@pytest.mark.parametrize("piece", [b"{},", b"[],"])
def test_json_of_very_many_objects_is_not_even_read(piece: bytes) -> None:
    body = b'{"x":[' + piece * MAX_JSON_OBJECTS + b"{}]}"
    found = check(Signal.LOGS, Encoding.JSON, body + b"[]")
    assert (found.reason, str(MAX_JSON_OBJECTS) in found.problem) == (Reason.TOO_LARGE, True)


LARGE = written(Signal.LOGS, *[{"body": {"stringValue": "x" * 100}}] * (AT_ONCE_BYTES // 100))


async def until_it_dies(checkers: Checkers) -> None:
    for _ in range(100):
        await checkers.check(Signal.LOGS, "acme", Encoding.JSON, LARGE)


def test_json_is_looked_into_by_another_process_which_may_die() -> None:
    async def story() -> None:
        checkers = Checkers(1)
        try:
            assert await checkers.check(Signal.LOGS, "acme", Encoding.JSON, LARGE) == Checked()
            broken = await checkers.check(Signal.LOGS, "acme", Encoding.JSON, LARGE[:-1])
            assert broken.reason is Reason.UNDECODABLE
            pool: Any = checkers._pool
            (process,) = pool._processes
            assert process != os.getpid()
            os.kill(process, signals.SIGKILL)
            with pytest.raises(Unavailable):
                await until_it_dies(checkers)
            assert await checkers.check(Signal.LOGS, "acme", Encoding.JSON, LARGE) == Checked()
            assert checkers._turns == {}
        finally:
            checkers.close()

    asyncio.run(story())


def test_a_tenant_has_one_body_in_work_and_few_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        checkers, working, release = Checkers(2), list[int](), asyncio.Event()

        async def work(_signal: Signal, body: bytes) -> Checked:
            working.append(len(body))
            await release.wait()
            return Checked()

        monkeypatch.setattr(checkers, "_beside", work)

        def ask(tenant: str) -> asyncio.Task[Checked]:
            return asyncio.create_task(checkers.check(Signal.LOGS, tenant, Encoding.JSON, LARGE))

        first = [ask("acme") for _ in range(MOST_OF_ONE_TENANT)]
        await asyncio.sleep(0)
        other = ask("zoo")
        await asyncio.sleep(0)
        assert len(working) == 2
        with pytest.raises(Unavailable):
            await ask("acme")
        monkeypatch.setattr(beside, "MOST_WAITING", MOST_OF_ONE_TENANT + 1)
        with pytest.raises(Unavailable):
            await ask("third")
        assert await checkers.check(Signal.LOGS, "third", Encoding.JSON, b"{}") == Checked(empty=True)
        release.set()
        assert await asyncio.gather(*first, other) == [Checked()] * (MOST_OF_ONE_TENANT + 1)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("signal", "sent"), [(Signal.TRACES, logs), (Signal.METRICS, logs), (Signal.LOGS, spans), (Signal.METRICS, spans)]
)
@pytest.mark.parametrize("count", [1, 3000])
def test_an_export_of_another_signal_is_undecodable_whatever_its_size(signal: Signal, sent: Any, count: int) -> None:
    record = LogRecord(time_unix_nano=1) if sent is logs else Span(trace_id=TRACE, start_time_unix_nano=1)
    found = check(signal, Encoding.PROTOBUF, sent(*[record] * count).SerializeToString())
    assert (found.reason, "wrong_wire_type" in found.problem) == (Reason.UNDECODABLE, True)


def test_metrics_at_the_door_of_traces_are_no_spans() -> None:
    gauge = metrics(Metric(name="disk.free", gauge={"data_points": [{"as_double": 1}]}))  # type: ignore[arg-type]
    found = check(Signal.TRACES, Encoding.PROTOBUF, gauge.SerializeToString())
    assert (found.reason, "not_otlp" in found.problem) == (Reason.UNDECODABLE, True)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (Encoding.JSON, b'{"message": "plain", "level": "error"}'),
        (Encoding.JSON, b'{"resourceLogs": [{"instrumentationLibraryLogs": []}]}'),
        (Encoding.PROTOBUF, b"\x6a\x03abc"),
    ],
)
def test_what_no_record_comes_from_is_ignored_and_its_sender_told(encoding: Encoding, body: bytes) -> None:
    found = check(Signal.LOGS, encoding, body)
    assert (found.reason, found.empty, found.ignored.startswith("not_otlp: ")) == (None, False, True)
