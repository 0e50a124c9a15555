"""What is the cluster engine's own: several writers, cut connections, compaction, limits, TLS."""

from __future__ import annotations

import asyncio
import fcntl
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from aetcd.rpc import rpc_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.unit.store.cut_proxy import CutProxy
from tests.unit.store.store_samples import OLD_ETCD, etcd, etcd_place, record, uuid_of
from tests.unit.store.watch_properties import WatchValidator

from tungsten.store import open_store
from tungsten.store.base import (
    Compacted,
    DuplicateId,
    Record,
    Snapshot,
    StoreError,
    StoreUnavailable,
    StoreUnusable,
    Transaction,
    TransactionTooLarge,
)
from tungsten.store.etcd import EtcdStore
from tungsten.store.etcd_keys import Keys, decode_head, decode_record, encode_record
from tungsten.store.etcd_transaction import EtcdTransaction
from tungsten.store.sqlite_rows import SqliteSnapshot
from tungsten.testing.etcd import EtcdCluster, free_ports
from tungsten.testing.processes import life


def open_at(place: str) -> EtcdStore:
    return EtcdStore.open(place, options=OLD_ETCD)


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[EtcdStore, EtcdStore]]:
    """Two processes' stores, as it were."""
    one, two = (open_at(etcd_place(tmp_path)) for _ in range(2))
    yield one, two
    await one.close()
    await two.close()


@pytest.fixture
def proxy() -> Iterator[CutProxy]:
    with CutProxy(etcd().endpoints) as running:
        yield running


def creating(*numbers: int) -> Callable[[Transaction], None]:
    """A transaction that creates records."""

    def run(tx: Transaction) -> None:
        for number in numbers:
            tx.create(record(number))

    return run


async def state(store: EtcdStore) -> tuple[int, list[Record]]:
    return await store.load()


# Several writers.


async def test_no_update_of_two_writers_is_lost(stores: tuple[EtcdStore, EtcdStore]) -> None:
    """T-F4."""
    await stores[0].transact(lambda tx: tx.create(record(1, body=b"0")))

    def add(tx: Transaction) -> None:
        held = tx.get(uuid_of(1))
        assert held is not None
        tx.update(record(1, body=str(int(held.body) + 1).encode()))

    await asyncio.gather(*(store.transact(add) for store in stores for _ in range(40)))
    held = await stores[1].read(lambda s: s.get(uuid_of(1)))
    assert held is not None
    assert held.body == b"80"


async def test_two_writers_never_give_a_number_twice(stores: tuple[EtcdStore, EtcdStore]) -> None:
    """T-F4, T-F7."""
    await stores[0].transact(creating(1))

    def take_number(tx: Transaction) -> int | None:
        return tx.claim_number("n", range(100), uuid_of(1))

    given_out = await asyncio.gather(
        *(store.transact(take_number) for store in stores for _ in range(60))
    )
    numbers = [number for number in given_out if number is not None]
    assert sorted(numbers) == list(range(100))
    assert given_out.count(None) == 20


async def test_two_writers_leave_no_dangling_reference(
    stores: tuple[EtcdStore, EtcdStore],
) -> None:
    draw = random.Random(5)

    def change(tx: Transaction) -> None:
        number = draw.randrange(1, 8)
        if tx.get(uuid_of(number)) is not None:
            tx.delete(uuid_of(number))
            return
        others = [n for n in range(1, 8) if n != number and tx.get(uuid_of(n)) is not None]
        parent = draw.choice(others) if others and draw.random() < 0.5 else None
        refs = tuple(draw.sample(others, min(len(others), 2)))
        tx.create(record(number, parent=parent, refs=refs[:1], weak=refs[1:]))
        tx.claim("s", str(number), draw.choice([uuid_of(number), *map(uuid_of, refs)]))

    async def worker(store: EtcdStore) -> None:
        for _ in range(25):
            with suppress(StoreError):
                await store.transact(change)

    await asyncio.gather(*(worker(store) for store in stores for _ in range(4)))
    _, records = await stores[0].load()
    there = {one.uuid for one in records}
    for one in records:
        assert {edge.target for edge in one.edges} <= there
        assert one.parent is None or one.parent in there
    owners = await stores[0].read(lambda s: {owner for _, owner in s.claims("s")})
    assert owners <= there
    assert await state(stores[0]) == await state(stores[1])


