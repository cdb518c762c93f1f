import io
import tarfile
from pathlib import Path

from tests.bench.rca import data


def test_an_archive_is_unpacked_and_writes_nothing_outside_its_folder(tmp_path: Path) -> None:
    source, cache = tmp_path / "petshop.tar.xz", tmp_path / "cache"
    with tarfile.open(source, "w:xz") as archive:
        for name in ("petshop/issue/metrics.csv", "../../stray.csv", "/stray.csv"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"a,b"))

    folder = data._unpacked(source, "petshop", cache)

    assert (folder / "issue" / "metrics.csv").read_text() == "a,b"
    assert [path.name for path in tmp_path.rglob("*.csv")] == ["metrics.csv"]
    assert data._unpacked(source, "petshop", cache) == folder
