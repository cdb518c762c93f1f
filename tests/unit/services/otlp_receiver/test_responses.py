"""What an export is answered with: nothing where all is well, else a warning, in both encodings."""

from __future__ import annotations

import asyncio
import json

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from prometheus_client import CollectorRegistry

from services.otlp_receiver.adapters.responses import response_body, status_body
from services.otlp_receiver.domain import Checked, Encoding, Outcome, Signal, Taken
from services.otlp_receiver.handlers import Receiver, ReceiverMetrics


def test_all_well_says_nothing() -> None:
    assert response_body("", Encoding.PROTOBUF) == b""
    assert response_body("", Encoding.JSON) == b"{}"


@pytest.mark.parametrize("warning", ["not_otlp: é", "x" * 1000])
def test_a_warning_is_a_partial_success_without_rejected_records(warning: str) -> None:
    read = ExportLogsServiceResponse.FromString(response_body(warning, Encoding.PROTOBUF))
    assert (read.partial_success.error_message, read.partial_success.rejected_log_records) == (warning, 0)
    assert json.loads(response_body(warning, Encoding.JSON)) == {"partialSuccess": {"errorMessage": warning}}


def test_a_status_has_a_code_and_a_message() -> None:
    assert status_body(3, "no", Encoding.PROTOBUF) == b"\x08\x03\x12\x02no"
    assert json.loads(status_body(3, "no", Encoding.JSON)) == {"code": 3, "message": "no"}


class Broker:
    def __init__(self) -> None:
        self.kept: list[bytes] = []

    async def publish(self, signal: Signal, tenant: str, encoding: Encoding, body: bytes) -> None:  # noqa: ARG002
        self.kept.append(body)


class Says:
    def __init__(self, found: Checked) -> None:
        self._found = found

    async def check(self, signal: Signal, tenant: str, encoding: Encoding, body: bytes) -> Checked:  # noqa: ARG002
        return self._found


@pytest.mark.parametrize(
    ("found", "taken", "kept"),
    [
        (Checked(), Taken(Outcome.ACCEPTED), [b"body"]),
        (Checked(empty=True), Taken(Outcome.EMPTY), []),
        (Checked(ignored="not_otlp: no"), Taken(Outcome.IGNORED, "not_otlp: no"), []),
    ],
)
def test_only_what_has_something_in_it_is_kept(found: Checked, taken: Taken, kept: list[bytes]) -> None:
    broker = Broker()
    receiver = Receiver(broker, Says(found), ReceiverMetrics(CollectorRegistry()))
    assert asyncio.run(receiver.receive(Signal.LOGS, "acme", Encoding.JSON, b"body")) == taken
    assert broker.kept == kept
