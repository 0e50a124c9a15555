"""Networks through the service: what appears in the store for what people write."""

from __future__ import annotations

from tests.unit.compiler.intent import (
    TENANT,
    create,
    instance_targets,
    interface,
    network,
    read,
    update,
)

from tungsten.compiler.service import CompilerService
from tungsten.model.interfaces import PolicyBasedForwardingRuleType
from tungsten.store.base import Store
from tungsten.testing.settling import settled


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
    assert await instance_targets(store, *TENANT, "vn1", "vn1") == {"target:64512:8000000": None}
    record = await store.read(lambda s: s.find("route-target", ("target:64512:8000000",)))
    assert record is not None
    assert record.provenance == f"virtual-network:{vn.uuid}"


async def test_an_interface_is_in_the_instance_of_its_network(
    store: Store, compiler: CompilerService
) -> None:
    one, two = network("vn1"), network("vn2")
    vmi = interface("vmi1", one)
    await create(store, one, two, vmi)
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
