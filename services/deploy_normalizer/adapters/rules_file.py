"""The mapping rules from a file (YAML or JSON), read again when it changes; a bad change keeps the rules in force."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
import yaml
from prometheus_client import Counter

from libs.runtime.rounds import attempt
from services.deploy_normalizer.domain.mapping import BadRules, ServiceRules, parse_rules

LOOK_SECONDS = 5.0
MAX_FILE_BYTES = 5 * 1024 * 1024
RELOADS = Counter("incidentscope_deploy_normalizer_rules_reloads", "Changes of the mapping rules", ["outcome"])
log = structlog.get_logger()


def read_rules(path: Path) -> ServiceRules:
    """Return the rules of a file; raises BadRules, naming the file, when it cannot be read or used."""
    try:
        text = path.read_bytes()
        if len(text) > MAX_FILE_BYTES:
            raise BadRules(f"it is larger than {MAX_FILE_BYTES} bytes")
        return parse_rules(yaml.safe_load(text))
    except (OSError, BadRules) as exc:
        raise BadRules(f"the mapping rules {path} cannot be used: {exc}") from exc
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        raise BadRules(f"the mapping rules {path} are neither YAML nor JSON: {exc}") from exc


class RulesFile:
    """The rules in force. Without a file there are none."""

    def __init__(self, path: Path | None) -> None:
        """Read the file; raises BadRules."""
        self._path = path
        self._seen = self._state()
        self._rules = ServiceRules() if path is None else read_rules(path)

    def rules(self) -> ServiceRules:
        """Return the rules in force."""
        return self._rules

    def look(self) -> None:
        """Read the file again if it changed since last time; logs what is wrong with it."""
        state = self._state()
        if self._path is None or state == self._seen:
            return
        self._seen = state
        try:
            self._rules = read_rules(self._path)
        except BadRules as exc:
            RELOADS.labels("refused").inc()
            log.error("rules_refused", error=str(exc), rules_in_force=len(self._rules.rules))
            return
        RELOADS.labels("loaded").inc()
        log.info("rules_loaded", rules=len(self._rules.rules))

    async def watch(self) -> None:
        """Look every LOOK_SECONDS until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await attempt("rules_file", lambda: asyncio.to_thread(self.look))

    def _state(self) -> tuple[int, int, int] | None:
        """Tell one content of the file from another by inode, time and size; None where it cannot be seen."""
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size) if found else None
