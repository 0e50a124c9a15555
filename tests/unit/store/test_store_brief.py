"""Brief transactions, which run in the loop of who asks, keep all that others keep."""

from __future__ import annotations

import asyncio
import random
import resource
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.store.store_samples import record

from tungsten.store.base import Commit, DuplicateName, Edge, StoreUnavailable, Transaction
from tungsten.store.sqlite import SqliteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """An empty store."""
    store = SqliteStore.open(tmp_path / "store.db")
    yield store
    await store.close()


def creating(number: int) -> Callable[[Transaction], None]:
    """A transaction that creates one record."""
    return lambda tx: tx.create(record(number))


async def commits_of(store: SqliteStore, last: int) -> list[Commit]:
    """All commits up to a revision."""
    found: list[Commit] = []
    async for commit in store.watch(0):
        found.append(commit)
        if commit.revision == last:
            break
    return found


async def test_they_run_where_they_are_asked_for_and_others_do_not(store: SqliteStore) -> None:
    def where(tx: Transaction) -> int:
        return threading.get_ident()

    assert await store.brief(where) == threading.get_ident()
    assert await store.transact(where) != threading.get_ident()


async def test_one_that_needs_much_is_undone_and_runs_elsewhere(store: SqliteStore) -> None:
    ran: list[int] = []

    def many(tx: Transaction) -> int | None:
        ran.append(threading.get_ident())
        number = tx.claim_number("n", range(1, 5000), "")
        for at in range(300):
            tx.create(record(at + 1))
        tx.release("n", f"{number:032x}")
        return number

    few = [store.brief(creating(1000 + at)) for at in range(20)]
    numbers = await asyncio.gather(store.brief(many), *few)
    assert numbers[0] == 1
    assert ran[0] == threading.get_ident() != ran[1]
    assert len(ran) == 2
    assert len((await store.load())[1]) == 320


async def test_what_raised_left_nothing_and_hindered_nobody(store: SqliteStore) -> None:
    old = record(1)
    await store.transact(lambda tx: tx.create(old))

    def fails(tx: Transaction) -> None:
        tx.update(replace(old, body=b'"changed"'))
        tx.create(record(2))
        tx.claim_number("n", range(1, 100), old.uuid)
        raise ValueError("no")

    def sees(tx: Transaction) -> tuple[bytes, bool, int | None]:
        found = tx.get(old.uuid)
        assert found is not None
        free = tx.claim_number("n", range(1, 100), old.uuid)
        return found.body, tx.find(record(2).type, record(2).fq_name) is None, free

    results = await asyncio.gather(store.brief(fails), store.brief(sees), return_exceptions=True)
    assert isinstance(results[0], ValueError)
    assert results[1] == (old.body, True, 1)


@pytest.mark.parametrize("seed", range(5))
async def test_mixed_with_others_they_are_serial_and_commits_have_no_gaps(
    store: SqliteStore, seed: int
) -> None:
    chance = random.Random(seed)
    owner = record(1)
    await store.transact(lambda tx: tx.create(owner))
    numbers: list[int] = []

    def take(tx: Transaction, at: int, refuse: bool) -> int:
        number = tx.claim_number("n", range(1, 10_000), owner.uuid)
        assert number is not None
        name = record(100 + at % 40)
        held = tx.find(name.type, name.fq_name)
        if held is None:
            tx.create(replace(name, edges=(Edge("x_refs", owner.uuid),)))
        else:
            tx.update(replace(held, body=b"%d" % number))
        if refuse:
            raise DuplicateName("t", ("x",), "y")
        return number

    async def one(at: int) -> None:
        await asyncio.sleep(chance.random() / 50)
        refuse = at % 7 == 0
        run = store.brief if chance.random() < 0.7 else store.transact
        try:
            numbers.append(await run(lambda tx: take(tx, at, refuse)))
        except DuplicateName:
            assert refuse

    await asyncio.gather(*(one(at) for at in range(300)))
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    revision, records = await store.load()
    commits = await commits_of(store, revision)
    assert [commit.revision for commit in commits] == list(range(1, revision + 1))
    last = {change.record.uuid: change.record for c in commits for change in c.changes}
    assert last == {one.uuid: one for one in records}
    # What the writer knows is what the file says.
    known = await store.brief(lambda tx: [tx.get(one.uuid) for one in records[:200]])
    assert known == records[:200]


async def test_a_full_disk_is_told_and_outlived(store: SqliteStore) -> None:
    await store.brief(lambda tx: tx.create(record(1)))
    log = store.path.with_name(store.path.name + "-wal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
    try:
        tried = [store.brief(creating(at)) for at in range(2, 6)]
        refused = await asyncio.gather(*tried, store.probe(), return_exceptions=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [type(one) for one in refused] == [StoreUnavailable] * 5
    await store.probe()
    await asyncio.gather(*(store.brief(creating(at)) for at in range(2, 6)))
    revision, records = await store.load()
    assert (revision, len(records)) == (5, 5)


async def test_those_that_wait_are_finished_when_the_store_closes(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "closing.db")
    waiting = [asyncio.ensure_future(store.brief(creating(at))) for at in range(1, 101)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*waiting)
    again = SqliteStore.open(tmp_path / "closing.db")
    assert len((await again.load())[1]) == 100
    await again.close()
