"""What goes from an environment, and that libraries still load without what only debuggers read."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.image import slim

UNUSED = (
    "pip/__init__.py", "pip-26.0.dist-info/METADATA", "setuptools/__init__.py", "_distutils_hack/__init__.py",
    "numpy/tests/test_x.py", "numpy/_core/include/numpy/x.h", "numpy/_core/lib/x.a", "numpy/x.pyi",
    "numpy/__pycache__/x.pyc",
)  # fmt: skip
USED = ("numpy/__init__.py", "numpy/testing/__init__.py", "numpy-2.0.dist-info/METADATA", "numpy/data.json")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in (*UNUSED, *USED):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("x")
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "bin").mkdir()
    for name in ("pip", "pip3.11", "python"):
        (tmp_path / "bin" / name).touch()
    return tmp_path


def test_what_running_does_not_need_goes_and_the_rest_stays(environment: Path) -> None:
    slim.slim(environment)

    packages = environment / "lib" / "python3.11" / "site-packages"
    assert {str(p.relative_to(packages)) for p in packages.rglob("*") if p.is_file()} == set(USED)
    assert [p.name for p in (environment / "bin").iterdir()] == ["python"]


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()

    with pytest.raises(ValueError, match="no virtual environment"):
        slim.slim(tmp_path)

    assert (tmp_path / "tests").exists()


def test_a_library_without_its_symbols_is_smaller_and_works(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("zstandard.backend_c")
    assert spec is not None
    assert spec.origin is not None
    library = Path(shutil.copy(spec.origin, tmp_path))
    before = library.stat().st_size
    # The name it was built under, so that Python finds its entry point.
    program = (
        "import importlib.machinery as m, importlib.util as u, sys\n"
        "loader = m.ExtensionFileLoader('zstandard.backend_c', sys.argv[1])\n"
        "c = u.module_from_spec(u.spec_from_loader(loader.name, loader))\n"
        "loader.exec_module(c)\n"
        "assert c.ZstdDecompressor().decompress(c.ZstdCompressor().compress(b'x' * 999)) == b'x' * 999"
    )

    saved = slim.without_symbols(library)

    assert saved > before // 2
    assert library.stat().st_size == before - saved
    subprocess.run([sys.executable, "-c", program, str(library)], check=True)
    assert slim.without_symbols(library) == 0


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"INPUT(libc.so.6)" * 9, b"\x7fELF\x01\x01" + b"\0" * 90])
def test_what_is_no_library_of_this_kind_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.so"
    file.write_bytes(content)

    assert slim.without_symbols(file) == 0
    assert file.read_bytes() == content
