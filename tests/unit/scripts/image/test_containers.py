"""How containers are started: as the compose file says."""

from __future__ import annotations

from itertools import pairwise

from scripts.image import compose
from scripts.image.containers import environment, options


def test_a_container_is_closed_as_the_file_says() -> None:
    block = compose.blocks({"CLICKHOUSE_PASSWORD": "s3cret"})["console"]
    given = options(block)

    assert "--read-only" in given
    assert "--read-only-tmpfs=false" in given  # podman would add more places to write to than Docker does
    pairs = list(pairwise(given))
    assert [("--tmpfs", place) for place in block.tmpfs] == [pair for pair in pairs if pair[0] == "--tmpfs"]
    assert ("--cap-drop", "ALL") in pairs
    assert ("--security-opt", "no-new-privileges") in pairs
    assert ("--env", "CLICKHOUSE_PASSWORD") in pairs


def test_passwords_are_handed_over_where_others_cannot_see_them() -> None:
    block = compose.blocks({"CLICKHOUSE_PASSWORD": "s3cret"})["console"]

    assert not any("s3cret" in word for word in options(block))
    assert environment(block)["CLICKHOUSE_PASSWORD"] == "s3cret"