async def test_who_gives_up_waiting_hinders_nobody(stores: tuple[EtcdStore, EtcdStore]) -> None:
    store = stores[0]
    await store.transact(creating(1))

    def add(tx: Transaction) -> None:
        held = tx.get(uuid_of(1))
        assert held is not None
        tx.update(record(1, body=str(int(held.body.strip(b"{}") or 0) + 1).encode()))
        tx.claim_number("n", range(1000), uuid_of(1))

    draw = random.Random(3)
    for _ in range(60):
        jobs = [asyncio.create_task(store.transact(add)) for _ in range(3)]
        await asyncio.sleep(draw.random() / 200)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    await asyncio.wait_for(store.transact(add), 2)
    await asyncio.wait_for(stores[1].transact(add), 2)


async def test_what_was_listed_may_not_change_before_the_commit(
    stores: tuple[EtcdStore, EtcdStore],
) -> None:
    """Each writer adds a record only if the type has less than five: five there will be."""

    def add(tx: Transaction, number: int) -> None:
        if len(list(tx.records("virtual-network"))) < 5:
            tx.create(record(number))

    await asyncio.gather(
        *(
            store.transact(partial(add, number=10 * at + n))
            for at, store in enumerate(stores)
            for n in range(1, 9)
        )
    )
    assert len((await stores[0].load())[1]) == 5


def test_every_way_to_read_is_noted_by_transactions() -> None:
    """A read that a transaction does not note is not checked when it commits."""
    ways = {name for name in vars(SqliteSnapshot) if not name.startswith("_")}
    at_no_revision = {"revision", "every"}  # not of a Transaction, or not of a state
    assert ways - at_no_revision <= set(vars(EtcdTransaction))


async def test_a_read_sees_what_another_process_has_written(
    stores: tuple[EtcdStore, EtcdStore],
) -> None:
    def there(snapshot: Snapshot) -> set[int]:
        return {n for n in range(1, 30) if snapshot.get(uuid_of(n)) is not None}

    for number in range(1, 30):
        await stores[number % 2].transact(creating(number))
        reader = stores[1 - number % 2]
        assert number in await reader.read(there)


# Connections.


async def test_a_watch_goes_on_after_its_connection_was_cut(
    tmp_path: Path, proxy: CutProxy
) -> None:
    """F-27."""
    writer = open_at(etcd_place(tmp_path))
    store = open_at(f"{proxy.endpoint}/{tmp_path}")
    validator = WatchValidator(gapless=False)
    watch = store.watch(0)
    for round_ in range(4):
        await writer.transact(creating(10 * round_ + 1))
        validator.receive(await asyncio.wait_for(anext(watch), 10))
        proxy.cut()
        await writer.transact(creating(10 * round_ + 2))
        proxy.heal()
        validator.receive(await asyncio.wait_for(anext(watch), 10))
    assert len(validator.commits) == 8
    validator.check_state(*await writer.load())
    await store.close()
    await writer.close()


async def test_the_log_tells_once_that_a_watch_broke_and_that_it_goes_on(
    tmp_path: Path, proxy: CutProxy
) -> None:
    writer = open_at(etcd_place(tmp_path))
    store = open_at(f"{proxy.endpoint}/{tmp_path}")
    watch = store.watch(0)
    await writer.transact(creating(1))
    await asyncio.wait_for(anext(watch), 10)
    with capture_logs() as logs:
        proxy.cut()
        await asyncio.sleep(1.5)  # time for several attempts
        await writer.transact(creating(2))
        proxy.heal()
        await asyncio.wait_for(anext(watch), 10)
    told = [(one["log_level"], one["event"]) for one in logs if one["log_level"] != "debug"]
    assert told == [("warning", "watch_broke"), ("info", "watch_resumed")]
    assert any(one["log_level"] == "debug" and one["event"] == "watch_broke" for one in logs)
    await store.close()
    await writer.close()


async def test_what_nobody_answered_is_committed_once_or_not_at_all(
    tmp_path: Path, proxy: CutProxy
) -> None:
    """F-30: cut after so many bytes of the exchange; a second endpoint is there."""
    store = open_at(f"{proxy.endpoint},{etcd_place(tmp_path)}")
    for number in range(1, 16):
        store._cluster._at = 0
        await store.ask("KV", "Range", pb.RangeRequest(key=b"x"))  # the connection is up
        proxy.cut_after = 40 * (number - 1) + 1
        await asyncio.wait_for(store.transact(creating(number)), 10)
        proxy.cut()
        proxy.heal()
    assert len((await store.load())[1]) == 15
    await store.close()


