"""The mark of a store's layout: who may use it, and how it becomes one of the next layout."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aetcd.rpc import rpc_pb2 as pb
from tests.unit.store.store_samples import OLD_ETCD, etcd, etcd_place, record

from tungsten.store import etcd_layout
from tungsten.store.base import StoreUnusable
from tungsten.store.etcd import EtcdStore
from tungsten.store.etcd_check import check
from tungsten.store.etcd_client import Access, Connection
from tungsten.store.etcd_keys import Keys


@pytest.fixture
def raw() -> Iterator[Connection]:
    """etcd itself."""
    connection = Connection(Access((etcd().endpoints,), OLD_ETCD), etcd().endpoints)
    yield connection
    connection.close()


def open_at(place: str) -> EtcdStore:
    return EtcdStore.open(place, options=OLD_ETCD)


def layout_of(raw: Connection, keys: Keys) -> bytes:
    return bytes(raw.range(pb.RangeRequest(key=keys.layout)).kvs[0].value)


def set_layout(raw: Connection, keys: Keys, value: bytes) -> None:
    raw.call(raw._kv.Put, pb.PutRequest(key=keys.layout, value=value))


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (b"7", "has layout 7 of a newer version; this one reads layout 1: update this program"),
        (b"0", "has layout 0 of an older version; this one reads layout 1: take a backup"),
        (b"0>1", "is being upgraded from layout 0 to 1"),
        (b"1>2", "is being upgraded from layout 1 to 2"),
        (b"x", "no version of this program wrote"),
    ],
)
async def test_another_layout_is_refused(
    tmp_path: Path, raw: Connection, mark: bytes, why: str
) -> None:
    """F-19, F-14: by those who open it, by those who have it open, and by the check."""
    store = open_at(etcd_place(tmp_path))
    await store.transact(lambda tx: tx.create(record(1)))
    set_layout(raw, store.keys, mark)
    with pytest.raises(StoreUnusable, match=why):
        await store.transact(lambda tx: tx.create(record(2)))
    with pytest.raises(StoreUnusable, match=why):
        await store.load()
    with pytest.raises(StoreUnusable, match=why):
        open_at(etcd_place(tmp_path))
    with pytest.raises(StoreUnusable, match=why):
        check(etcd_place(tmp_path), OLD_ETCD)
    set_layout(raw, store.keys, b"1")
    async with asyncio.timeout(10):
        while True:
            try:
                assert len((await store.load())[1]) == 1
                break
            except StoreUnusable:
                await asyncio.sleep(0.05)
    await store.close()


async def test_who_only_reads_notices_within_a_second(tmp_path: Path, raw: Connection) -> None:
    store = open_at(etcd_place(tmp_path))
    set_layout(raw, store.keys, b"2")

    async def read_on() -> None:
        while True:
            await store.load()
            await asyncio.sleep(0.02)

    with pytest.raises(StoreUnusable, match="newer version"):
        await asyncio.wait_for(read_on(), 5)
    await store.close()


async def test_a_store_that_was_removed_is_not_written_any_more(
    tmp_path: Path, raw: Connection
) -> None:
    store = open_at(etcd_place(tmp_path))
    await store.transact(lambda tx: tx.create(record(1)))
    everything = pb.DeleteRangeRequest(key=store.keys.base, range_end=store.keys.base[:-1] + b"0")
    raw.call(raw._kv.DeleteRange, everything)
    with pytest.raises(StoreUnusable, match="is gone: somebody removed it"):
        await store.transact(lambda tx: tx.create(record(2)))
    await store.close()


def newer(monkeypatch: pytest.MonkeyPatch, fail: list[str]) -> list[int]:
    """Make this process one of layout 3, with steps from 1 and 2; which steps were done."""
    done: list[int] = []

    def step(number: int, connection: Connection, keys: Keys) -> None:
        if fail:
            raise RuntimeError(fail.pop())
        connection.txn(
            pb.TxnRequest(
                success=[
                    pb.RequestOp(
                        request_put=pb.PutRequest(key=keys.base + b"step", value=b"%d" % number)
                    )
                ]
            )
        )
        done.append(number)

    monkeypatch.setattr(etcd_layout, "LAYOUT", 3)
    steps = {1: lambda c, k: step(1, c, k), 2: lambda c, k: step(2, c, k)}
    monkeypatch.setattr(etcd_layout, "STEPS", steps)
    return done


async def test_an_upgrade_goes_step_by_step_and_shuts_older_programs_out(
    tmp_path: Path, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-14: an older program that still runs writes nothing more; a killed step is redone."""
    place = etcd_place(tmp_path)
    older = open_at(place)
    await older.transact(lambda tx: tx.create(record(1)))
    fail = ["killed"]
    done = newer(monkeypatch, fail)
    with pytest.raises(RuntimeError, match="killed"):
        etcd_layout.upgrade(place, OLD_ETCD)
    assert layout_of(raw, older.keys) == b"1>2"
    with pytest.raises(StoreUnusable, match="being upgraded"):
        open_at(place)
    with pytest.raises(StoreUnusable):
        await older.transact(lambda tx: tx.create(record(2)))
    assert etcd_layout.upgrade(place, OLD_ETCD) == (1, 3)
    assert done == [1, 2]
    with pytest.raises(StoreUnusable):
        await older.transact(lambda tx: tx.create(record(2)))
    await older.close()
    store = open_at(place)
    assert len((await store.load())[1]) == 1
    await store.transact(lambda tx: tx.create(record(2)))
    await store.close()
    assert etcd_layout.upgrade(place, OLD_ETCD) == (3, 3)
    monkeypatch.undo()
    with pytest.raises(StoreUnusable, match=r"newer version.*no step from 3"):
        etcd_layout.upgrade(place, OLD_ETCD)


async def test_five_that_start_at_once_on_nothing_make_one_store(tmp_path: Path) -> None:
    """T-F16."""
    place = etcd_place(tmp_path)
    stores = await asyncio.gather(*(asyncio.to_thread(open_at, place) for _ in range(5)))
    for number, store in enumerate(stores, 1):
        await store.transact(lambda tx, number=number: tx.create(record(number)))  # type: ignore[misc]
    for store in stores:
        assert len((await store.load())[1]) == 5
        await store.close()
    assert check(place, OLD_ETCD) == []
