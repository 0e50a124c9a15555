"""What a store looks like after much: many rows come through a backup, cycles leave nothing.

Field problems F17 (a backup that stops at the first page) and F18 (what was deleted slows what
is there).
"""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.store.store_samples import create_all, record

from tungsten.store import backup as backups
from tungsten.store import feed
from tungsten.store.base import Record, Transaction
from tungsten.store.check import check
from tungsten.store.sqlite import SqliteStore
from tungsten.store.sqlite_writer import Limits

ROWS = 12_000
"""More than a page of any database that such backups came from had (5,000, 10,000)."""
CYCLES = 240
"""Of ten objects each."""


def _row(number: int) -> Record:
    return record(number, body=b'{"number":%d}' % number)


def _said(one: Record) -> Record:
    """A record without when it was written, which is its store's."""
    return replace(one, created=0, revision=0)


async def test_a_backup_has_all_of_many_rows(tmp_path: Path) -> None:
    one = SqliteStore.open(tmp_path / "one.db", limits=Limits(commits=100))
    for first in range(1, ROWS + 1, 3_000):

        def add(tx: Transaction, first: int = first) -> None:
            for number in range(first, first + 3_000):
                tx.create(_row(number))
                if number % 10 == 0:
                    tx.claim("numbers", str(number), _row(number).uuid)

        await one.transact(add)
    made = await backups.backup(one, tmp_path / "backup")
    assert (made.records, made.claims) == (ROWS, ROWS // 10)
    two = SqliteStore.open(tmp_path / "two.db", limits=Limits(commits=100))
    await backups.restore(two, tmp_path / "backup")
    kept, restored = [
        await store.read(lambda tx: {one.uuid: _said(one) for one in tx.records(_row(1).type)})
        for store in (one, two)
    ]
    assert len(restored) == ROWS
    assert kept == restored
    claims = [await store.read(lambda tx: list(tx.claims("numbers"))) for store in (one, two)]
    assert claims[0] == claims[1]
    assert len(claims[0]) == ROWS // 10
    for store in (one, two):
        await store.close()
    assert check(tmp_path / "two.db") == []


async def test_creating_and_deleting_again_and_again_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "WINDOW_COMMITS", 64)  # what watchers may come back to is bounded
    path = tmp_path / "config.db"
    store = SqliteStore.open(path, limits=Limits(commits=100))
    await store.transact(lambda tx: create_all(tx, tuple(_row(one) for one in range(1, 100))))

    def make(tx: Transaction) -> None:
        for number in range(1_000, 1_010):
            tx.create(_row(number))
            tx.claim("numbers", str(number), _row(number).uuid)

    def remove(tx: Transaction) -> None:
        for number in range(1_000, 1_010):
            tx.delete(_row(number).uuid)

    async def cycles(count: int) -> tuple[int, int]:
        """Bytes of the files, and of memory, after some cycles of ten objects each."""
        for _ in range(count):
            await store.transact(make)
            await store.transact(remove)
        gc.collect()
        size = sum(one.stat().st_size for one in tmp_path.iterdir())
        return size, tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early = await cycles(CYCLES // 2)  # the log and its file are full then
        late = await cycles(CYCLES)
    finally:
        tracemalloc.stop()
    assert late[0] <= early[0] * 1.2 + 262_144, (early, late)
    assert late[1] <= early[1] * 1.2 + 1_000_000, (early, late)
    assert await store.read(lambda tx: list(tx.claims("numbers"))) == []
    assert await store.read(lambda tx: sum(1 for _ in tx.records(_row(1).type))) == 99
    await store.close()
    assert check(path) == []
