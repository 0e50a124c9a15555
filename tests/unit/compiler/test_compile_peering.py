"""The mesh of BGP sessions."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from tests.unit.compiler.intent import FABRIC, UNDERLAY, create, delete, router, system, update

from tungsten.compiler.service import CompilerService
from tungsten.model import BgpRouter, Ref
from tungsten.model.bgp import (
    AddressFamilies,
    BgpPeeringAttributes,
    BgpSession,
    BgpSessionAttributes,
)
from tungsten.store.base import Store
from tungsten.store.records import from_record
from tungsten.testing.invariants import assert_whole
from tungsten.testing.settling import settled


async def peerings(store: Store) -> dict[frozenset[str], Any]:
    """Pairs of names that peer, with what the link says; each pair is kept at one end."""

    def work(snapshot: Any) -> dict[frozenset[str], Any]:
        found: dict[frozenset[str], Any] = {}
        for record in snapshot.records("bgp-router"):
            resource = from_record(record)
            assert isinstance(resource, BgpRouter)
            for ref in resource.bgp_router_refs:
                pair = frozenset((resource.name, ref.to[-1]))
                assert pair not in found
                found[pair] = ref.attr
        return found

    return await store.read(work)


def pairs(names: str) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in combinations(names.split(), 2)}


async def test_control_nodes_and_routers_of_the_as_are_meshed(
    store: Store, compiler: CompilerService
) -> None:
    gateway = router("mx", router_type="router", vendor="juniper")
    foreign = router("ext", router_type="router", vendor="juniper", autonomous_system=65001)
    bgpaas = router("vm", router_type="bgpaas-client")
    await create(store, system(), FABRIC, UNDERLAY, router("a"), router("b"), gateway)
    await create(store, foreign, bgpaas)
    await settled(store, compiler)
    found = await peerings(store)
    assert set(found) == pairs("a b mx")
    for attr in found.values():
        (session,) = attr.session
        assert session.attributes == [
            BgpSessionAttributes(address_families=AddressFamilies(family=[]))
        ]
    await delete(store, router("b"))
    await settled(store, compiler)
    assert set(await peerings(store)) == pairs("a mx")
    await assert_whole(store)


async def test_without_auto_mesh_there_is_none(store: Store, compiler: CompilerService) -> None:
    await create(store, system(), FABRIC, UNDERLAY, router("a"), router("b"))
    await settled(store, compiler)
    assert await peerings(store) != {}
    await update(store, system(ibgp_auto_mesh=False))
    await settled(store, compiler)
    assert await peerings(store) == {}


async def test_reflectors_thin_the_mesh(store: Store, compiler: CompilerService) -> None:
    def plain(name: str) -> BgpRouter:
        return router(name, router_type="router", vendor="juniper")

    reflector = router("rr", router_type="router", vendor="juniper", cluster_id=1)
    await create(store, FABRIC, UNDERLAY, router("a"), router("b"), plain("x"), plain("y"))
    await settled(store, compiler)
    assert set(await peerings(store)) == pairs("a b x y")
    await create(store, reflector)
    await settled(store, compiler)
    # Control nodes stay meshed; of the others each peers with the reflector alone.
    towards = {frozenset((name, "rr")) for name in "abxy"}
    assert set(await peerings(store)) == pairs("a b") | towards
    await update_params(store, router("a", cluster_id=2))
    await create(store, router("c"))
    await settled(store, compiler)
    found = set(await peerings(store))
    assert frozenset("bc") not in found
    assert {frozenset("ab"), frozenset("ac"), frozenset("ax")} <= found


async def update_params(store: Store, wanted: BgpRouter) -> None:
    def work(tx: Any) -> None:
        from tungsten.store.records import to_record

        stored = from_record(tx.get(wanted.uuid))
        assert isinstance(stored, BgpRouter)
        stored.bgp_router_parameters = wanted.bgp_router_parameters
        tx.update(to_record(stored))

    await store.transact(work)


async def test_what_people_peered_stands(store: Store, compiler: CompilerService) -> None:
    mine = BgpPeeringAttributes(
        session=[BgpSession(attributes=[BgpSessionAttributes(hold_time=9)])]
    )
    a, b, c = router("a"), router("b"), router("c")
    # Written at whichever end: the pair has this peering and no other.
    b.bgp_router_refs = [Ref(to=a.fq_name, uuid=a.uuid, attr=mine)]
    await create(store, FABRIC, UNDERLAY, a, b, c)
    await settled(store, compiler)
    found = await peerings(store)
    assert set(found) == pairs("a b c")
    assert found[frozenset("ab")] == mine
    b.bgp_router_refs = []
    await update(store, b)
    await settled(store, compiler)
    found = await peerings(store)
    assert set(found) == pairs("a b c")
    assert found[frozenset("ab")] != mine
