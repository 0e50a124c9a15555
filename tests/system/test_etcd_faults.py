"""etcd members and writers are killed and stopped under load; then the books are audited.

Nothing acknowledged is lost, nothing is half-written, no number and no key has two owners, and
every watcher saw every commit once, whole, in order. What nobody could answer counts as unknown:
both outcomes are right. The cluster has three members on the loopback address.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aetcd.rpc import rpc_pb2 as pb
from aetcd.rpc import rpc_pb2_grpc as stubs

from tests.system import etcd_books, etcd_elected, etcd_writer
from tests.unit.store.store_samples import record, take
from tests.unit.store.watch_properties import WatchValidator
from tungsten.store import EtcdOptions, faults
from tungsten.store.base import (
    Compacted,
    Record,
    StoreError,
    StoreUnavailable,
    Transaction,
    number_key,
)
from tungsten.store.etcd import EtcdStore
from tungsten.store.etcd_check import check
from tungsten.store.etcd_client import Access, Connection
from tungsten.testing.etcd import EtcdCluster, Member, paused

OLD = EtcdOptions(allow_unpatched=True)
ROOT = Path(__file__).parents[2]

PATIENCE = 90
"""Seconds for what takes a few on a machine that does nothing else."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    """Three members, all well again at the end of each test."""
    directory = tmp_path_factory.mktemp("faults") / "etcd"
    with EtcdCluster(directory, size=3, heartbeat=50, election=500) as running:
        yield running


@pytest.fixture
def place(cluster: EtcdCluster, tmp_path: Path) -> str:
    """Where the test's store is."""
    for member in cluster.members:
        member.wait()
    return f"{cluster.endpoints}/{tmp_path}"


def create(tx: Transaction, number: int) -> None:
    """One record."""
    tx.create(record(number))


@dataclass
class Writer:
    """A writing process, and what it said."""

    name: str
    process: subprocess.Popen[Any]
    log: Path

    @property
    def lines(self) -> list[str]:
        """Whole lines only: it may have been killed in the middle of one."""
        return [line for line in self.log.read_text().splitlines(keepends=True) if "\n" in line]

    def acknowledged(self) -> dict[int, int]:
        """Pairs that were committed, and their numbers."""
        found = [line.split() for line in self.lines]
        return {int(words[1]): int(words[2]) for words in found if words[0] == "ok"}

    def last_said(self) -> dict[int, str]:
        """By pair, the word that was said last of it."""
        return {int(words[1]): words[0] for words in (line.split() for line in self.lines)}


@dataclass
class Writers:
    """All writing processes of a test."""

    place: str
    directory: Path
    all: list[Writer] = field(default_factory=list)

    def start(self, fault: str = "") -> Writer:
        """Start one; at ``fault`` (NAME:N, see tungsten.store.faults) it kills itself."""
        name = f"w{len(self.all)}"
        log = self.directory / f"{name}.log"
        with log.open("wb") as sink, (self.directory / f"{name}.err").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, etcd_writer.__file__, self.place, name],
                stdout=sink,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, faults.VARIABLE: fault},
            )
        writer = Writer(name, process, log)
        self.all.append(writer)
        return writer

    @property
    def running(self) -> list[Writer]:
        return [one for one in self.all if one.process.poll() is None]

    def kill(self) -> None:
        for writer in self.all:
            writer.process.kill()
            writer.process.wait()

    def progress(self) -> int:
        return sum(len(writer.acknowledged()) for writer in self.all)


async def follow(store: EtcdStore, validator: WatchValidator) -> None:
    """Watch for ever; what breaks the watch is resumed from where it was."""
    while True:
        with suppress(StoreUnavailable):
            async for commit in store.watch(validator.revision):
                validator.receive(commit)


async def progresses(writers: Writers, more: int, seconds: float = PATIENCE) -> None:
    """Wait until so many pairs more are acknowledged."""
    target = writers.progress() + more
    async with asyncio.timeout(seconds):
        while writers.progress() < target:
            await asyncio.sleep(0.1)


