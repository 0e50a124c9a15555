"""A process that watches a store it does not write: a line on stdout for each revision.

Run as ``python reading_process.py FILE AFTER``.
"""

from __future__ import annotations

import asyncio
import os
import sys

from tungsten.store.sqlite import SqliteStore


async def main(path: str, after: int) -> None:
    """Watch for ever."""
    store = SqliteStore.open(path, readonly=True)
    async for commit in store.watch(after):
        os.write(1, b"%d\n" % commit.revision)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
