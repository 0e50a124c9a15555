"""What the compiler derived belongs to it: people cannot change it, and it goes with its cause."""

from __future__ import annotations

from uuid import uuid4

from tests.unit.api.api_server import PROJECT, Api

from tungsten.model import (
    AccessControlList,
    Ref,
    Resource,
    RouteTarget,
    RoutingInstance,
    VirtualMachineInterface,
)
from tungsten.model.interfaces import PolicyBasedForwardingRuleType
from tungsten.store.base import Transaction
from tungsten.store.records import from_record, to_record

VN = [*PROJECT, "vn1"]


async def derive(api: Api, resource: Resource, provenance: str = "vn1") -> str:
    """Store a resource as the compiler does."""
    resource.uuid = resource.uuid or str(uuid4())
    await api.store.transact(lambda tx: tx.create(to_record(resource, provenance)))
    return resource.uuid


async def instance_of(api: Api, network: str, name: str = "vn1") -> str:
    """The routing instance of a network, with a route target, as the compiler derives them."""
    target = await derive(api, RouteTarget(fq_name=[f"target:64512:{8000000 + len(name)}"]))
    return await derive(
        api,
        RoutingInstance(
            fq_name=[*PROJECT, name, name],
            parent_type="virtual-network",
            parent_uuid=network,
            routing_instance_is_default=True,
            route_target_refs=[Ref([f"target:64512:{8000000 + len(name)}"], target)],
        ),
    )


async def join(api: Api, port: str, instance: str) -> None:
    """Refer from a port to a routing instance, as the compiler does."""

    def run(tx: Transaction) -> None:
        record = tx.get(port)
        target = tx.get(instance)
        assert record is not None
        assert target is not None
        resource = from_record(record)
        assert isinstance(resource, VirtualMachineInterface)
        attr = PolicyBasedForwardingRuleType(direction="both")
        resource.routing_instance_refs = [Ref(list(target.fq_name), instance, attr)]
        tx.update(to_record(resource, record.provenance))

    await api.store.transact(run)


async def test_derived_children_are_shown_and_go_with_their_parent(api: Api) -> None:
    network = await api.network()
    instance = await instance_of(api, network)
    acl = await derive(
        api,
        AccessControlList(fq_name=[*VN, "vn1"], parent_type="virtual-network", parent_uuid=network),
    )
    shown = await api.show("virtual-network", network)
    assert [one["uuid"] for one in shown["routing_instances"]] == [instance]
    assert [one["uuid"] for one in shown["access_control_lists"]] == [acl]
    assert (await api.delete("virtual-network", network)).status == 200
    for type_, uuid in (("routing-instance", instance), ("access-control-list", acl)):
        assert (await api.ask("GET", f"/{type_}/{uuid}")).status == 404


async def test_people_can_neither_change_nor_delete_what_was_derived(api: Api) -> None:
    instance = await instance_of(api, await api.network())
    expected = (
        f"Cannot modify system resource Routing Instance default-domain:p1:vn1:vn1({instance})"
    )
    for answer in (
        await api.put("routing-instance", instance, route_target_refs=[]),
        await api.put("routing-instance", instance, default_ce_protocol={"bgp": {}}),
        await api.delete("routing-instance", instance),
    ):
        assert answer.status == 409
        assert answer.text.startswith(expected)


async def test_what_every_object_has_is_peoples_on_derived_ones_too(api: Api) -> None:
    instance = await instance_of(api, await api.network())
    notes = {"key_value_pair": [{"key": "a", "value": "b"}]}
    answer = await api.put("routing-instance", instance, annotations=notes, display_name="x")
    assert answer.status == 200
    shown = await api.show("routing-instance", instance)
    assert (shown["annotations"], shown["display_name"]) == (notes, "x")
    whole = await api.ask("PUT", f"/routing-instance/{instance}", {"routing-instance": shown})
    assert whole.status == 200
    record = await api.store.read(lambda snapshot: snapshot.get(instance))
    assert record is not None
    assert record.provenance == "vn1"


async def test_people_cannot_make_a_default_instance(api: Api) -> None:
    await api.network()
    body = {
        "fq_name": [*VN, "mine"],
        "parent_type": "virtual-network",
        "routing_instance_is_default": True,
    }
    answer = await api.post("/routing-instances", {"routing-instance": body})
    assert answer.status == 409
    body["routing_instance_is_default"] = False
    assert (await api.post("/routing-instances", {"routing-instance": body})).status == 200


async def test_references_of_the_compiler_survive_what_people_write(api: Api) -> None:
    network = await api.network()
    instance = await instance_of(api, network)
    port = await api.port_of()
    await join(api, port, instance)
    shown = await api.show("virtual-machine-interface", port)
    assert shown["routing_instance_refs"][0]["attr"] == {"direction": "both"}
    answer = await api.put(
        "virtual-machine-interface", port, display_name="x", routing_instance_refs=[]
    )
    assert answer.status == 200
    after = await api.show("virtual-machine-interface", port)
    assert after["routing_instance_refs"] == shown["routing_instance_refs"]
    change = {
        "type": "virtual-machine-interface",
        "uuid": port,
        "ref-type": "routing-instance",
        "ref-uuid": instance,
        "operation": "DELETE",
    }
    answer = await api.post("/ref-update", change)
    assert (answer.status, "is set by the system" in answer.text) == (403, True)


async def test_a_port_that_left_a_network_does_not_keep_it(api: Api) -> None:
    """Its reference to the network's instance stays until the compiler has run."""
    network = await api.network()
    instance = await instance_of(api, network)
    await api.network("vn2", "10.0.2.0/24")
    port = await api.port_of()
    await join(api, port, instance)
    moved = [{"to": [*PROJECT, "vn2"]}]
    answer = await api.put("virtual-machine-interface", port, virtual_network_refs=moved)
    assert answer.status == 200
    assert (await api.delete("virtual-network", network)).status == 200
    assert "routing_instance_refs" not in await api.show("virtual-machine-interface", port)


async def test_derived_referrers_do_not_keep_an_object(api: Api) -> None:
    network = await api.network()
    first = await instance_of(api, network)
    other = await api.network("other", "10.0.2.0/24")
    second = await instance_of(api, other, "other")

    def connect(tx: Transaction) -> None:
        record = tx.get(second)
        assert record is not None
        resource = from_record(record)
        assert isinstance(resource, RoutingInstance)
        resource.routing_instance_refs = [Ref([*VN, "vn1"], first)]
        tx.update(to_record(resource, record.provenance))

    await api.store.transact(connect)
    assert (await api.delete("virtual-network", network)).status == 200
    record = await api.store.read(lambda snapshot: snapshot.get(second))
    assert record is not None
    assert record.provenance == "vn1"
    assert all(edge.target != first for edge in record.edges)


async def test_bgp_routers_keep_the_instance_they_are_in(api: Api) -> None:
    name = ["default-domain", "default-project", "ip-fabric", "__default__"]
    instance = (await api.post("/fqname-to-id", {"type": "routing-instance", "fq_name": name})).json
    await api.create("bgp-router", fq_name=[*name, "mx"], parent_type="routing-instance")
    answer = await api.delete("routing-instance", instance["uuid"])
    assert (answer.status, answer.text[:36]) == (409, "Delete when children still present: ")
