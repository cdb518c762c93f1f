"""List the transactions that are open on our topics, or end one that hangs. See README, "What it promises".

Services end those that hang by themselves, within a minute and a half; this is for looking, and for brokers that
refuse the services. Ending a transaction that is at work takes its records back: they are published again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from datetime import UTC, datetime

from libs.kernel.errors import Unavailable
from libs.messaging.hanging import OpenTransaction, Transactions
from libs.messaging.topics import WRITTEN_IN_TRANSACTIONS


def main() -> int:
    """Do what was asked; exit code 1 with one sentence when it cannot be done."""
    options = _parser().parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it would tell of the same in lines of its own
    transactions = Transactions(options.bootstrap, options.topic or [t.name for t in WRITTEN_IN_TRANSACTIONS])
    try:
        return asyncio.run(_end(transactions, options.all) if options.action == "end" else _list(transactions))
    except Unavailable as exc:
        print(f"transactions: {exc}", file=sys.stderr)
        return 1


async def _list(transactions: Transactions) -> int:
    found = await transactions.opened()
    for one in found:
        print(f"{one}{' (hangs)' if _hangs(one) else ''}")
    print(f"transactions: open={len(found)} hanging={sum(map(_hangs, found))}")
    return 0


async def _end(transactions: Transactions, also_at_work: bool) -> int:
    found = [one for one in await transactions.opened() if also_at_work or _hangs(one)]
    for one in found:
        await transactions.end(one)
        print(f"ended: {one}")
    print(f"transactions: ended={len(found)}")
    return 0


def _hangs(one: OpenTransaction) -> bool:
    return one.hangs(datetime.now(UTC))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.transactions", description=__doc__)
    parser.add_argument("action", choices=("list", "end"))
    parser.add_argument("--topic", action="append", help="only this topic (repeatable); default: all of ours")
    parser.add_argument("--all", action="store_true", help="end also those that may still be at work")
    parser.add_argument(
        "--bootstrap", default=os.environ.get("KAFKA_BOOTSTRAP", "127.0.0.1:9092"), help="default: KAFKA_BOOTSTRAP"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
