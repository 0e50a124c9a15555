"""The store moves while the compiler works, objects are bad, the store fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs
from tests.unit.compiler.intent import (
    TENANT,
    create,
    delete,
    instance_targets,
    interface,
    network,
    read,
    system,
    targets,
    update,
)

from tungsten.compiler import networks, pools
from tungsten.compiler.pools import ROUTE_TARGETS, Pool
from tungsten.compiler.service import CompilerService
from tungsten.store.base import (
    Commit,
    Compacted,
    Record,
    Snapshot,
    Store,
    StoreUnavailable,
    Transaction,
    number_key,
)
from tungsten.store.records import to_record
from tungsten.testing.invariants import assert_whole
from tungsten.testing.settling import settled

T = TypeVar("T")


class Overtaken:
    """A real store; something happens to it just before the next transaction runs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.first: Callable[[], Awaitable[None]] | None = None

    async def transact(self, fn: Callable[[Transaction], T]) -> T:
        if self.first is not None:
            first, self.first = self.first, None
            await first()
        return await self._store.transact(fn)

    async def read(self, fn: Callable[[Snapshot], T]) -> T:
        return await self._store.read(fn)

    async def glance(self, fn: Callable[[Snapshot], T]) -> T:
        return await self._store.glance(fn)

    async def load(self) -> tuple[int, list[Record]]:
        return await self._store.load()

    async def scan(self, fn: Callable[[Snapshot, Iterator[Record]], T]) -> T:
        return await self._store.scan(fn)

    def watch(self, after: int) -> AsyncIterator[Commit]:
        return self._store.watch(after)

    async def close(self) -> None:
        await self._store.close()


async def overtaken(store: Store, first: Callable[[], Awaitable[None]]) -> CompilerService:
    """A compiler that compiled what is in the store, and had it changed before its write."""
    late = Overtaken(store)
    late.first = first
    service = CompilerService(late)
    await service.start()
    await settled(store, service)
    return service


async def test_a_network_deleted_before_the_write_leaves_nothing(store: Store) -> None:
    vn, other = network("vn1", route_target_list=targets("target:65000:1")), network("vn2")
    await create(store, vn)
    await create(store, other)
    service = await overtaken(store, lambda: delete(store, vn))
    records = await store.load()
    assert sorted((r.type, r.fq_name[-1]) for r in records[1] if r.provenance) == [
        ("route-target", "target:64512:8000001"),
        ("routing-instance", "vn2"),
    ]
    assert service.status.dropped > 0
    await assert_whole(store)
    await service.stop()


async def test_a_network_deleted_and_made_again_before_the_write_is_compiled_anew(
    store: Store,
) -> None:
    vn, again = network("vn1"), network("vn1", life=1)
    await create(store, vn, interface("vmi1"))

    async def replace_it() -> None:
        await delete(store, vn)
        await create(store, again)
        await update(store, interface("vmi1", again))

    service = await overtaken(store, replace_it)
    instance = await read(store, "routing-instance", *TENANT, "vn1", "vn1")
    assert instance.parent_uuid == again.uuid
    stored = await read(store, "virtual-machine-interface", *TENANT, "vmi1")
    assert [ref.uuid for ref in stored.routing_instance_refs] == [instance.uuid]
    await assert_whole(store)
    await service.stop()


async def test_an_interface_moved_before_the_write_keeps_what_people_said(store: Store) -> None:
    one, two = network("vn1"), network("vn2")
    await create(store, one, two, interface("vmi1", one))
    service = await overtaken(store, lambda: update(store, interface("vmi1", two)))
    stored = await read(store, "virtual-machine-interface", *TENANT, "vmi1")
    assert [ref.to[-1] for ref in stored.virtual_network_refs] == ["vn2"]
    assert [ref.to[-1] for ref in stored.routing_instance_refs] == ["vn2"]
    await service.stop()


async def test_a_burst_is_compiled_in_few_rounds(store: Store, compiler: CompilerService) -> None:
    await asyncio.gather(*(create(store, network(f"vn{i}")) for i in range(200)))
    await settled(store, compiler)
    assert compiler.status.rounds < 60
    await assert_whole(store)


