"""Elections: one at a time, the next when one is gone, and no writes of the one before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aetcd.rpc import rpc_pb2 as pb
from tests.unit.store.store_samples import OLD_ETCD, etcd_place, record, uuid_of

from tungsten.store.election import ElectedStore, Election, LeadershipLost
from tungsten.store.etcd import EtcdStore


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[EtcdStore, EtcdStore]]:
    place = etcd_place(tmp_path)
    opened = [EtcdStore.open(place, options=OLD_ETCD) for _ in range(2)]
    yield opened[0], opened[1]
    for store in opened:
        await store.close()


async def test_one_is_elected_and_the_other_when_that_one_resigns(
    stores: tuple[EtcdStore, EtcdStore],
) -> None:
    one, two = (Election(store, "r", name) for store, name in zip(stores, "ab", strict=True))
    first = await one.lead()
    waiting = asyncio.create_task(two.lead())
    await asyncio.sleep(0.7)
    assert not waiting.done()
    assert await two.leader() == "a"
    await one.resign()
    assert first.lost.is_set()
    second = await asyncio.wait_for(waiting, 3)
    assert second.revision > first.revision
    assert await one.leader() == "b"
    await two.resign()


async def test_roles_do_not_disturb_each_other(stores: tuple[EtcdStore, EtcdStore]) -> None:
    one, two = Election(stores[0], "r", "a"), Election(stores[1], "s", "b")
    await asyncio.wait_for(asyncio.gather(one.lead(), two.lead()), 3)
    await asyncio.gather(one.resign(), two.resign())


async def test_who_does_not_renew_is_followed_and_its_writes_are_refused(
    stores: tuple[EtcdStore, EtcdStore],
) -> None:
    one, two = Election(stores[0], "r", "a", ttl=1), Election(stores[1], "r", "b", ttl=1)
    old = await one.lead()
    old_store = ElectedStore(stores[0], old)
    await old_store.transact(lambda tx: tx.create(record(1)))
    assert one._renewing is not None
    one._renewing.cancel()  # as if the process were suspended
    new = await asyncio.wait_for(two.lead(), 8)
    await ElectedStore(stores[1], new).transact(lambda tx: tx.create(record(2)))
    with pytest.raises(LeadershipLost, match="role r is no longer ours"):
        await old_store.transact(lambda tx: tx.create(record(3)))
    assert old.lost.is_set()
    _, records = await old_store.load()
    assert {r.uuid for r in records} == {uuid_of(1), uuid_of(2)}
    await two.resign()


async def test_a_role_is_lost_when_its_lease_is_gone(stores: tuple[EtcdStore, EtcdStore]) -> None:
    election = Election(stores[0], "r", "a", ttl=2)
    leadership = await election.lead()
    await stores[1].ask("Lease", "LeaseRevoke", pb.LeaseRevokeRequest(ID=leadership.lease))
    await asyncio.wait_for(leadership.lost.wait(), 3)
    await election.resign()


async def test_a_role_is_kept_while_it_is_renewed(stores: tuple[EtcdStore, EtcdStore]) -> None:
    election = Election(stores[0], "r", "a", ttl=1)
    leadership = await election.lead()
    await asyncio.sleep(2.5)
    assert not leadership.lost.is_set()
    assert await election.leader() == "a"
    await election.resign()
