"""The package index settings of this machine, as a file for the build to read; nothing of them stays in the image."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.image import tools

SECONDS = 30.0
CA_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
CA_INSIDE = "/run/secrets/ca"
KEPT = ("index-url", "extra-index-url", "trusted-host", "find-links", "timeout", "default-timeout", "retries", "proxy")
_LINE = re.compile(r"^(?:global|install|:env:)\.(?P<name>[\w-]+)=(?P<value>.+)$")


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What pip is to use, by option, and the certificates it is to trust."""

    options: Mapping[str, str]
    certificates: Path | None

    def text(self) -> str:
        """Return pip's configuration file."""
        options = dict(self.options) | ({"cert": CA_INSIDE} if self.certificates else {})
        return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())


def read(environment: Mapping[str, str] = os.environ) -> PipSettings:
    """Return the settings pip has here, from its files and variables; raises SmokeFailed."""
    listed = tools.run([sys.executable, "-m", "pip", "config", "list"], SECONDS, environment=dict(environment))
    return parse(listed, environment)


def parse(listed: str, environment: Mapping[str, str]) -> PipSettings:
    """Read the lines of `pip config list`; later ones, which are the variables, win. Local folders stay out."""
    options: dict[str, str] = {}
    for line in listed.splitlines():
        if (match := _LINE.match(line)) and (match["name"] in KEPT or match["name"] == "cert"):
            options[match["name"]] = str(ast.literal_eval(match["value"])).replace("\n", "\n  ")
    cert = options.pop("cert", None) or next((environment[n] for n in CA_VARIABLES if environment.get(n)), None)
    if "default-timeout" in options:
        options["timeout"] = options.pop("default-timeout")
    links = [link for link in options.pop("find-links", "").split() if "://" in link]
    if links:
        options["find-links"] = " ".join(links)
    return PipSettings(options, Path(cert) if cert and Path(cert).is_file() else None)
