"""Records to store in tests, and one way to wait for what watchers have yet to see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tungsten.store.base import Commit, Edge, Record, Store, Transaction
from tungsten.store.sqlite import SqliteStore


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

    async def create(self, *records: Record) -> None:
        """One transaction that creates records in this order."""
        await self.writer.transact(lambda tx: create_all(tx, records))

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


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "sqlite": open_sqlite,
    "sqlite-reader": open_sqlite_reader,
}


async def take(watch: AsyncIterator[Commit], revision: int) -> list[Commit]:
    """Commits from a watch, up to and with a revision."""
    taken: list[Commit] = []
    async with asyncio.timeout(10):
        while not taken or taken[-1].revision < revision:
            taken.append(await anext(watch))
    return taken
