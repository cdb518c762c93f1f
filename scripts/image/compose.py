"""docker-compose.yml as a machine without a Docker engine can follow it: our own containers, at local addresses."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from infra.local.ports import HOST, Ports
from infra.local.services import SERVICES
from libs.kernel.errors import IncidentScopeError

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
IMAGE = "incidentscope:local"
SERVERS = {"kafka:9092": "kafka", "postgres:5432": "postgres", "clickhouse:9000": "clickhouse_native"}
CLICKHOUSE_HTTP = "http_port=8123"
SECRET = ("PASSWORD", "SECRET", "TOKEN")
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?])(?P<other>[^}]*))?\})"
)


class ComposeError(IncidentScopeError):
    """The compose file says something that this reader does not follow, or a variable it asks for is missing."""


@dataclass(frozen=True, slots=True)
class Block:
    """One service of the file that runs our image."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: tuple[str, ...]  # a command; empty for what runs once
    needs: frozenset[str]
    tmpfs: tuple[str, ...]
    read_only: bool
    cap_drop: tuple[str, ...]
    security_opt: tuple[str, ...]

    @property
    def once(self) -> bool:
        """Return whether it runs to its end before the others start."""
        return not self.health


def blocks(environment: Mapping[str, str] = os.environ, file: Path = FILE) -> dict[str, Block]:
    """Return the services that run our image, by name; raises ComposeError."""
    known = yaml.safe_load(file.read_text())["services"]
    return {
        name: _block(name, filled(content, environment)) for name, content in known.items() if content["image"] == IMAGE
    }


def server_settings(service: str, environment: Mapping[str, str] = os.environ, file: Path = FILE) -> dict[str, str]:
    """Return the environment of one of the servers, such as `postgres`; raises ComposeError."""
    content = filled(yaml.safe_load(file.read_text())["services"][service], environment)
    return _texts(content["environment"])


def _block(name: str, content: Mapping[str, Any]) -> Block:
    health = content.get("healthcheck", {}).get("test", ["CMD"])
    if health[0] != "CMD":
        raise ComposeError(f"{name}: its health check should be a CMD, the image's commands need no shell")
    return Block(
        name,
        tuple(content["command"]),
        _texts(content["environment"]),
        tuple(health[1:]),
        frozenset(content.get("depends_on", {})),
        tuple(content.get("tmpfs", ())),
        bool(content.get("read_only", False)),
        tuple(content.get("cap_drop", ())),
        tuple(content.get("security_opt", ())),
    )


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def filled(value: Any, environment: Mapping[str, str]) -> Any:
    """Return a part of the file with its variables filled in, as Compose does; raises ComposeError."""
    if isinstance(value, Mapping):
        return {key: filled(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, environment) for item in value]
    return _VARIABLE.sub(lambda found: _value(found, environment), value) if isinstance(value, str) else value


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    if found["escaped"]:
        return "$"
    name, how = found["plain"] or found["name"], found["how"] or "-"
    given = environment.get(name)
    if given or (given is not None and not how.startswith(":")):
        return given
    if how.endswith("?"):
        raise ComposeError(f"{name} must be set: {found['other'] or 'docker-compose.yml asks for it'}")
    return found["other"] or ""


def in_order(found: Sequence[Block]) -> list[Block]:
    """Return the blocks with each after those among them that it needs; raises ComposeError for a circle."""
    ordered: dict[str, Block] = {}
    while len(ordered) < len(found):
        waiting = {block.name for block in found} - ordered.keys()
        ready = {block.name: block for block in found if block.name in waiting and not block.needs & waiting}
        if not ready:
            raise ComposeError(f"{', '.join(sorted(waiting))} wait for each other")
        ordered |= ready
    return list(ordered.values())


def at_local_addresses(found: Mapping[str, Block], ports: Ports) -> dict[str, Block]:
    """Return the blocks with each `host:port` and port replaced by where that is here; nothing else changes."""
    places = {written: ports.address(name) for written, name in SERVERS.items()}
    places[CLICKHOUSE_HTTP] = f"http_port={ports['clickhouse_http']}"
    numbers: dict[tuple[str, str], str] = {}
    for service in SERVICES:
        settings = found[service.name].environment
        for variable, port in {"HEALTH_PORT": service.port, **service.extra}.items():
            numbers[service.name, variable] = str(ports[port])
            places[f"{service.name}:{settings[variable]}"] = ports.address(port)
            places[f"{HOST}:{settings[variable]}"] = ports.address(port)
    numbers["otlp_receiver", "OTLP_HTTP_PORT"] = str(ports["otlp_http"])
    return {name: _moved(block, places, numbers) for name, block in found.items()}


def _moved(block: Block, places: Mapping[str, str], numbers: Mapping[tuple[str, str], str]) -> Block:
    pattern = re.compile("|".join(rf"(?<![\w.]){re.escape(place)}(?!\d)" for place in places))

    def moved(text: str) -> str:
        return pattern.sub(lambda found: places[found[0]], text)

    environment = {
        name: value if name.endswith(SECRET) else numbers.get((block.name, name)) or moved(value)
        for name, value in block.environment.items()
    }
    return replace(block, environment={**environment, "HOST": HOST}, health=tuple(moved(word) for word in block.health))
