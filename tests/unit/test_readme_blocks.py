"""Every fenced block of the README is of a kind that the end-to-end test runs or reads."""

from __future__ import annotations

import re

from infra.local.ports import Ports
from tests.e2e.readme import README, ROOT, Block, blocks


def test_a_block_is_a_drawing_or_sample_yaml_or_commands() -> None:
    page = list(blocks(README.read_text()))

    assert {block.language for block in page} <= {"", "yaml", "bash"}
    assert [block.line for block in page if not block.language and block.has_commands] == []


def test_every_target_and_module_that_is_named_exists() -> None:
    page = README.read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:`|^|\(|\$\()make (?:-s )?([a-z][a-z-]*)", page, re.MULTILINE)) - targets == set()
    modules = set(re.findall(r"python -m ((?:scripts|services|infra)\.[a-z_.]*[a-z_])", page))
    paths = {module: ROOT / module.replace(".", "/") for module in modules if "<" not in module}
    assert [m for m, path in paths.items() if not path.with_suffix(".py").exists() and not path.is_dir()] == []


def test_the_files_it_points_at_exist() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text())

    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []


def test_addresses_of_a_block_are_moved_to_a_stack_and_nothing_else() -> None:
    moved = Block("bash", 1, "curl http://127.0.0.1:8081/a -d 8081 127.0.0.1:80812").at(Ports.defaults(1000))

    assert moved == "curl http://127.0.0.1:9081/a -d 8081 127.0.0.1:80812"