async def test_an_unanswered_transaction_that_was_committed_is_found(
    tmp_path: Path, proxy: CutProxy
) -> None:
    """F-30."""
    direct = open_at(etcd_place(tmp_path))
    store = open_at(f"{proxy.endpoint},{etcd_place(tmp_path)}")
    await store.transact(creating(1))
    store._cluster._at = 0
    proxy.mute = True
    runs = 0

    def run(tx: Transaction) -> str:
        nonlocal runs
        runs += 1
        tx.create(record(2))
        return "done"

    assert await store.transact(run) == "done"
    assert runs == 1
    assert len((await direct.load())[1]) == 2
    fences = pb.RangeRequest(
        key=store.keys.fences, range_end=store.keys.fences[:-1] + b"0", count_only=True
    )
    assert (await direct.ask("KV", "Range", fences)).count == 1
    proxy.heal()
    await store.transact(creating(3))
    await store.close()
    await direct.close()


async def test_without_an_answer_and_without_another_member_the_outcome_is_unknown(
    tmp_path: Path, proxy: CutProxy
) -> None:
    """F-27, F-30."""
    store = open_at(f"{proxy.endpoint}/{tmp_path}")
    await store.transact(creating(1))
    proxy.cut()
    with pytest.raises(StoreUnavailable, match="not known whether"):
        await store.transact(creating(2))
    assert len((await store.load())[1]) == 1
    assert store.stale
    proxy.heal()
    async with asyncio.timeout(10):
        while (await store.load())[0] and store.stale:
            await asyncio.sleep(0.05)
    with suppress(StoreError):
        await store.transact(creating(2))
    assert len((await store.load())[1]) == 2
    await store.close()


# Compaction.


async def compact(store: EtcdStore) -> int:
    revision = await store.read(lambda s: s.revision)
    await store.ask("KV", "Compact", pb.CompactionRequest(revision=revision, physical=True))
    return revision


async def test_a_watch_from_before_the_compaction_is_told_so(
    stores: tuple[EtcdStore, EtcdStore],
) -> None:
    """F-28, also at exactly the revision."""
    store = stores[0]
    for number in range(1, 6):
        await store.transact(creating(number))
    last = await compact(store)
    await store.transact(lambda tx: tx.delete(uuid_of(1)))
    late = open_at(f"{etcd().endpoints}/{store.keys.base.decode().strip('/')}")
    for after in (0, last - 1):
        with pytest.raises(Compacted):
            await asyncio.wait_for(anext(late.watch(after)), 5)
    commit = await asyncio.wait_for(anext(late.watch(last)), 5)
    assert [change.record.uuid for change in commit.changes] == [uuid_of(1)]
    await late.close()


async def test_all_of_a_store_is_kept_that_began_after_the_compaction(tmp_path: Path) -> None:
    other = open_at(etcd_place(tmp_path / "other"))
    await other.transact(creating(1))
    await compact(other)
    store = open_at(etcd_place(tmp_path))
    for number in (1, 2):
        await store.transact(creating(number))
    late = open_at(etcd_place(tmp_path))
    for after in (0, 1):
        watch = late.watch(after)
        for number in (1, 2):
            commit = await asyncio.wait_for(anext(watch), 5)
            assert [change.record.uuid for change in commit.changes] == [uuid_of(number)]
    for one in (store, late, other):
        await one.close()


async def test_a_replica_that_missed_the_compacted_is_loaded_anew(
    tmp_path: Path, proxy: CutProxy
) -> None:
    """F-28, with a deletion among it."""
    writer = open_at(etcd_place(tmp_path))
    store = open_at(f"{proxy.endpoint}/{tmp_path}")
    await writer.transact(creating(1, 2, 3))
    before = await store.read(lambda s: s.revision)
    proxy.cut()
    await writer.transact(lambda tx: tx.delete(uuid_of(1)))
    await writer.transact(lambda tx: tx.update(record(2, body=b"[]")))
    await compact(writer)
    proxy.heal()
    async with asyncio.timeout(10):
        while store._follower.loads < 2:
            await asyncio.sleep(0.02)
    assert await state(store) == await state(writer)
    with pytest.raises(Compacted):
        await asyncio.wait_for(anext(store.watch(before)), 5)
    await store.transact(creating(4))
    assert {r.uuid for r in (await writer.load())[1]} == set(map(uuid_of, (2, 3, 4)))
    await store.close()
    await writer.close()