async def fault(kind: str, draw: random.Random, cluster: EtcdCluster, writers: Writers) -> None:
    """One fault, and its end."""
    member = draw.choice(cluster.members)
    match kind:
        case "kill":
            member.kill()
            await asyncio.sleep(draw.uniform(0.5, 2))
            cluster.start_member(member)
            await asyncio.to_thread(member.wait)
        case "pause":
            with paused(member):
                await asyncio.sleep(draw.uniform(0.2, 1))
        case "pause longer":
            with paused(member):
                await asyncio.sleep(3)
        case "slow disks":
            # No member gets its disk, or anything else, for most of the time.
            for _ in range(8):
                for one in cluster.members:
                    with paused(one):
                        await asyncio.sleep(0.12)
        case "defragment":
            await asyncio.to_thread(defragment, cluster)
        case "replace":
            await replace(cluster, member)
        case "old data":
            await set_back(cluster, member)
            await progresses(writers, 50)
            await replace(cluster, member)
        case "writer":
            writers.running[0].process.kill()
            point = draw.choice(["store.commit.before", "store.commit.after"])
            writers.start(f"{point}:{draw.randrange(1, 40)}")
            writers.start()


def ask(cluster: EtcdCluster, but: Member | None, service: str, name: str, request: Any) -> Any:
    """A call to a member that is not the one that is hurt."""
    endpoint = next(one.endpoint for one in cluster.members if one is not but)
    connection = Connection(Access((endpoint,), OLD), endpoint)
    try:
        stub = getattr(stubs, f"{service}Stub")(connection._channel)
        return connection.call(getattr(stub, name), request, timeout=10)
    finally:
        connection.close()


def defragment(cluster: EtcdCluster) -> None:
    """Every member's file, one after the other; each serves nobody meanwhile."""
    for member in cluster.members:
        other = next(one for one in cluster.members if one is not member)
        ask(cluster, other, "Maintenance", "Defragment", pb.DefragmentRequest())


async def replace(cluster: EtcdCluster, member: Member) -> None:
    """Remove a member whose data is lost, and add a fresh one in its place."""
    member.kill()
    shutil.rmtree(member.directory / "data")
    await asyncio.to_thread(readmit, cluster, member)
    # Not in a thread that ends, since members end with the thread that started them.
    cluster.start_member(member, "--initial-cluster-state", "existing")
    await asyncio.to_thread(member.wait)


