"""The ClickHouse engine behind its native protocol and HTTP: the gateway process over `chdb`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.part import Part, Say, http_problem, tcp_problem
from infra.local.ports import HOST, Ports
from infra.local.processes import Command
from libs.storage.clickhouse_address import PASSWORD_VARIABLE, ClickHouseAddress

PROJECT = Path(__file__).resolve().parents[2]
DATABASE = "incidentscope"


@dataclass(frozen=True, slots=True)
class ClickHouse:
    """Where this engine lives."""

    home: Path
    ports: Ports
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """Return the address for clients: the native port, with the HTTP port as a parameter."""
        native, http = self.ports["clickhouse_native"], self.ports["clickhouse_http"]
        user = self.environment.get("CLICKHOUSE_USER", "default")  # as the gateway has it; its password likewise
        return str(ClickHouseAddress(HOST, native, http, user, self.environment.get(PASSWORD_VARIABLE, ""), DATABASE))

    def part(self) -> Part:
        """Return how to run it."""
        return Part("clickhouse", ("clickhouse_native", "clickhouse_http"), self._prepare, self._problem)

    def _prepare(self, _say: Say) -> Command:
        data = self.home / "clickhouse"
        data.mkdir(parents=True, exist_ok=True)
        argv = [
            sys.executable, "-m", "infra.local.clickhouse_gateway", "--data-dir", str(data), "--host", HOST,
            "--native-port", str(self.ports["clickhouse_native"]), "--http-port", str(self.ports["clickhouse_http"]),
        ]  # fmt: skip
        return Command(argv, self.environment, PROJECT)

    def _problem(self) -> str | None:
        return tcp_problem(self.ports["clickhouse_native"]) or http_problem(self.ports["clickhouse_http"], "/ping")
