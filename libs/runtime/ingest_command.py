"""The command line of a telemetry consumer: run it, or replay its dead letters."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from libs.kernel.errors import IncidentScopeError
from libs.messaging.dlq import first_index
from libs.messaging.kafka import read_topic
from libs.runtime.access import tenants_now
from libs.runtime.ingest import Ingest, IngestSettings, with_tenants
from libs.runtime.lifecycle import Lifecycle, run
from libs.runtime.logging import configure_logging
from libs.runtime.replay import Replay
from libs.storage.clickhouse import ClickHouse
from libs.storage.recovery import RangeRecovery

S = TypeVar("S", bound=IngestSettings)
DONE, FAILED, STILL_REFUSED = 0, 1, 3


def command(
    argv: Sequence[str],
    settings_of: Callable[[], S],
    ingest_of: Callable[[S], Ingest],
    start: Callable[[Lifecycle, S], Awaitable[None]],
) -> int:
    """Run the consumer, or with `replay` its dead letters; returns the exit code (2 for a mistake in the command)."""
    settings = settings_of()
    ingest = ingest_of(settings)
    parser = _parser(ingest)
    arguments = parser.parse_args(argv)
    if arguments.command != "replay":
        return run(ingest.service, settings, lambda lifecycle: start(lifecycle, settings))
    if arguments.topic != f"{ingest.topic}.dlq":
        parser.error(f"{ingest.service} replays {ingest.topic}.dlq, not {arguments.topic}")
    configure_logging(ingest.service, "error")
    try:
        return _replay(settings, ingest, arguments)
    except IncidentScopeError as error:
        _say(f"failed: {error}")
        return FAILED


def _parser(ingest: Ingest) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{ingest.service}",
        description=f"Moves {ingest.topic} into {ingest.table}. Settings come from the environment.",
    )
    commands = parser.add_subparsers(dest="command", metavar="replay")
    replay = commands.add_parser(
        "replay",
        help="read dead letters again",
        description="Reads dead letters again and adds the rows that are not in the table yet, under the coordinates "
        "of the original messages: a replay may be repeated. Letters stay in their topic.",
        epilog="Exit codes: 0 done, 1 a server failed or the topic is missing, 2 mistake in the command, "
        "3 done but some letters are still refused.",
    )
    replay.add_argument("--topic", default=f"{ingest.topic}.dlq", help="dead-letter topic, default %(default)s")
    replay.add_argument("--dry-run", action="store_true", help="decode and count, insert nothing")
    replay.add_argument("--limit", type=_positive, default=0, metavar="N", help="at most N letters")
    replay.add_argument("--reason", default="", help="only letters of this dlq_reason, for example unknown_tenant")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _replay(settings: IngestSettings, ingest: Ingest, arguments: argparse.Namespace) -> int:
    tenants = tenants_now(settings)
    clickhouse = ClickHouse(settings.clickhouse_url)
    replay = Replay(
        with_tenants(ingest.reference, tenants, settings.anonymous_tenant, first_index),
        RangeRecovery(clickhouse, ingest.table),
        arguments.dry_run,
        _say,
    )
    try:
        letters = read_topic(settings.kafka_bootstrap, arguments.topic)
        tally = replay.run(letters, arguments.reason, arguments.limit)
    finally:
        clickhouse.close()
    for reason, count in tally.refused.most_common():
        _say(f"still refused: {count} {reason}")
    sys.stdout.write(tally.line(arguments.topic, arguments.dry_run) + os.linesep)
    return STILL_REFUSED if tally.refused else DONE


def _say(text: str) -> None:
    sys.stderr.write(f"replay: {text}{os.linesep}")
