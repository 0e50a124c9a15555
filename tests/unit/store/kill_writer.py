"""A process that writes pairs of records as fast as it can, and says which are acknowledged.

Run as ``python kill_writer.py FILE FIRST``; pair n is records 2n and 2n+1, the second below the
first, and a claim of the first. It writes ``n`` and a newline to stdout once pair n is
acknowledged, and goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from itertools import count
from uuid import UUID

from tungsten.store.base import Edge, Record, Transaction, number_key
from tungsten.store.sqlite import SqliteStore

WRITERS = 32


def pair(number: int) -> tuple[Record, Record]:
    """The records of a pair; their bodies are long enough to spread over pages."""
    upper, lower = str(UUID(int=2 * number)), str(UUID(int=2 * number + 1))
    body = b'"' + str(number).encode() * 100 + b'"'
    return (
        Record(upper, "project", (f"p{number}",), None, (), body),
        Record(lower, "virtual-network", (f"p{number}", "n"), upper, (Edge("f", upper),), body),
    )


def write(tx: Transaction, number: int) -> None:
    """Create a pair, child first."""
    upper, lower = pair(number)
    tx.create(lower)
    tx.create(upper)
    tx.claim("numbers", number_key(number), upper.uuid)


async def main(path: str, first: int) -> None:
    """Write for ever."""
    store = SqliteStore.open(path)
    numbers = count(first)

    async def writer() -> None:
        for number in numbers:
            await store.transact(partial(write, number=number))
            os.write(1, b"%d\n" % number)

    await asyncio.gather(*(writer() for _ in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