async def test_an_etcd_that_compacts_what_others_write_does_not_disturb_who_is_idle(
    tmp_path: Path, proxy: CutProxy
) -> None:
    """F-28: the newest commit may be older than what is kept, or there may be none at all."""
    store = open_at(f"{proxy.endpoint}/{tmp_path}")
    other = open_at(etcd_place(tmp_path / "other"))
    for number in (1, 2):
        for more in (1, 2):
            await other.transact(creating(10 * number + more))
        await compact(other)
        late = open_at(etcd_place(tmp_path))
        proxy.cut()
        proxy.heal()
        async with asyncio.timeout(10):
            while store.stale or store._follower.loads < 1 + number:
                with suppress(StoreUnavailable):
                    await store.transact(lambda tx: None)
        for one in (late, store):
            loads = one._follower.loads
            watch = one.watch(await one.read(lambda s: s.revision))
            await one.transact(creating(100 * number + (one is late)))
            assert len((await asyncio.wait_for(anext(watch), 5)).changes) == 1
            assert one._follower.loads == loads <= 1 + number
        await late.close()
    await store.close()
    await other.close()


async def test_writes_that_are_not_ours_do_not_pass_for_commits(
    stores: tuple[EtcdStore, EtcdStore],
) -> None:
    store = stores[0]
    await store.transact(creating(1))
    stray = pb.PutRequest(key=store.keys.record(uuid_of(2)), value=encode_record(record(2), 0))
    await store.ask("KV", "Put", stray)
    async with asyncio.timeout(10):
        while store._follower.loads < 2:
            await asyncio.sleep(0.02)
    await store.transact(creating(3))
    assert await state(stores[0]) == await state(stores[1])


async def test_an_etcd_that_was_set_back_is_followed_there(tmp_path: Path) -> None:
    """F-27."""
    with EtcdCluster(tmp_path / "etcd") as cluster:
        (member,) = cluster.members
        store = open_at(f"{cluster.endpoints}/back")
        await store.transact(creating(1))
        first = await state(store)
        member.kill()
        shutil.copytree(member.directory / "data", tmp_path / "backup")
        cluster.start_member(member)
        await asyncio.to_thread(member.wait)
        async with asyncio.timeout(20):
            while store.stale or len((await state(store))[1]) == 1:
                with suppress(StoreUnavailable, DuplicateId):
                    await store.transact(creating(2))
        watch = store.watch(first[0])
        await anext(watch)
        member.kill()
        shutil.rmtree(member.directory / "data")
        shutil.move(tmp_path / "backup", member.directory / "data")
        cluster.start_member(member)
        await asyncio.to_thread(member.wait)
        with pytest.raises(Compacted, match="went back"):
            await asyncio.wait_for(anext(watch), 10)
        async with asyncio.timeout(10):
            while await state(store) != first:
                await asyncio.sleep(0.1)
        await store.transact(creating(3))
        await store.close()


# Limits.


async def test_an_etcd_with_its_usual_limits_takes_what_fits(tmp_path: Path) -> None:
    with EtcdCluster(tmp_path / "etcd", options=()) as small:
        store = open_at(f"{small.endpoints}/limits")
        with pytest.raises(TransactionTooLarge, match="max-txn-ops"):
            await store.transact(creating(*range(1, 200)))
        for begin in range(1, 201, 40):
            await store.transact(creating(*range(begin, begin + 40)))

        def read_many(tx: Transaction) -> None:
            assert all(tx.get(uuid_of(n)) for n in range(1, 200))
            tx.update(record(200, body=b"[]"))

        await store.transact(read_many)
        with pytest.raises(TransactionTooLarge, match="max-request-bytes"):
            await store.transact(lambda tx: tx.create(record(300, body=b"x" * 3_000_000)))
        assert len((await store.load())[1]) == 200
        await store.close()


async def test_a_store_of_many_pages_is_loaded_at_one_revision(
    stores: tuple[EtcdStore, EtcdStore], tmp_path: Path
) -> None:
    def run(tx: Transaction, begin: int) -> None:
        for number in range(begin, begin + 400):
            tx.create(record(number, body=b"x" * 4000))

    for begin in range(1, 2000, 400):
        await stores[0].transact(partial(run, begin=begin))
    late = open_at(etcd_place(tmp_path))
    assert await state(late) == await state(stores[0])
    await late.close()