# Poison


def poisoned(record: Record) -> Record:
    return replace(record, body=b'{"route_target_list": "not a list"}')


async def test_an_object_that_cannot_be_read_harms_no_other_and_keeps_what_it_had(
    store: Store, compiler: CompilerService
) -> None:
    bad = network("bad", route_target_list=targets("target:65000:1"))
    await create(store, bad)
    await settled(store, compiler)

    def poison(tx: Transaction) -> None:
        record = tx.get(bad.uuid)
        assert record is not None
        tx.update(poisoned(record))

    with capture_logs() as logs:
        await store.transact(poison)
        await create(store, network("good"))
        await settled(store, compiler)
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["event"] == "query_quarantined"
    assert entry["fq_name"] == ":".join(bad.fq_name)
    assert "route_target_list" in entry["error"] or "object" in entry["error"].lower()
    assert await read(store, "routing-instance", *TENANT, "good", "good") is not None
    kept = await instance_targets(store, *TENANT, "bad", "bad")
    assert "target:65000:1" in kept
    # A new process knows only the bad object; what was derived from the good one stays.
    await compiler.stop()
    second = CompilerService(store)
    await second.start()
    assert second.status.written == 0
    with capture_logs() as logs:
        await update_raw(store, bad.uuid, b"{}")
        await settled(store, second)
    assert [entry["event"] for entry in logs] == ["query_recovered"]
    assert await instance_targets(store, *TENANT, "bad", "bad") == {"target:64512:8000000": None}
    await assert_whole(store)
    await second.stop()


async def update_raw(store: Store, uuid: str, body: bytes) -> None:
    def work(tx: Transaction) -> None:
        record = tx.get(uuid)
        assert record is not None
        tx.update(replace(record, body=body))

    await store.transact(work)


async def test_a_poisoned_object_can_be_deleted_with_all_it_had(
    store: Store, compiler: CompilerService
) -> None:
    bad = network("bad")
    await create(store, bad)
    await settled(store, compiler)
    await update_raw(store, bad.uuid, b"[]")
    await settled(store, compiler)

    def remove(tx: Transaction) -> None:
        for child in tx.children(bad.uuid):
            tx.delete(child.uuid)
        tx.delete(bad.uuid)

    await store.transact(remove)
    await settled(store, compiler)
    assert await store.read(lambda s: [r for t in DERIVED for r in s.records(t)]) == []


DERIVED = ("routing-instance", "route-target", "access-control-list")


# A store that fails


class Failing(Overtaken):
    """A store whose transactions fail a number of times."""

    failures = 0

    async def transact(self, fn: Callable[[Transaction], T]) -> T:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the disk is full")
        return await super().transact(fn)


async def test_a_failing_store_is_tried_again(store: Store) -> None:
    failing = Failing(store)
    service = CompilerService(failing)
    await service.start()
    failing.failures = 2
    with capture_logs() as logs:
        await create(store, network("vn1"))
        await settled(store, service)
    assert [e["event"] for e in logs] == ["compiler_store_failed"] * 2
    assert await read(store, "routing-instance", *TENANT, "vn1", "vn1") is not None
    assert service.status.loads == 3
    await service.stop()


class Forgetful(Overtaken):
    """A store whose log is cut while somebody watches."""

    watches = 0

    async def watch(self, after: int) -> AsyncIterator[Commit]:
        self.watches += 1
        async for commit in self._store.watch(after):
            if self.watches == 1 and commit.revision > 4:
                raise Compacted(f"revision {commit.revision} is gone")
            yield commit


