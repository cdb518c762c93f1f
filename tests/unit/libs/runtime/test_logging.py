"""Structured logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from libs.runtime.logging import configure_logging


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.basicConfig(force=True)


def test_a_line_is_json_with_time_level_event_and_service(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("console")

    structlog.get_logger().info("opened", tenant="acme", duration_ms=3)

    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["level"], line["service"], line["tenant"]) == ("opened", "info", "console", "acme")
    assert line["timestamp"].endswith("Z")


def test_values_under_secret_names_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("console")

    structlog.get_logger().info("call", api_key="abc", Authorization="Bearer x", webhook_secret="s", page_token="p")

    out = capsys.readouterr().out
    assert "abc" not in out
    assert "Bearer" not in out
    assert json.loads(out)["page_token"] == "p"


def test_libraries_that_log_in_the_standard_way_come_out_in_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("console")

    logging.getLogger("library").warning("slow %s", "client")

    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["level"], line["logger"]) == ("slow client", "warning", "library")
