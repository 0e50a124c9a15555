"""How many objects a second the stores create, with 32 writers at once.

An object is a record of 1.3 KB below a parent with one reference, created alone in its
transaction: unique name, unique uuid, parent and target checked, logged for watchers, durable
when acknowledged. One watcher follows. The peer is the bare database: the same body put into one
table of one column besides its key, with the same durability, one commit each. The cluster store
is measured by :mod:`bench.etcd_store`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

from bench import etcd_store
from bench.report import Measure, publish
from tungsten.store.base import Edge, Record
from tungsten.store.sqlite import SqliteStore

WRITERS = 32
OBJECTS = 10_000
ROUNDS = 5
BODY = b'{"x":"' + b"a" * 1300 + b'"}'
PEER = "bare SQLite, a commit each"


async def follow(store: SqliteStore, last: int) -> None:
    """Receive every commit up to a revision."""
    async for commit in store.watch(0):
        if commit.revision == last:
            return


async def ours(path: Path) -> float:
    """Creates per second, watched."""
    store = SqliteStore.open(path)
    parent, target = str(UUID(int=1)), str(UUID(int=2))
    for uuid, type_ in ((parent, "project"), (target, "virtual-network")):
        seed = Record(uuid, type_, ("d", type_), None, (), b"{}")
        await create(store, seed)
    watcher = asyncio.create_task(follow(store, OBJECTS + 2))
    numbers = iter(range(OBJECTS))
    begin = time.perf_counter()
    await asyncio.gather(*(writer(store, numbers, parent, target) for _ in range(WRITERS)))
    took = time.perf_counter() - begin
    await watcher
    await store.close()
    return OBJECTS / took


async def create(store: SqliteStore, record: Record) -> None:
    """One transaction."""
    await store.transact(lambda tx: tx.create(record))


async def writer(store: SqliteStore, numbers: Iterator[int], parent: str, target: str) -> None:
    """Create objects, one after the other, until the numbers run out."""
    edges = (Edge("virtual_network_refs", target),)
    for number in numbers:
        name = ("d", "p", f"port-{number}")
        record = Record(str(uuid4()), "virtual-machine-interface", name, parent, edges, BODY)
        await create(store, record)


def bare(path: Path) -> float:
    """Inserts per second with a commit each, by one writer: there is no more to gain by more."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE objects (name TEXT PRIMARY KEY, body BLOB)")
    begin = time.perf_counter()
    for number in range(OBJECTS // 5):
        connection.execute("INSERT INTO objects VALUES (?, ?)", (f"port-{number}", BODY))
    took = time.perf_counter() - begin
    connection.close()
    return OBJECTS / 5 / took


def main() -> None:
    """Measure, print, write the results."""
    mine, peers = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as directory:
            mine.append(asyncio.run(ours(Path(directory) / "ours.db")))
            peers.append(bare(Path(directory) / "bare.db"))
    embedded = Measure("creates, 32 writers", "1/s", mine, {PEER: peers})
    publish("store", [embedded, *etcd_store.measures()])


if __name__ == "__main__":
    main()