async def test_a_watch_that_lost_commits_is_made_up_for_by_a_load(store: Store) -> None:
    vn, other = network("vn1"), network("vn2")
    await create(store, vn, other)
    forgetful = Forgetful(store)
    service = CompilerService(forgetful)
    await service.start()
    await delete(store, vn)
    await create(store, network("vn3"), interface("vmi", other))
    await settled(store, service)
    assert forgetful.watches == 2
    await assert_whole(store)
    stored = await read(store, "virtual-machine-interface", *TENANT, "vmi")
    assert [ref.to[-1] for ref in stored.routing_instance_refs] == ["vn2"]
    assert await read(store, "routing-instance", *TENANT, "vn3", "vn3") is not None
    await service.stop()


async def test_a_network_without_a_number_waits_and_is_told_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Pool("route-target/type1_2", 8000, 8002)
    monkeypatch.setitem(pools.POOLS, small.space, small)
    monkeypatch.setattr(networks, "ROUTE_TARGETS_OF_LONG_AS", small)
    one, two, late = network("vn1"), network("vn2"), network("late")
    await create(store, system(4200000000), one, two)
    with capture_logs() as logs:
        service = CompilerService(store)
        await service.start()
        await create(store, late)
        await create(store, interface("vmi"))
        await asyncio.sleep(0.1)
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["event"] == "pool_exhausted"
    assert "all of 8000..8001 are taken" in entry["error"]
    assert await read(store, "routing-instance", *TENANT, "late", "late") is None
    await delete(store, one)
    await settled(store, service)
    (target,) = await instance_targets(store, *TENANT, "late", "late")
    assert target in ("target:4200000000:8000", "target:4200000000:8001")
    await service.stop()


async def test_a_number_that_somebody_took_is_not_used(store: Store) -> None:
    # Objects must not be written with a number whose claim was refused.
    mine, theirs = network("vn1"), network("other")
    await create(store, mine)

    async def take() -> None:
        def work(tx: Transaction) -> None:
            tx.create(to_record(theirs))
            tx.claim(ROUTE_TARGETS.space, number_key(ROUTE_TARGETS.low + 1), theirs.uuid)

        await store.transact(work)

    failing = Overtaken(store)
    service = CompilerService(failing)
    await service.start()
    await delete(store, mine)
    await settled(store, service)
    failing.first = take
    await create(store, network("vn2"))
    await settled(store, service)
    assert await instance_targets(store, *TENANT, "other", "other") == {
        "target:64512:8000001": None
    }
    assert await instance_targets(store, *TENANT, "vn2", "vn2") == {"target:64512:8000002": None}
    await assert_whole(store)
    await service.stop()


async def test_what_the_store_refuses_stops_nothing_else(store: Store) -> None:
    # The uuid the instance of vn1 would get is taken by something else.
    from tungsten.compiler.output import derived_uuid
    from tungsten.compiler.wanted import ObjectKey

    vn = network("vn1")
    key = ObjectKey("routing-instance", (*TENANT, "vn1", "vn1"))
    thief = network("thief")
    thief.uuid = derived_uuid(key, vn.uuid)
    await create(store, vn, thief, network("vn2"))
    service = CompilerService(store)
    with capture_logs() as logs:
        await service.start()
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["event"] == "derived_write_refused"
    assert entry["about"] == str(key)
    for name in ("vn2", "thief"):
        assert await read(store, "routing-instance", *TENANT, name, name) is not None
    await service.stop()


async def test_a_compiler_that_stops_lets_another_take_over(store: Store) -> None:
    written: list[int] = []
    for i in range(3):
        service = CompilerService(store)
        await create(store, network(f"vn{i}"))
        await service.start()
        await service.stop()
        written.append(service.status.written)
    assert written == [3, 3, 3]
    await assert_whole(store)


def log_levels(logs: list[Any]) -> set[str]:
    return {entry["log_level"] for entry in logs}


async def test_normal_work_logs_no_warnings(store: Store) -> None:
    with capture_logs() as logs:
        service = CompilerService(store)
        await service.start()
        vn = network("vn1")
        await create(store, vn, interface("vmi1", vn))
        await settled(store, service)
        await update(store, interface("vmi1"))
        await delete(store, vn)
        await settled(store, service)
        await service.stop()
    assert log_levels(logs) <= {"info", "debug"}
