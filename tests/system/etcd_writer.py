"""A process that writes pairs of records to a store in etcd and tells what became of each.

Run as ``python etcd_writer.py PLACE WRITER``. Pair n of a writer is a project and a network below
it that refers to it, a number claimed from a range that all writers share, and a key claimed from
a space where every tenth pair wants the same key. Every fifth pair it deletes again. It writes
``ok N NUMBER``, ``taken N``, ``gone N`` (deleted) or ``unknown N`` (nobody knows whether what it
did last with the pair was committed) and goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from functools import partial
from itertools import count
from uuid import NAMESPACE_OID, uuid5

import structlog

from tungsten.store import EtcdOptions
from tungsten.store.base import ClaimTaken, Edge, Record, StoreUnavailable, Transaction
from tungsten.store.etcd import EtcdStore

WRITERS = 8
NUMBERS = range(1, 1_000_000)


def pair(writer: str, number: int) -> tuple[Record, Record]:
    """The records of a pair."""
    name = f"{writer}-{number}"
    upper, lower = (str(uuid5(NAMESPACE_OID, f"{kind}:{name}")) for kind in ("upper", "lower"))
    body = b'"' + name.encode() * 20 + b'"'
    return (
        Record(upper, "project", (name,), None, (), body),
        Record(lower, "virtual-network", (name, "n"), upper, (Edge("f", upper),), body),
    )


def write(tx: Transaction, writer: str, number: int) -> int | None:
    """Create a pair, child first; returns its number."""
    upper, lower = pair(writer, number)
    tx.create(lower)
    tx.create(upper)
    if number % 10 == 0:
        tx.claim("shared", str(number), upper.uuid)
    return tx.claim_number("numbers", NUMBERS, upper.uuid)


def remove(tx: Transaction, writer: str, number: int) -> None:
    """Delete a pair; that it is gone already is no error."""
    upper, lower = pair(writer, number)
    for one in (lower, upper):
        if tx.get(one.uuid) is not None:
            tx.delete(one.uuid)


def say(line: str) -> None:
    """A line, at once."""
    os.write(1, f"{line}\n".encode())


async def main(place: str, writer: str) -> None:
    """Write for ever."""
    store = EtcdStore.open(place, options=EtcdOptions(allow_unpatched=True))
    numbers = count(1)

    async def work() -> None:
        for number in numbers:
            try:
                got = await store.transact(partial(write, writer=writer, number=number))
                say(f"ok {number} {got}")
                if number % 5 == 0:
                    say(f"unknown {number}")  # it may be killed before it can tell
                    await store.transact(partial(remove, writer=writer, number=number))
                    say(f"gone {number}")
            except StoreUnavailable:
                say(f"unknown {number}")
            except ClaimTaken:
                say(f"taken {number}")

    await asyncio.gather(*(work() for _ in range(WRITERS)))


if __name__ == "__main__":
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    asyncio.run(main(sys.argv[1], sys.argv[2]))
