"""Networks through the service: what appears in the store for what people write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.compiler.intent import (
    TENANT,
    create,
    delete,
    instance_targets,
    interface,
    network,
    read,
    route_target,
    system,
    targets,
    update,
)

from tungsten.compiler.pools import ROUTE_TARGETS
from tungsten.compiler.service import CompilerService
from tungsten.model import Ref, RoutingInstance
from tungsten.model.interfaces import PolicyBasedForwardingRuleType
from tungsten.store.base import Store, number_key
from tungsten.store.records import from_record, to_record
from tungsten.testing.invariants import assert_whole
from tungsten.testing.settling import settled
from tungsten.testing.silence import assert_silent, store_revision

OWN = "target:64512:8000000"


async def names(store: Store, type_: str) -> list[str]:
    def work(snapshot: Any) -> list[str]:
        return [":".join(record.fq_name) for record in snapshot.records(type_)]

    return await store.read(work)


async def test_a_network_gets_an_instance_and_a_target_of_its_own(
    store: Store, compiler: CompilerService
) -> None:
    vn = network("vn1")
    await create(store, vn)
    await settled(store, compiler)
    instance = await read(store, "routing-instance", *TENANT, "vn1", "vn1")
    assert instance.parent_uuid == vn.uuid
    assert instance.routing_instance_is_default is True
    assert instance.routing_instance_fabric_snat is False
    assert instance.display_name == "vn1"
    assert instance.id_perms.enable is True
    assert await instance_targets(store, *TENANT, "vn1", "vn1") == {OWN: None}
    record = await store.read(lambda s: s.find("route-target", (OWN,)))
    assert record is not None
    assert record.provenance == f"virtual-network:{vn.uuid}"
    await assert_whole(store)


async def test_an_interface_is_in_the_instance_of_its_network(
    store: Store, compiler: CompilerService
) -> None:
    one, two = network("vn1"), network("vn2")
    await create(store, one, two, interface("vmi1", one))
    await settled(store, compiler)
    stored = await read(store, "virtual-machine-interface", *TENANT, "vmi1")
    (ref,) = stored.routing_instance_refs
    assert ref.to == [*TENANT, "vn1", "vn1"]
    assert ref.attr == PolicyBasedForwardingRuleType(direction="both")
    await update(store, interface("vmi1", two))
    await settled(store, compiler)
    stored = await read(store, "virtual-machine-interface", *TENANT, "vmi1")
    assert [ref.to[-1] for ref in stored.routing_instance_refs] == ["vn2"]
    assert [ref.to[-1] for ref in stored.virtual_network_refs] == ["vn2"]
    await update(store, interface("vmi1"))
    await settled(store, compiler)
    stored = await read(store, "virtual-machine-interface", *TENANT, "vmi1")
    assert stored.routing_instance_refs == []


async def test_listed_targets_join_the_own_one_each_in_its_way(
    store: Store, compiler: CompilerService
) -> None:
    vn = network(
        "vn1",
        route_target_list=targets("target:65000:1"),
        import_route_target_list=targets("target:65000:2", "target:65000:4", "target:65000:1"),
        export_route_target_list=targets("target:65000:3", "target:65000:4"),
    )
    await create(store, vn)
    await settled(store, compiler)
    assert await instance_targets(store, *TENANT, "vn1", "vn1") == {
        OWN: None,
        "target:65000:1": None,
        "target:65000:2": "import",
        "target:65000:3": "export",
        "target:65000:4": None,
    }
    await update(store, network("vn1", export_route_target_list=targets("target:65000:3")))
    await settled(store, compiler)
    assert await instance_targets(store, *TENANT, "vn1", "vn1") == {
        OWN: None,
        "target:65000:3": "export",
    }
    assert await names(store, "route-target") == [OWN, "target:65000:3"]


async def test_a_target_goes_with_the_last_network_that_lists_it(
    store: Store, compiler: CompilerService
) -> None:
    shared = targets("target:65000:9")
    one, two = network("a", route_target_list=shared), network("b", route_target_list=shared)
    await create(store, one, two)
    await settled(store, compiler)
    await delete(store, one)
    await settled(store, compiler)
    assert "target:65000:9" in await names(store, "route-target")
    await assert_whole(store)
    await delete(store, two)
    await settled(store, compiler)
    assert await names(store, "route-target") == []
    assert await names(store, "routing-instance") == []


async def test_a_target_that_people_made_is_used_and_left_alone(
    store: Store, compiler: CompilerService
) -> None:
    theirs = route_target("target:65000:9")
    await create(store, theirs)
    vn = network("vn1", route_target_list=targets("target:65000:9"))
    await create(store, vn)
    await settled(store, compiler)
    assert "target:65000:9" in await instance_targets(store, *TENANT, "vn1", "vn1")
    await delete(store, vn)
    await settled(store, compiler)
    record = await store.read(lambda s: s.get(theirs.uuid))
    assert record is not None
    assert record.provenance == ""


async def test_numbers_rise_with_the_networks_age_and_are_not_given_again_soon(
    store: Store,
) -> None:
    for name in ("c", "a", "b"):
        await create(store, network(name))
    service = CompilerService(store)
    await service.start()
    numbers = {}
    for name in "abc":
        (target,) = await instance_targets(store, *TENANT, name, name)
        numbers[name] = target
    assert numbers == {
        "c": "target:64512:8000000",
        "a": "target:64512:8000001",
        "b": "target:64512:8000002",
    }
    await delete(store, network("c"))
    await settled(store, service)
    await create(store, network("d"))
    await settled(store, service)
    assert await instance_targets(store, *TENANT, "d", "d") == {"target:64512:8000003": None}
    await assert_whole(store, [ROUTE_TARGETS.space])
    await service.stop()


async def test_numbers_are_claims_of_their_network_and_survive_a_restart(store: Store) -> None:
    one, two = network("a"), network("b")
    first = CompilerService(store)
    await create(store, one)
    await create(store, two)
    await first.start()
    await delete(store, one)
    await settled(store, first)
    await first.stop()
    claims = await store.read(lambda s: list(s.claims(ROUTE_TARGETS.space)))
    assert claims == [(number_key(8000001), two.uuid)]
    second = CompilerService(store)
    await second.start()
    assert second.status.written == 0
    assert await instance_targets(store, *TENANT, "b", "b") == {"target:64512:8000001": None}
    await second.stop()


async def test_another_as_renames_targets_and_keeps_their_numbers(
    store: Store, compiler: CompilerService
) -> None:
    await create(store, system(64512), network("a"), network("b"))
    await settled(store, compiler)
    await update(store, system(64999))
    await settled(store, compiler)
    assert await names(store, "route-target") == ["target:64999:8000000", "target:64999:8000001"]
    await update(store, system(4200000000))
    await settled(store, compiler)
    assert await names(store, "route-target") == [
        "target:4200000000:8000",
        "target:4200000000:8001",
    ]
    assert await store.read(lambda s: list(s.claims(ROUTE_TARGETS.space))) == []
    await assert_whole(store)


async def test_the_link_local_network_has_no_target(
    store: Store, compiler: CompilerService
) -> None:
    tenant = ["default-domain", "default-project"]
    await create(store, network("__link_local__", tenant=tenant))
    await settled(store, compiler)
    name = (*tenant, "__link_local__", "__link_local__")
    assert await instance_targets(store, *name) == {}
    assert await names(store, "route-target") == []


async def test_an_instance_of_a_networks_name_is_taken_over(
    store: Store, compiler: CompilerService
) -> None:
    vn = network("vn1")
    theirs = RoutingInstance(
        uuid="9e0b1e4c-0000-0000-0000-000000000001",
        fq_name=[*TENANT, "vn1", "vn1"],
        parent_type="virtual-network",
        parent_uuid=vn.uuid,
        display_name="mine",
    )
    await create(store, vn, theirs)
    await settled(store, compiler)
    record = await store.read(lambda s: s.get(theirs.uuid))
    assert record is not None
    assert record.provenance == f"virtual-network:{vn.uuid}"
    stored = from_record(record)
    assert isinstance(stored, RoutingInstance)
    assert stored.routing_instance_is_default is True
    assert stored.display_name == "mine"
    assert [ref.to for ref in stored.route_target_refs] == [[OWN]]


async def test_edits_of_derived_objects_are_undone(store: Store, compiler: CompilerService) -> None:
    vn, vmi = network("vn1"), interface("vmi1", network("vn1"))
    await create(store, vn, vmi)
    await settled(store, compiler)
    before = await read(store, "routing-instance", *TENANT, "vn1", "vn1")

    def meddle(tx: Any) -> None:
        record = tx.find("routing-instance", (*TENANT, "vn1", "vn1"))
        instance = from_record(record)
        assert isinstance(instance, RoutingInstance)
        instance.route_target_refs = []
        instance.routing_instance_has_pnf = True
        tx.update(to_record(instance, record.provenance))
        stored = from_record(tx.get(vmi.uuid))
        stored.routing_instance_refs = []  # type: ignore[attr-defined]
        tx.update(to_record(stored))

    await store.transact(meddle)
    await settled(store, compiler)
    after = await read(store, "routing-instance", *TENANT, "vn1", "vn1")
    before.id_perms = after.id_perms = None
    assert after == before
    stored = await read(store, "virtual-machine-interface", *TENANT, "vmi1")
    assert [ref.to[-1] for ref in stored.routing_instance_refs] == ["vn1"]


async def test_what_people_say_on_a_derived_object_beside_its_content_stays(
    store: Store, compiler: CompilerService
) -> None:
    await create(store, network("vn1"))
    await settled(store, compiler)

    def rename(tx: Any) -> None:
        record = tx.find("routing-instance", (*TENANT, "vn1", "vn1"))
        instance = from_record(record)
        instance.display_name = "blue"
        tx.update(to_record(instance, record.provenance))

    await store.transact(rename)
    await settled(store, compiler)
    await update(store, network("vn1", fabric_snat=True))
    await settled(store, compiler)
    instance = await read(store, "routing-instance", *TENANT, "vn1", "vn1")
    assert (instance.display_name, instance.routing_instance_fabric_snat) == ("blue", True)


async def test_a_deleted_derived_object_comes_back(store: Store, compiler: CompilerService) -> None:
    await create(store, network("vn1"))
    await settled(store, compiler)
    before = await read(store, "routing-instance", *TENANT, "vn1", "vn1")
    await store.transact(lambda tx: tx.delete(before.uuid))
    await settled(store, compiler)
    after = await read(store, "routing-instance", *TENANT, "vn1", "vn1")
    assert after.uuid == before.uuid


async def test_a_target_that_people_refer_to_waits_for_them(
    store: Store, compiler: CompilerService
) -> None:
    vn = network("vn1")
    await create(store, vn)
    await settled(store, compiler)
    target = await read(store, "route-target", OWN)
    holder = RoutingInstance(
        uuid="9e0b1e4c-0000-0000-0000-000000000002",
        fq_name=["theirs"],
        route_target_refs=[Ref(to=target.fq_name, uuid=target.uuid)],
    )
    await create(store, holder)
    await delete(store, vn)
    await settled_but(store, compiler, held=1)
    assert await names(store, "route-target") == [OWN]
    # Its number is not given to another network: that would join the two.
    await create(store, network("vn2"))
    await settled_but(store, compiler, held=1)
    assert await instance_targets(store, *TENANT, "vn2", "vn2") == {"target:64512:8000001": None}
    await store.transact(lambda tx: tx.delete(holder.uuid))
    await settled(store, compiler)
    assert await names(store, "route-target") == ["target:64512:8000001"]
    await create(store, network("vn3"))
    await settled(store, compiler)
    assert await instance_targets(store, *TENANT, "vn3", "vn3") == {"target:64512:8000002": None}


async def settled_but(store: Store, compiler: CompilerService, held: int) -> None:
    with pytest.raises(AssertionError):
        await settled(store, compiler, seconds=0.3)
    assert len(compiler.compiler.dirty()) == held


async def test_nothing_is_written_or_run_while_nothing_changes(
    store: Store, compiler: CompilerService
) -> None:
    vn = network("vn1", route_target_list=targets("target:65000:1"))
    await create(store, vn, interface("vmi1", vn))
    await settled(store, compiler)
    await assert_silent(
        0.3,
        revision=store_revision(store),
        runs=compiler.compiler.graph.engine.runs,
        status=lambda: replace(compiler.status),
    )
