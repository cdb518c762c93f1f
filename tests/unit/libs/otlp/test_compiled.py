"""Where compiled code is kept, on a root that can be written and on one that cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from libs.otlp import compiled

NAME = "otlp-0123"


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A cache as an image has it."""
    folder = tmp_path / "image" / NAME
    folder.mkdir(parents=True)
    (folder / "decode.nbi").write_bytes(b"index")
    return folder


@pytest.fixture
def read_only(closed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith(str(closed)) and access(path, mode))
    return closed


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def test_a_folder_that_can_be_written_is_used_as_it_is(tmp_path: Path, scratch: Path) -> None:
    assert compiled.usable_folder(tmp_path / "cache" / NAME, scratch) == tmp_path / "cache" / NAME
    assert list(scratch.iterdir()) == []


def test_on_a_read_only_root_the_compiled_code_of_the_image_is_copied(read_only: Path, scratch: Path) -> None:
    used = compiled.usable_folder(read_only, scratch)

    assert used == scratch / f"incidentscope-{os.getuid()}" / NAME
    assert (used / "decode.nbi").read_bytes() == b"index"
    assert used.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in used.parent.iterdir()] == [NAME]


def test_the_next_process_finds_what_the_first_has_added(read_only: Path, scratch: Path) -> None:
    used = compiled.usable_folder(read_only, scratch)
    assert used is not None
    (used / "new.nbi").touch()

    assert compiled.usable_folder(read_only, scratch) == used
    assert (used / "new.nbi").exists()


def test_code_that_others_could_have_put_there_is_not_run(read_only: Path, scratch: Path, tmp_path: Path) -> None:
    own = scratch / f"incidentscope-{os.getuid()}"
    own.mkdir()
    own.chmod(0o777)
    assert compiled.usable_folder(read_only, scratch) is None

    own.rmdir()
    own.symlink_to(tmp_path)
    assert compiled.usable_folder(read_only, scratch) is None


def test_where_nothing_can_be_written_nothing_is_kept(read_only: Path, tmp_path: Path) -> None:
    assert compiled.usable_folder(read_only, None) is None
    assert compiled.usable_folder(read_only, tmp_path / "is not there") is None
