import hashlib
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from infra.local import jars, maven
from infra.local.errors import LocalStackError
from infra.local.jars import Pins
from infra.local.maven import Coordinate, FetchFailed

ONE = Coordinate("a.b", "one", "1.0")
TWO = Coordinate("a.b", "two", "2.0")
PINS = Pins("9.9", {c: hashlib.sha256(c.file_name.encode()).hexdigest() for c in (ONE, TWO)})


def deliver(coordinates: list[Coordinate], to: Path) -> None:
    for coordinate in coordinates:
        (to / coordinate.file_name).write_text(coordinate.file_name)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(jars, "read_pins", lambda: PINS)
    return {"INCIDENTSCOPE_CACHE": str(tmp_path), "PATH": ""}


def test_what_is_pinned_is_a_kafka_with_a_logging_binding_and_every_hash() -> None:
    pins = jars.read_pins()
    artifacts = {coordinate.artifact for coordinate in pins.hashes}
    assert {"kafka_2.13", "kafka-clients", "slf4j-simple", "zstd-jni", "snappy-java", "lz4-java"} <= artifacts
    assert all(len(digest) == 64 for digest in pins.hashes.values())
    assert {c.version for c in pins.hashes if c.artifact == "kafka_2.13"} == {pins.version}


def test_the_cache_follows_its_variable_then_the_desktop_convention() -> None:
    assert jars.cache_folder({"INCIDENTSCOPE_CACHE": "/x", "XDG_CACHE_HOME": "/y"}) == Path("/x")
    assert jars.cache_folder({"XDG_CACHE_HOME": "/y"}) == Path("/y/incidentscope")
    assert jars.cache_folder({}) == Path.home() / ".cache/incidentscope"


def test_jars_are_fetched_once(cache: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def jgo(coordinates: list[Coordinate], to: Path, *_: object) -> None:
        calls.append("jgo")
        deliver(coordinates, to)

    monkeypatch.setattr(maven, "by_jgo", jgo)
    for _ in range(2):
        folder = jars.ensure(cache, Path("/java"), calls.append)
    assert sorted(path.name for path in folder.iterdir()) == ["one-1.0.jar", "two-2.0.jar"]
    assert calls.count("jgo") == 1


def test_a_damaged_jar_is_fetched_again_and_nothing_else_is_left_behind(
    cache: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maven, "by_jgo", lambda coordinates, to, *_: deliver(coordinates, to))
    folder = jars.ensure(cache, Path("/java"), lambda _: None)
    (folder / ONE.file_name).write_text("cut sho")
    assert jars.problems(folder, PINS) == [ONE.file_name]
    jars.ensure(cache, Path("/java"), lambda _: None)
    assert jars.problems(folder, PINS) == []
    assert [path.name for path in folder.parent.iterdir()] == ["kafka-9.9"]


def test_mvn_takes_over_when_jgo_delivers_something_else(
    cache: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maven, "by_jgo", lambda _, to, *__: (to / ONE.file_name).write_text("forged"))
    monkeypatch.setattr(maven, "by_mvn", lambda coordinates, to, *_: deliver(coordinates, to))
    assert jars.problems(jars.ensure(cache, Path("/java"), lambda _: None), PINS) == []


def test_no_way_of_fetching_is_one_sentence(cache: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise FetchFailed("connection refused")

    monkeypatch.setattr(maven, "by_jgo", refuse)
    with pytest.raises(LocalStackError) as caught:
        jars.ensure({**cache, "INCIDENTSCOPE_MAVEN_REPO": "http://127.0.0.1:9/x"}, Path("/java"), lambda _: None)
    text = str(caught.value)
    assert "could not be fetched from http://127.0.0.1:9/x (jgo: connection refused; mvn: not installed)" in text
    assert "set INCIDENTSCOPE_MAVEN_REPO" in text
    assert "\n" not in text
    assert list(Path(cache["INCIDENTSCOPE_CACHE"]).iterdir()) == []


def test_without_the_jgo_package_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    with pytest.raises(FetchFailed, match="the Python package jgo is not installed"):
        maven.by_jgo([ONE], tmp_path, None, lambda _: None)


def test_the_pom_asks_for_these_jars_and_for_none_of_their_dependencies() -> None:
    tree = ElementTree.fromstring(maven.project_file([ONE, TWO], "http://repo/?a&b"))  # noqa: S314  # our own text
    assert [e.text for e in tree.findall("dependencies/dependency/artifactId")] == ["one", "two"]
    assert len(tree.findall(".//exclusion")) == 2
    assert [e.text for e in tree.findall(".//url")] == ["http://repo/?a&b"] * 2


def test_a_coordinate_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        Coordinate.parse("only:two")


def test_the_pinned_file_is_sorted_so_that_changes_read_well() -> None:
    names = [Coordinate.parse(text) for text in json.loads(jars.PINNED.read_text())["jars"]]
    assert names == sorted(names)
