"""Grouping accuracy of log signatures on labelled log lines, beside Drain3 with its defaults and with its masks.

Grouping accuracy (GA): the share of lines whose group holds exactly the lines of one labelled event. Ours is the
product's own path: the masking SQL of `log_signatures_1m` run by ClickHouse, then the merge done at incident time.
One configuration for all sets. Prints one JSON line per set and method, and the averages last.

The data is a folder with `*_structured.csv` files (columns Content and EventId) or `.tar.xz` archives of such.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from libs.kernel import log_masks
from services.correlation_engine.domain import drain

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = ROOT.parent / "shared" / "data" / "loghub"
# The masks of Drain3's example configuration
DRAIN3_MASKS = (
    (r"((?<=[^A-Za-z0-9])|^)(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))((?=[^A-Za-z0-9])|$)", "ID"),
    (r"((?<=[^A-Za-z0-9])|^)(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})((?=[^A-Za-z0-9])|$)", "IP"),
    (r"((?<=[^A-Za-z0-9])|^)([0-9a-f]{6,} ?){3,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    (r"((?<=[^A-Za-z0-9])|^)([0-9A-F]{4} ?){4,}((?=[^A-Za-z0-9])|$)", "SEQ"),
    (r"((?<=[^A-Za-z0-9])|^)(0x[a-f0-9A-F]+)((?=[^A-Za-z0-9])|$)", "HEX"),
    (r"((?<=[^A-Za-z0-9])|^)([\-\+]?\d+)((?=[^A-Za-z0-9])|$)", "NUM"),
    (r"(?<=executed cmd )(\".+?\")", "CMD"),
)

Groups = Sequence[Hashable]
Method = Callable[[Sequence[str]], Groups]


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """The lines of one system and the event each belongs to."""

    name: str
    lines: tuple[str, ...]
    events: tuple[str, ...]


def grouping_accuracy(events: Groups, groups: Groups) -> float:
    """Return the share of lines whose group is exactly one event's lines; raises ValueError when lengths differ."""
    of_event: dict[Hashable, set[int]] = defaultdict(set)
    of_group: dict[Hashable, set[int]] = defaultdict(set)
    for line, (event, group) in enumerate(zip(events, groups, strict=True)):
        of_event[event].add(line)
        of_group[group].add(line)
    exact = sum(len(lines) for lines in of_group.values() if of_event[events[min(lines)]] == lines)
    return exact / len(events) if events else 0.0


def read_sets(folder: Path) -> list[LabelledSet]:
    """Return the sets of a folder by name; raises ValueError when it holds none or one lacks a column."""
    with tempfile.TemporaryDirectory() as unpacked:
        for archive in sorted(folder.rglob("*.tar.xz")):
            with tarfile.open(archive) as tar:
                for member in tar:
                    if member.name.endswith("_structured.csv") and (stream := tar.extractfile(member)):
                        Path(unpacked, Path(member.name).name).write_bytes(stream.read())
        files = [*folder.rglob("*_structured.csv"), *Path(unpacked).rglob("*_structured.csv")]
        sets = [_read(file) for file in files]
    if not sets:
        raise ValueError(f"no *_structured.csv and no .tar.xz with one below {folder}")
    return sorted({s.name: s for s in sets}.values(), key=lambda s: s.name)


def _read(file: Path) -> LabelledSet:
    with file.open(encoding="utf-8", errors="replace", newline="") as text:
        rows = csv.DictReader(text)
        if not {"Content", "EventId"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{file.name} has no columns Content and EventId")
        pairs = [(row["Content"], row["EventId"]) for row in rows]
    return LabelledSet(file.name.split("_")[0], tuple(c for c, _ in pairs), tuple(e for _, e in pairs))


def masked_by_clickhouse(lines: Sequence[str]) -> list[str]:
    """Return the masked lines by the view's own SQL; says so on stderr when they differ from the Python twin's."""
    import chdb

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "lines.json")
        file.write_text("".join(json.dumps({"n": n, "Body": line}) + "\n" for n, line in enumerate(lines)))
        lines_of = log_masks.sql(f"file('{file}', 'JSONEachRow', 'n UInt32, Body String')")
        sql = f"SELECT Masked FROM ({lines_of})"
        answer = chdb.query(f"{sql} ORDER BY n", "JSONCompactEachRow").bytes()  # type: ignore[no-untyped-call]
    masked = [json.loads(row)[0] for row in answer.splitlines()]
    different = sum(a != log_masks.mask(line) for a, line in zip(masked, lines, strict=True))
    if different:
        print(
            f"ClickHouse masks {different} of {len(lines)} lines otherwise than libs.kernel.log_masks", file=sys.stderr
        )
    return masked


def incidentscope(lines: Sequence[str]) -> Groups:
    """Group by the product's masks and merge."""
    masked = masked_by_clickhouse(lines)
    template_of = drain.templates(masked)
    return [template_of[line] for line in masked]


def masks_only(lines: Sequence[str]) -> Groups:
    """Group by what is stored at ingest, unmerged."""
    return masked_by_clickhouse(lines)


def drain3(masks: Sequence[tuple[str, str]]) -> Method:
    """Return a grouping by Drain3 with its default parameters and the given masks."""

    def group(lines: Sequence[str]) -> Groups:
        from drain3 import TemplateMiner
        from drain3.masking import MaskingInstruction
        from drain3.template_miner_config import TemplateMinerConfig

        config = TemplateMinerConfig()
        config.masking_instructions = [MaskingInstruction(pattern, name) for pattern, name in masks]
        miner = TemplateMiner(config=config)
        return [int(miner.add_log_message(line)["cluster_id"]) for line in lines]

    return group


METHODS: dict[str, Method] = {
    "incidentscope": incidentscope,
    "masks_only": masks_only,
    "drain3_defaults": drain3(()),
    "drain3_masks": drain3(DRAIN3_MASKS),
}


def results(sets: Sequence[LabelledSet], methods: dict[str, Method]) -> Iterator[dict[str, object]]:
    """Yield one result per set and method, then the averages over sets."""
    accuracy: dict[str, list[float]] = defaultdict(list)
    for labelled in sets:
        for name, method in methods.items():
            started = time.perf_counter()
            groups = method(labelled.lines)
            seconds = time.perf_counter() - started
            accuracy[name].append(grouping_accuracy(labelled.events, groups))
            yield {
                "set": labelled.name,
                "method": name,
                "lines": len(labelled.lines),
                "events": len(set(labelled.events)),
                "groups": len(set(groups)),
                "ga": round(accuracy[name][-1], 4),
                "seconds": round(seconds, 3),
            }
    yield {
        "set": "average",
        "sets": len(sets),
        "ga": {name: round(sum(values) / len(values), 4) for name, values in accuracy.items()},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the results; exit 2 when the data is missing or unreadable."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT, help="folder with the labelled sets")
    parser.add_argument("--method", choices=METHODS, action="append", help="only these methods; may be repeated")
    options = parser.parse_args(arguments)
    logging.getLogger("drain3").setLevel(logging.WARNING)
    try:
        sets = read_sets(options.data)
    except (OSError, ValueError, tarfile.TarError) as error:
        print(f"bench-signatures: {error}", file=sys.stderr)
        return 2
    for result in results(sets, {name: METHODS[name] for name in options.method or METHODS}):
        print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
