"""People's objects for compiler tests, written to a store as the API would write them."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from tungsten.model import (
    BgpRouter,
    GlobalSystemConfig,
    Ref,
    Resource,
    RouteTarget,
    RoutingInstance,
    SecurityGroup,
    VirtualMachineInterface,
    VirtualNetwork,
    type_of,
)
from tungsten.model.bgp import BgpRouterParams
from tungsten.model.routes import RouteTargetList
from tungsten.model.security import PolicyEntriesType, PolicyRuleType
from tungsten.model.traffic import AddressType, PortType
from tungsten.store.base import Snapshot, Store, Transaction
from tungsten.store.records import from_record, to_record

NAMES = UUID("00000000-0000-0000-0000-0000000000aa")
TENANT = ["default-domain", "p"]


def uid(kind: str, name: str, life: int = 0) -> str:
    """The uuid that tests give an object; another one for each of its lives."""
    return str(uuid5(NAMES, f"{kind}/{name}/{life}"))


def targets(*names: str) -> RouteTargetList | None:
    return RouteTargetList(route_target=list(names)) if names else None


def network(
    name: str, *, life: int = 0, tenant: list[str] | None = None, **said: Any
) -> VirtualNetwork:
    return VirtualNetwork(uuid=uid("vn", name, life), fq_name=[*(tenant or TENANT), name], **said)


def interface(name: str, *networks: Resource, life: int = 0) -> VirtualMachineInterface:
    return VirtualMachineInterface(
        uuid=uid("vmi", name, life),
        fq_name=[*TENANT, name],
        virtual_network_refs=[Ref(to=vn.fq_name, uuid=vn.uuid) for vn in networks],
    )


def group(name: str, number: int, *rules: PolicyRuleType, life: int = 0) -> SecurityGroup:
    return SecurityGroup(
        uuid=uid("sg", name, life),
        fq_name=[*TENANT, name],
        security_group_id=number,
        security_group_entries=PolicyEntriesType(policy_rule=list(rules)),
    )


def rule(source: AddressType, destination: AddressType, **said: Any) -> PolicyRuleType:
    given: dict[str, Any] = {
        "rule_uuid": "11111111-0000-0000-0000-000000000001",
        "direction": ">",
        "protocol": "tcp",
        "ethertype": "IPv4",
        "src_ports": [PortType(start_port=0, end_port=65535)],
        "dst_ports": [PortType(start_port=80, end_port=80)],
        **said,
    }
    return PolicyRuleType(src_addresses=[source], dst_addresses=[destination], **given)


LOCAL = AddressType(security_group="local")
ANY = AddressType(security_group="any")


def system(asn: int = 64512, **said: Any) -> GlobalSystemConfig:
    return GlobalSystemConfig(
        uuid=uid("gsc", "gsc"),
        fq_name=["default-global-system-config"],
        autonomous_system=asn,
        **said,
    )


FABRIC = network("ip-fabric", tenant=["default-domain", "default-project"])
UNDERLAY = RoutingInstance(
    uuid=uid("ri", "__default__"),
    fq_name=[*FABRIC.fq_name, "__default__"],
    parent_type="virtual-network",
    parent_uuid=FABRIC.uuid,
)


def router(name: str, **params: Any) -> BgpRouter:
    given: dict[str, Any] = {
        "router_type": "control-node",
        "vendor": "contrail",
        "autonomous_system": 64512,
        **params,
    }
    return BgpRouter(
        uuid=uid("bgp", name),
        fq_name=[*UNDERLAY.fq_name, name],
        parent_type="routing-instance",
        parent_uuid=UNDERLAY.uuid,
        bgp_router_parameters=BgpRouterParams(**given),
    )


def own_fields(resource: Resource) -> list[str]:
    """The references that an update by people replaces: not the system's."""
    references = type_of(resource).references
    return [name for name, reference in references.items() if not reference.system_only]


async def create(store: Store, *resources: Resource) -> None:
    def work(tx: Transaction) -> None:
        for resource in resources:
            tx.create(to_record(resource))

    await store.transact(work)


async def update(store: Store, resource: Resource) -> None:
    """Replace what people said; what the system put on the object stays."""
    await store.transact(lambda tx: update_in(tx, resource))


def update_in(tx: Transaction, resource: Resource) -> None:
    old = tx.get(resource.uuid)
    assert old is not None
    stored = from_record(old)
    declared = type_of(resource)
    for name in (*declared.properties, *own_fields(resource)):
        setattr(stored, name, getattr(resource, name))
    tx.update(to_record(stored, old.provenance))


async def delete(store: Store, resource: Resource) -> None:
    """Delete an object with what was derived for it."""
    await store.transact(lambda tx: delete_in(tx, resource.uuid))


def delete_in(tx: Transaction, uuid: str) -> None:
    for child in tx.children(uuid):
        assert child.provenance, f"{child.type} {child.fq_name} is not derived"
        drop_references(tx, child.uuid)
        tx.delete(child.uuid)
    drop_references(tx, uuid)
    tx.delete(uuid)


def drop_references(tx: Transaction, target: str) -> None:
    """Take away what refers to the target for the system's reasons."""
    for holder in tx.referrers(target):
        resource = from_record(holder)
        for name, reference in type_of(resource).references.items():
            refs = getattr(resource, name)
            if reference.system_only or holder.provenance:
                setattr(resource, name, [ref for ref in refs if ref.uuid != target])
        tx.update(to_record(resource, holder.provenance))


def find(snapshot: Snapshot, type_: str, *fq_name: str) -> Resource | None:
    record = snapshot.find(type_, tuple(fq_name))
    return None if record is None else from_record(record)


async def read(store: Store, type_: str, *fq_name: str) -> Any:
    """The resource of this name; None when there is none."""
    return await store.read(lambda snapshot: find(snapshot, type_, *fq_name))


async def instance_targets(store: Store, *fq_name: str) -> dict[str, str | None]:
    """Route target to way of a routing instance."""
    instance = await read(store, "routing-instance", *fq_name)
    assert isinstance(instance, RoutingInstance)
    return {
        ref.to[0]: None if ref.attr is None else ref.attr.import_export
        for ref in instance.route_target_refs
    }


def route_target(name: str) -> RouteTarget:
    return RouteTarget(uuid=uid("rt", name), fq_name=[name])