def readmit(cluster: EtcdCluster, member: Member) -> None:
    """Have the others forget a member and expect another one where it was."""

    def known() -> list[int]:
        answer = ask(cluster, member, "Cluster", "MemberList", pb.MemberListRequest())
        return [one.ID for one in answer.members if member.peer in one.peerURLs]

    def change(name: str, request: Any, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline
            with suppress(StoreUnavailable):  # no leader, or not connected well enough yet
                ask(cluster, member, "Cluster", name, request)
            time.sleep(0.1)

    (old,) = known()
    change("MemberRemove", pb.MemberRemoveRequest(ID=old), lambda: not known())
    change("MemberAdd", pb.MemberAddRequest(peerURLs=[member.peer]), lambda: bool(known()))


async def set_back(cluster: EtcdCluster, member: Member) -> None:
    """Let a member begin with data of before: etcd may end it, or have it catch up."""
    member.kill()
    copy = member.directory / "copy"
    shutil.copytree(member.directory / "data", copy)
    cluster.start_member(member)
    await asyncio.to_thread(member.wait)
    await asyncio.sleep(1)
    member.kill()
    shutil.rmtree(member.directory / "data")
    shutil.move(copy, member.directory / "data")
    cluster.start_member(member)


def audit(writers: Writers, records: list[Record], claims: dict[str, dict[str, str]]) -> None:
    """What is in the store against what was acknowledged."""
    held: dict[str, list[Record]] = {}
    for one in records:
        held.setdefault(one.fq_name[0], []).append(one)
    for name, found in held.items():
        writer, _, text = name.partition("-")
        pair = etcd_writer.pair(writer, int(text))
        stored = sorted((r.uuid, r.fq_name, r.parent, r.edges, r.body) for r in found)
        assert stored == sorted((r.uuid, r.fq_name, r.parent, r.edges, r.body) for r in pair)
    owners = {pair_uuid: key for key, pair_uuid in claims["numbers"].items()}
    assert len(owners) == len(claims["numbers"]) == len(held)
    given: list[int] = []
    for writer_process in writers.all:
        got = writer_process.acknowledged()
        for number, said in writer_process.last_said().items():
            upper, _ = etcd_writer.pair(writer_process.name, number)
            name = upper.fq_name[0]
            if said == "ok":
                assert name in held, f"{name} was acknowledged and is lost"
                given.append(got[number])
            elif said != "unknown":
                assert name not in held, f"{name} is {said} and is there"
            if name in held and number in got:
                assert owners[upper.uuid] == number_key(got[number])
                assert number % 10 or claims["shared"][str(number)] == upper.uuid
    assert len(set(given)) == len(given)


@pytest.mark.parametrize(
    "kinds",
    [
        ("writer", "kill", "pause longer"),
        ("writer", "pause", "slow disks", "defragment"),
        ("replace", "writer", "kill"),
        ("old data",),
    ],
    ids=["killed", "slow", "replaced", "set back"],
)
async def test_an_audit_after_faults_finds_nothing(
    cluster: EtcdCluster, place: str, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    """F-27, F-28, F-25, F-09, T-F1, T-F3, T-F4: the six properties of a watch, and the books."""
    draw = random.Random("".join(kinds))
    watchers = [EtcdStore.open(place, options=OLD) for _ in range(2)]
    validators = [WatchValidator(gapless=False) for _ in watchers]
    tasks = [
        asyncio.create_task(follow(store, validator))
        for store, validator in zip(watchers, validators, strict=True)
    ]
    writers = Writers(place, tmp_path)
    try:
        for _ in range(2):
            writers.start()
        await progresses(writers, 50)
        for kind in kinds:
            await fault(kind, draw, cluster, writers)
            await progresses(writers, 50)
    finally:
        writers.kill()
    fresh = EtcdStore.open(place, options=OLD)
    revision, records = await fresh.load()
    audit(writers, records, await fresh.read(etcd_books.claims_of))
    history = await take(fresh.watch(0), revision)
    async with asyncio.timeout(PATIENCE):
        while any(validator.revision < revision for validator in validators):
            await asyncio.sleep(0.05)
    for task in tasks:
        assert not task.done() or task.exception() is None
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for validator in validators:
        assert validator.commits == history
        validator.check_state(revision, records)
    assert check(place, OLD) == []
    for store in (*watchers, fresh):
        await store.close()


@dataclass
class Resuming:
    """A watcher that loads again when it is told that what it wants is gone."""

    store: EtcdStore
    validator: WatchValidator
    loads: int = 0

    async def follow(self) -> None:
        """Watch for ever."""
        while True:
            try:
                async for commit in self.store.watch(self.validator.revision):
                    self.validator.receive(commit)
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            except Compacted:
                self.validator = WatchValidator(*await self.store.load(), gapless=False)
                self.loads += 1


async def compact_all(cluster: EtcdCluster) -> None:
    """Drop all history, again and again: also what watchers are about to resume from."""
    while True:
        with suppress(StoreError):
            head = await asyncio.to_thread(
                ask, cluster, None, "KV", "Range", pb.RangeRequest(key=b"x")
            )
            request = pb.CompactionRequest(revision=head.header.revision, physical=True)
            await asyncio.to_thread(ask, cluster, None, "KV", "Compact", request)
        await asyncio.sleep(0.1)


async def test_compaction_under_load_hides_nothing(
    cluster: EtcdCluster, place: str, tmp_path: Path
) -> None:
    """F-28: records are deleted meanwhile, members go, and no watcher keeps what is gone."""
    stores = [EtcdStore.open(place, options=OLD) for _ in range(2)]
    watchers = [Resuming(store, WatchValidator(gapless=False)) for store in stores]
    tasks = [asyncio.create_task(one.follow()) for one in watchers]
    writers = Writers(place, tmp_path)
    tasks.append(asyncio.create_task(compact_all(cluster)))
    try:
        for _ in range(2):
            writers.start()
        await progresses(writers, 60)
        for member in cluster.members[1:]:
            member.kill()
            await progresses(writers, 40)
            cluster.start_member(member)
            await asyncio.to_thread(member.wait)
    finally:
        writers.kill()
    fresh = EtcdStore.open(place, options=OLD)
    revision, records = await fresh.load()
    audit(writers, records, await fresh.read(etcd_books.claims_of))
    assert any(said == "gone" for one in writers.all for said in one.last_said().values())
    async with asyncio.timeout(PATIENCE):
        while any(one.validator.revision < revision for one in watchers):
            await asyncio.sleep(0.05)
    for task in tasks:
        assert not task.done()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for one in watchers:
        one.validator.check_state(revision, records)
    assert check(place, OLD) == []
    for store in (*stores, fresh):
        await store.close()


async def test_one_member_of_three_may_go_at_any_time(cluster: EtcdCluster, place: str) -> None:
    """F-27: the leader among them."""
    store = EtcdStore.open(place, options=OLD)
    worst = 0.0
    for number, member in enumerate(cluster.members):
        member.kill()
        began = time.monotonic()
        await store.transact(partial(create, number=number + 1))
        worst = max(worst, time.monotonic() - began)
        cluster.start_member(member)
        await asyncio.to_thread(member.wait)
    assert worst < 20  # an election takes less than one, where the machine lets it
    assert len((await store.load())[1]) == 3
    await store.close()


async def test_without_a_quorum_writes_fail_reads_and_watches_go_on(
    cluster: EtcdCluster, place: str
) -> None:
    """F-27."""
    store = EtcdStore.open(place, options=OLD)
    await store.transact(lambda tx: tx.create(record(1)))
    revision = (await store.load())[0]
    with ExitStack() as stack:
        for member in cluster.members[:2]:
            stack.enter_context(paused(member))
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.transact(lambda tx: tx.create(record(2)))
        assert time.monotonic() - began < 20
        assert is_stale(store)
        began = time.monotonic()
        assert len((await store.load())[1]) == 1
        assert time.monotonic() - began < 5
        waiting = asyncio.ensure_future(anext(store.watch(revision)))
        await asyncio.sleep(0.5)
        assert not waiting.done()
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(StoreUnavailable):
                await store.transact(lambda tx: tx.create(record(3)))
                break
        commit = await waiting
        while is_stale(store):
            await asyncio.sleep(0.05)
    assert commit.revision > revision
    assert {r.fq_name[-1] for r in (await store.load())[1]} >= {"n1", "n3"}
    await store.close()


@dataclass
class Candidate:
    """A candidate process and its lines."""

    process: asyncio.subprocess.Process

    async def says(self, pattern: str, seconds: float = PATIENCE) -> str:
        """Wait for a line; others before it are skipped."""
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            while line := (await self.process.stdout.readline()).decode().strip():
                if re.fullmatch(pattern, line):
                    return line
        raise AssertionError(f"it ended without {pattern}")


@pytest.fixture
async def candidate(
    place: str,
) -> AsyncIterator[Callable[[str], asyncio.Future[Candidate]]]:
    """A function that starts a candidate by name."""
    made: list[asyncio.subprocess.Process] = []

    async def start(name: str) -> Candidate:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            etcd_elected.__file__,
            place,
            name,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        made.append(process)
        return Candidate(process)

    yield lambda name: asyncio.ensure_future(start(name))
    for process in made:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_who_slept_through_its_time_is_refused(
    place: str, candidate: Callable[[str], asyncio.Future[Candidate]]
) -> None:
    """F-09, F-02: never a write of one who is no longer elected."""
    one = await candidate("a")
    await one.says("wrote 3")
    two = await candidate("b")
    one.process.send_signal(signal.SIGSTOP)
    await two.says(r"elected \d+")
    await two.says("wrote 3")
    one.process.send_signal(signal.SIGCONT)
    await one.says("refused")
    three = await candidate("c")
    two.process.kill()
    await three.says("wrote 1")
    store = EtcdStore.open(place, options=OLD)
    order = [c.changes[0].record.fq_name[0] for c in await take(store.watch(0), await last(store))]
    assert re.fullmatch("a+b+c+", "".join(order))
    await store.close()


def is_stale(store: EtcdStore) -> bool:
    """Whether it says that what it reads may be old."""
    return store.stale


async def last(store: EtcdStore) -> int:
    """The newest revision."""
    return await store.read(lambda snapshot: snapshot.revision)
