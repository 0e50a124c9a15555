"""Whatever people do, in whatever order: what is derived is what a compile from nothing gives."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.compiler import dumps
from tests.unit.compiler.intent import (
    ANY,
    LOCAL,
    TENANT,
    delete_in,
    group,
    interface,
    network,
    route_target,
    rule,
    system,
    targets,
    uid,
    update_in,
)

from tungsten.compiler.pools import POOLS
from tungsten.compiler.service import CompilerService
from tungsten.model import Ref, Resource, RoutingInstance
from tungsten.model.networks import RoutingPolicyType
from tungsten.model.routing_policies import RoutingPolicy
from tungsten.model.traffic import AddressType
from tungsten.store.base import Transaction
from tungsten.store.records import from_record, to_record
from tungsten.store.sqlite import SqliteStore
from tungsten.testing.invariants import violations
from tungsten.testing.settling import settled


@dataclass
class World:
    """What people have made, so that they do nothing the API would refuse."""

    here: dict[str, Resource] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)

    def put(self, tx: Transaction, key: str, make: Callable[[int], Resource]) -> None:
        old = self.here.get(key)
        new = make(self.lives.get(key, 0))
        self.here[key] = new
        if old is None:
            tx.create(to_record(new))
        else:
            update_in(tx, new)

    def drop(self, tx: Transaction, key: str) -> None:
        old = self.here.pop(key, None)
        if old is not None:
            self.lives[key] = self.lives.get(key, 0) + 1
            delete_in(tx, old.uuid)

    def networks(self, numbers: tuple[int, ...]) -> list[Resource]:
        return [self.here[f"vn{i}"] for i in numbers if f"vn{i}" in self.here]

    def used(self, key: str) -> bool:
        target = self.here.get(key)
        return target is not None and any(
            ref.uuid == target.uuid
            for other in self.here.values()
            for field in ("virtual_network_refs", "routing_policy_refs")
            for ref in getattr(other, field, ())
        )


Edit = Callable[[World, Transaction], None]
LISTS = ("route_target_list", "import_route_target_list", "export_route_target_list")


def put_network(
    i: int, lists: tuple[tuple[int, ...], ...], snat: bool, policies: tuple[int, ...]
) -> Edit:
    said: dict[str, Any] = {
        name: targets(*(f"target:65000:{n}" for n in numbers))
        for name, numbers in zip(LISTS, lists, strict=True)
    }

    def edit(world: World, tx: Transaction) -> None:
        there = [world.here[f"rp{n}"] for n in policies if f"rp{n}" in world.here]
        attr = RoutingPolicyType(sequence=f"{i}.0")
        said["routing_policy_refs"] = [Ref(each.fq_name, each.uuid, attr) for each in there]
        world.put(tx, f"vn{i}", lambda life: network(f"vn{i}", life=life, fabric_snat=snat, **said))

    return edit


def put_policy(i: int) -> Edit:
    def make(life: int) -> RoutingPolicy:
        return RoutingPolicy(uuid=uid("rp", f"rp{i}", life), fq_name=[*TENANT, f"rp{i}"])

    return lambda world, tx: world.put(tx, f"rp{i}", make)


def put_interface(i: int, on: tuple[int, ...]) -> Edit:
    def edit(world: World, tx: Transaction) -> None:
        networks = world.networks(on)
        world.put(tx, f"vmi{i}", lambda life: interface(f"vmi{i}", *networks, life=life))

    return edit


def put_group(i: int, named: tuple[int, ...]) -> Edit:
    rules = [
        rule(AddressType(security_group=":".join([*TENANT, f"sg{n}"])) if n < 3 else ANY, LOCAL)
        for n in named
    ]

    def edit(world: World, tx: Transaction) -> None:
        world.put(tx, f"sg{i}", lambda life: group(f"sg{i}", 8000001 + i, *rules, life=life))

    return edit


def put_system(asn: int) -> Edit:
    return lambda world, tx: world.put(tx, "gsc", lambda _: system(asn))


def put_target(n: int) -> Edit:
    def edit(world: World, tx: Transaction) -> None:
        found = tx.find("route-target", (f"target:65000:{n}",))
        if found is None:
            tx.create(to_record(route_target(f"target:65000:{n}")))

    return edit


def drop(key: str) -> Edit:
    def edit(world: World, tx: Transaction) -> None:
        if not world.used(key):
            world.drop(tx, key)

    return edit


def meddle(i: int) -> Edit:
    """Break what was derived for a network."""

    def edit(world: World, tx: Transaction) -> None:
        record = tx.find("routing-instance", (*TENANT, f"vn{i}", f"vn{i}"))
        if record is not None:
            instance = from_record(record)
            assert isinstance(instance, RoutingInstance)
            instance.route_target_refs = []
            tx.update(to_record(instance, record.provenance))

    return edit


INDEX = st.integers(0, 2)
NUMBERS = st.lists(st.integers(1, 3), max_size=2, unique=True).map(tuple)
EDITS = st.one_of(
    st.builds(put_network, INDEX, st.tuples(NUMBERS, NUMBERS, NUMBERS), st.booleans(), NUMBERS),
    st.builds(put_policy, st.integers(1, 3)),
    st.builds(put_interface, INDEX, st.lists(INDEX, max_size=2, unique=True).map(tuple)),
    st.builds(put_group, INDEX, st.lists(st.integers(0, 3), max_size=3).map(tuple)),
    st.builds(put_system, st.sampled_from([64512, 64999, 4200000000])),
    st.builds(put_target, st.integers(1, 3)),
    st.builds(meddle, INDEX),
    st.builds(
        drop, st.sampled_from([f"{k}{i}" for k in ("vn", "vmi", "sg", "rp") for i in range(3)])
    ),
)
#: Batches of transactions; the compiler catches up, or is started anew, after each batch.
BATCHES = st.lists(st.tuples(st.lists(EDITS, min_size=1, max_size=6), st.booleans()), max_size=6)


def run(work: Callable[[SqliteStore], Any]) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = SqliteStore.open(Path(folder) / "config.db")
            try:
                await work(store)
            finally:
                await store.close()

    asyncio.run(main())


async def check(store: SqliteStore) -> None:
    """The store is whole, a new process finds nothing to do, and one from nothing agrees."""
    assert await store.read(lambda snapshot: violations(snapshot, POOLS)) == []
    records, claims = await dumps.snapshot(store)
    assert dumps.compiled(records, claims) == []
    scratch = dumps.compiled(dumps.intent(records), claims)
    assert dumps.stored(records) == dumps.planned(scratch)
    owners = {record.uuid for record in records if record.type == "virtual-network"}
    assert sorted(owner for held in claims.values() for _, owner in held) == sorted(owners)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=BATCHES)
def test_edits_in_any_sequence_derive_what_a_compile_from_nothing_derives(
    batches: list[tuple[list[Edit], bool]],
) -> None:
    async def work(store: SqliteStore) -> None:
        world = World()
        service = CompilerService(store)
        await service.start()
        for edits, restart in batches:
            for edit in edits:
                await store.transact(partial(edit, world))
            if restart:
                await service.stop()
                service = CompilerService(store)
                await service.start()
            await settled(store, service)
            assert service.status.failures == service.status.refused == 0
            await check(store)
        await service.stop()

    run(work)
