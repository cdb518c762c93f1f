"""Dead letters through the decoder once more: what can be read now goes in under its original coordinates.

Rows that are in the table already are left out, so a replay may be repeated, interrupted and run beside the consumer.
Letters stay in their topic; those that are still refused are counted by reason.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from libs.kernel.errors import InvalidInput, Unavailable
from libs.messaging.batch_plan import Extent
from libs.messaging.batches import DecodeRecords
from libs.messaging.dlq import Letter, open_letter
from libs.messaging.ports import Record
from libs.otlp.batch import DecodedBatch
from libs.storage.recovery import RangeRecovery

PORTION_LETTERS = 500
PORTION_BYTES = 8 * 1024 * 1024
ATTEMPTS = 6
WAIT_SECONDS = 2.0


@dataclass(slots=True)
class Tally:
    """What a replay has done so far. `added` are rows that were not in the table yet."""

    letters: int = 0
    skipped: int = 0
    rows: int = 0
    added: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def line(self, topic: str, dry_run: bool) -> str:
        """Return the last line of a replay."""
        return (
            f"replay: topic={topic} letters={self.letters} skipped={self.skipped} rows={self.rows} "
            f"added={self.added} refused={self.refused.total()} dry_run={'yes' if dry_run else 'no'}"
        )


class Replay:
    """Replays letters of one dead-letter topic. Raises Unavailable after repeated failure, Refused at once."""

    def __init__(
        self, decode: DecodeRecords, recovery: RangeRecovery, dry_run: bool, say: Callable[[str], None]
    ) -> None:
        self._decode = decode
        self._recovery = recovery
        self._dry_run = dry_run
        self._say = say
        self.tally = Tally()

    def run(self, records: Iterable[Record], reason: str = "", limit: int = 0) -> Tally:
        """Replay the letters, all or at most `limit` of them, of one reason where it is given."""
        for portion in _portions(self._chosen(records, reason, limit)):
            by_partition = sorted(portion, key=lambda one: (one.record.topic, one.record.partition, one.record.offset))
            for _, letters in groupby(by_partition, key=lambda one: one.record.place):
                self._replay(list(letters))
            self._say(f"{self.tally.letters} letters, {self.tally.rows} rows, {self.tally.added} of them new")
        return self.tally

    def _chosen(self, records: Iterable[Record], reason: str, limit: int) -> Iterator[Letter]:
        for record in records:
            if limit and self.tally.letters >= limit:
                return
            try:
                letter = open_letter(record)
            except InvalidInput as error:
                self._say(str(error))
                self.tally.letters += 1
                self.tally.refused[error.reason] += 1
                continue
            if reason and letter.reason != reason:
                self.tally.skipped += 1
                continue
            self.tally.letters += 1
            if letter.omitted:
                self._say(f"{record.topic} offset {record.offset}: body_omitted: {letter.omitted}")
                self.tally.refused["body_omitted"] += 1
                continue
            yield letter

    def _replay(self, letters: Sequence[Letter]) -> None:
        batch = self._decode([letter.record for letter in letters])
        for rejected in batch.rejected:
            self.tally.refused[rejected.reason] += 1
            record = letters[rejected.index].record
            self._say(f"{record.topic} {record.partition} {record.offset}: {rejected.reason}: {rejected.error}")
        self.tally.rows += batch.rows
        if batch.rows and not self._dry_run:
            first, last = letters[0].record, letters[-1].record
            self._add(batch, Extent(first.topic, first.partition, first.offset, last.offset))

    def _add(self, batch: DecodedBatch, extent: Extent) -> None:
        name = f"replay:{extent.topic}:{uuid.uuid4().hex}"
        before = self._recovery.count(extent)
        for attempt in range(ATTEMPTS):
            try:
                self._recovery.require_idle(name)
                self._recovery.add_missing(batch, extent, f"{name}:{attempt}")
                self._recovery.repeat_rollups(extent)
            except Unavailable as error:
                if attempt == ATTEMPTS - 1:
                    raise
                self._say(f"waiting: {error}")
                time.sleep(WAIT_SECONDS)
            else:
                break
        self.tally.added += max(0, self._recovery.count(extent) - before)


def _portions(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    portion: list[Letter] = []
    size = 0
    for letter in letters:
        portion.append(letter)
        size += len(letter.record.value)
        if len(portion) >= PORTION_LETTERS or size >= PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