async def test_a_full_etcd_can_be_read_and_says_what_to_do(tmp_path: Path) -> None:
    """F-28, NOSPACE."""
    options = ("--quota-backend-bytes", str(4 * 1024 * 1024))
    with EtcdCluster(tmp_path / "etcd", options=options) as small:
        store = open_at(f"{small.endpoints}/full")

        def fill(tx: Transaction, number: int) -> None:
            tx.update(record(1, body=str(number).encode() * 100_000))

        async def fill_up() -> None:
            await store.transact(creating(1))
            for number in range(100, 200):
                await store.transact(partial(fill, number=number))

        with pytest.raises(StoreUnavailable, match="NOSPACE"):
            await fill_up()
        before = await store.load()
        assert len(before[1]) == 1
        assert not store.stale
        revision = await store.read(lambda s: s.revision)
        await store.ask("KV", "Compact", pb.CompactionRequest(revision=revision, physical=True))
        await store.ask("Maintenance", "Defragment", pb.DefragmentRequest())
        for one in (await store.ask("Maintenance", "Alarm", pb.AlarmRequest())).alarms:
            off = pb.AlarmRequest(
                action=pb.AlarmRequest.DEACTIVATE, memberID=one.memberID, alarm=one.alarm
            )
            await store.ask("Maintenance", "Alarm", off)
        await store.transact(lambda tx: tx.update(record(1)))
        assert (await store.load())[0] > before[0]
        await store.close()


async def test_replicas_of_killed_processes_are_removed_and_of_others_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("dead", "alive"):
        (tmp_path / f"tungsten-etcd-{name}").mkdir()
        (tmp_path / f"tungsten-etcd-{name}" / "lock").touch()
    with (tmp_path / "tungsten-etcd-alive" / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        store = open_at(etcd_place(tmp_path))
        assert not (tmp_path / "tungsten-etcd-dead").exists()
        assert (tmp_path / "tungsten-etcd-alive").exists()
        assert len(list(tmp_path.glob("tungsten-etcd-*"))) == 2
        await store.close()
    assert len(list(tmp_path.glob("tungsten-etcd-*"))) == 1


def test_an_etcd_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tungsten.testing.etcd import EtcdCluster;"
        "c = EtcdCluster(Path(sys.argv[1])).start(); print(c.members[0].pid, flush=True);"
        "time.sleep(60)"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "etcd")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert life(pid) is not None
        process.kill()
    deadline = time.monotonic() + 5
    while life(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Refusals.


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("etcd:127.0.0.1/p", "'127.0.0.1' is no endpoint of etcd: HOST:PORT expected"),
        ("etcd:h:0/p", "'h:0' is no endpoint"),
        ("etcd:a:b:2379/p", "'a:b:2379' is no endpoint"),
        ("etcd:h:2379,/p", "'' is no endpoint"),
        ("etcd:h:2379", "has no prefix"),
        ("etcd:h:2379/", "has no prefix"),
    ],
)
def test_a_url_that_names_no_cluster_is_refused(url: str, why: str) -> None:
    with pytest.raises(StoreUnusable) as caught:
        open_store(url)
    assert why in str(caught.value)


def test_a_cluster_that_is_not_there_is_told_at_once() -> None:
    ports = free_ports(2)
    began = time.monotonic()
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        open_at(",".join(f"127.0.0.1:{port}" for port in ports) + "/p")
    assert time.monotonic() - began < 5


def test_a_reader_does_not_make_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="not in etcd yet"):
        EtcdStore.open(etcd_place(tmp_path), readonly=True, options=OLD_ETCD)


async def test_a_reader_does_not_write(tmp_path: Path) -> None:
    writer = open_at(etcd_place(tmp_path))
    reader = EtcdStore.open(etcd_place(tmp_path), readonly=True, options=OLD_ETCD)
    with pytest.raises(StoreUnavailable, match="reading only"):
        await reader.transact(creating(1))
    await reader.close()
    await writer.close()


@given(st.binary(max_size=200))
def test_foreign_values_are_refused_in_the_stores_words(value: bytes) -> None:
    for decode in (partial(decode_record, "u", revision=1), decode_head, Keys("p").claim_of):
        with suppress(StoreUnusable):
            decode(value)
