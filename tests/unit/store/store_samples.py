"""Records to store in tests, and one way to wait for what watchers have yet to see."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID

from tungsten.store.base import Commit, Edge, Record, Store, Transaction
from tungsten.store.etcd import EtcdStore
from tungsten.store.etcd_options import EtcdOptions
from tungsten.store.sqlite import SqliteStore
from tungsten.testing.etcd import EtcdCluster


def uuid_of(number: int) -> str:
    """A uuid by number."""
    return str(UUID(int=number))


def record(
    number: int,
    *,
    type_: str = "virtual-network",
    name: tuple[str, ...] | None = None,
    parent: int | None = None,
    refs: tuple[int, ...] = (),
    weak: tuple[int, ...] = (),
    body: bytes = b"{}",
    provenance: str = "",
) -> Record:
    """The record whose uuid is ``uuid_of(number)``; refs, weak refs and parent by number."""
    edges = [Edge("strong_refs", uuid_of(ref)) for ref in refs]
    edges += [Edge("weak_refs", uuid_of(ref), weak=True) for ref in weak]
    return Record(
        uuid=uuid_of(number),
        type=type_,
        fq_name=name or ("d", "p", f"n{number}"),
        parent=None if parent is None else uuid_of(parent),
        edges=tuple(edges),
        body=body,
        provenance=provenance,
    )


@dataclass(frozen=True)
class Engine:
    """A store under test: where to write, and where to read and watch."""

    writer: Store
    reader: Store
    #: whether revisions grow by one
    gapless: bool = True

    async def create(self, *records: Record) -> None:
        """One transaction that creates records in this order."""
        await self.writer.transact(lambda tx: create_all(tx, records))

    async def revisions(self) -> list[int]:
        """The revisions of all commits so far."""
        last = await self.reader.read(lambda snapshot: snapshot.revision)
        return (
            [commit.revision for commit in await take(self.reader.watch(0), last)] if last else []
        )

    async def close(self) -> None:
        """Close both sides."""
        await self.reader.close()
        await self.writer.close()


def create_all(tx: Transaction, records: tuple[Record, ...]) -> None:
    """Create records in a transaction."""
    for one in records:
        tx.create(one)


def open_sqlite(directory: Path) -> Engine:
    """One process's store."""
    store = SqliteStore.open(directory / "config.db")
    return Engine(store, store)


def open_sqlite_reader(directory: Path) -> Engine:
    """A store seen by a process that does not write it."""
    path = directory / "config.db"
    return Engine(SqliteStore.open(path), SqliteStore.open(path, readonly=True))


@cache
def etcd() -> EtcdCluster:
    """One etcd for all tests of this process; it dies with it."""
    directory = Path(mkdtemp(prefix="tungsten-test-etcd-"))
    cluster = EtcdCluster(directory)
    atexit.register(cluster.stop)
    return cluster.start()


#: Debian's etcd is older than what the store asks for.
OLD_ETCD = EtcdOptions(allow_unpatched=True)


def etcd_place(directory: Path) -> str:
    """Where the store that belongs to a directory is in etcd."""
    return f"{etcd().endpoints}/{directory}"


def open_etcd(directory: Path) -> Engine:
    """One process's cluster store."""
    store = EtcdStore.open(etcd_place(directory), options=OLD_ETCD)
    return Engine(store, store, gapless=False)


def open_etcd_reader(directory: Path) -> Engine:
    """A cluster store written by one and seen by another who only reads."""
    place = etcd_place(directory)
    writer = EtcdStore.open(place, options=OLD_ETCD)
    reader = EtcdStore.open(place, readonly=True, options=OLD_ETCD)
    return Engine(writer, reader, gapless=False)


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "sqlite": open_sqlite,
    "sqlite-reader": open_sqlite_reader,
    "etcd": open_etcd,
    "etcd-reader": open_etcd_reader,
}


async def take(watch: AsyncIterator[Commit], revision: int) -> list[Commit]:
    """Commits from a watch, up to and with a revision."""
    taken: list[Commit] = []
    async with asyncio.timeout(10):
        while not taken or taken[-1].revision < revision:
            taken.append(await anext(watch))
    return taken
