from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.ingest import corpus
from scripts.ingest.stages import run
from scripts.otlp import differential
from scripts.otlp.mutations import put_together, take_apart


def test_messages_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    messages = [b"", b"a", bytes(200), bytes(70_000)]
    corpus.write(tmp_path / "logs.bin", messages)
    assert list(corpus.read(tmp_path / "logs.bin")) == messages


@pytest.mark.parametrize("content", [b"\x05abc", b"\x80", b"\xff\xff\xff\xff\xff\x01a"])
def test_a_file_that_ends_inside_a_message_is_refused_with_the_place(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spans.bin").write_bytes(b"\x01x" + content)
    with pytest.raises(ValueError, match=r"spans\.bin: .* at byte \d"):
        list(corpus.read(tmp_path / "spans.bin"))


def test_files_are_found_by_name_and_by_folder(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("logs-2.bin", "logs-1.bin", "logs/any.name", "spans.bin"):
        (tmp_path / name).write_bytes(b"")
    found = [path.relative_to(tmp_path).as_posix() for path in corpus.find(tmp_path, "logs")]
    assert found == ["logs-1.bin", "logs-2.bin", "logs/any.name"]


@pytest.mark.parametrize("signal", tuple(corpus.SIGNALS))
def test_generated_messages_depend_on_the_seed_only_and_have_the_attributes_asked_for(signal: str) -> None:
    first, again, other = (list(corpus.generate(signal, 4, 100_000, seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert corpus.mean_attributes(signal, first[:1]) == 4


@pytest.mark.parametrize("stage", ["decode", "consumer", "reference"])
def test_each_stage_is_measured(stage: str) -> None:
    messages = list(corpus.generate("metrics", 4, 200_000, 1))
    result = json.loads(run("metrics", stage, messages, 0.2))
    assert len(result["rates"]) == 5
    assert all(rows > 0 and size > 0 for rows, size in result["rates"])


def test_the_fuzzer_ends_with_its_count_and_keeps_nothing_when_all_agree(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.fuzz_otlp", "--count", "96", "--seed", "3"]
    done = subprocess.run(
        [*command, "--keep", str(tmp_path / "kept.txt")], capture_output=True, text=True, timeout=300, check=True
    )
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"fuzz-otlp: messages=96 accepted=\d+ crashes=0 hangs=0 disagreements=0", last)
    assert not (tmp_path / "kept.txt").exists()


@pytest.mark.parametrize("signal", differential.SIGNALS)
def test_a_message_taken_apart_is_put_together_again(signal: str) -> None:
    for message in corpus.generate(signal, 4, 50_000, 1):
        assert put_together(take_apart(message, differential.REQUESTS[signal].DESCRIPTOR)) == message
