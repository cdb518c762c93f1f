"""Pin the jars of a Kafka version: `python -m infra.local.pin_jars 4.3.1` rewrites kafka_jars.json."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from infra.local import jars, maven
from infra.local.maven import Coordinate

SLF4J = "org.slf4j:slf4j-simple:1.7.36"  # Kafka brings slf4j-api 1.7 and no binding


def main() -> int:
    """Resolve, download, hash, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="of org.apache.kafka:kafka_2.13")
    version = parser.parse_args().version
    coordinates = resolve(version)
    with tempfile.TemporaryDirectory() as folder:
        maven.by_jgo(coordinates, Path(folder), None, print)
        hashes = {str(c): jars.digest(Path(folder) / c.file_name) for c in coordinates}
    jars.PINNED.write_text(json.dumps({"kafka": version, "jars": hashes}, indent=2) + "\n")
    print(f"pin_jars: {len(hashes)} jars pinned in {jars.PINNED.name}")
    return 0


def resolve(version: str) -> list[Coordinate]:
    """Return every jar the broker needs at run time."""
    import jgo

    found = jgo.resolve(f"org.apache.kafka:kafka_2.13:{version}+{SLF4J}")
    return sorted(Coordinate(a.groupId, a.artifactId, a.version) for a in found)


if __name__ == "__main__":
    sys.exit(main())
