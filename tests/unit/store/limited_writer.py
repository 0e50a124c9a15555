"""A process whose disk fills: no file may grow beyond a limit for a while.

Run as ``python limited_writer.py FILE``. Writes records until the kernel refuses to let the log
grow (RLIMIT_FSIZE), shows that reading still works, lifts the limit, and goes on; prints the
numbers of the acknowledged and of the refused records.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys

from tests.unit.store.store_samples import record

from tungsten.store.base import Record, StoreUnavailable
from tungsten.store.sqlite import SqliteStore

LIMIT = 300_000


async def create(store: SqliteStore, new: Record) -> bool:
    """Whether the record was taken."""
    try:
        await store.transact(lambda tx: tx.create(new))
    except StoreUnavailable:
        return False
    return True


async def main(path: str) -> None:
    """Fill, fail, read, recover."""
    store = SqliteStore.open(path)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    records = [record(n, body=b'"' + b"x" * 5000 + b'"') for n in range(1, 101)]
    taken = await asyncio.gather(*(create(store, one) for one in records[:50]))
    for one in records[50:]:
        taken.append(await create(store, one))
    _, held = await store.load()
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    missing = {one.uuid for one in records} - {one.uuid for one in held}
    again = [one for one in records if one.uuid in missing]
    assert all([await create(store, one) for one in again])
    _, at_last = await store.load()
    await store.close()
    acknowledged = [one.uuid for one, ok in zip(records, taken, strict=True) if ok]
    print(
        json.dumps(
            {
                "acknowledged": acknowledged,
                "readable": [one.uuid for one in held],
                "at_last": len(at_last),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
