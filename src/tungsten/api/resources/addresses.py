"""Rules of instance-ip, floating-ip, alias-ip and pools: who gets which address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tungsten.api import addresses
from tungsten.api.addresses import Given, HeldSubnet
from tungsten.api.errors import BadRequest, Conflict, name_list
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.subnet_sources import (
    ipam_subnets,
    of_family,
    parse_address,
    sources,
    with_uuid,
)
from tungsten.api.resources.virtual_routers import give_from_router
from tungsten.api.subnets import Address
from tungsten.api.transactions import Write, find
from tungsten.model import (
    FloatingIp,
    FloatingIpPool,
    InstanceIp,
    NetworkIpam,
    Ref,
    Resource,
    VirtualMachineInterface,
    VirtualNetwork,
)
from tungsten.model.addresses import AliasIp
from tungsten.model.addressing import SubnetType

UNMANAGED = frozenset({"ip-fabric", "__link_local__"})
"""Networks of the underlay: addresses in them are stored as sent."""


def refuse_mixed_sources(write: Write, ip: InstanceIp) -> None:
    """An instance-ip takes its address from one kind of source."""
    if ip.virtual_router_refs and ip.network_ipam_refs:
        raise BadRequest("virtual_router_refs and ipam_refs are not allowed")
    if ip.virtual_router_refs and ip.virtual_network_refs:
        raise BadRequest("router_refs and network_refs are not allowed")
    if len(ip.virtual_router_refs) > 1:
        raise BadRequest("Instance IP cannot refer to multiple vrouters")
    if ip.virtual_router_refs and ip.subnet_uuid:
        raise BadRequest("subnet uuid based allocation not supported with vrouter")
    if ip.instance_ip_address and ip.network_ipam_refs and not ip.virtual_network_refs:
        raise BadRequest("allocation for requested IP from a network_ipam is not supported")
    if not (ip.virtual_router_refs or ip.network_ipam_refs or ip.virtual_network_refs):
        raise BadRequest(
            f"Instance IP {name_list(ip.fq_name)} must have virtual_network_refs, "
            "network_ipam_refs or virtual_router_refs to take an address from"
        )


def give_instance_address(write: Write, ip: InstanceIp) -> None:
    """Give an instance-ip the address it asks for, or the first free one."""
    if ip.virtual_network_refs:
        network = write.look_at(VirtualNetwork, ip.virtual_network_refs[0].uuid)
        assert network is not None
        if network.fq_name[-1] in UNMANAGED:
            return
        given = _from_network(write, network, ip)
    elif ip.network_ipam_refs:
        given = _from_ipam(write, ip)
    else:
        given = give_from_router(write, ip)
    asked = ip.instance_ip_address
    ip.instance_ip_address = str(given.address)
    ip.subnet_uuid = given.held.subnet.uuid
    if ip.instance_ip_subscriber_tag and not asked:
        block = given.held.subnet.block_prefix(given.address)
        ip.instance_ip_subnet = SubnetType(
            ip_prefix=str(block.network_address), ip_prefix_len=block.prefixlen
        )


def _from_network(write: Write, network: VirtualNetwork, ip: InstanceIp) -> Given:
    exact = bool(ip.instance_ip_address or ip.subnet_uuid)
    held = sources(write.tx, network, exact=exact)
    if ip.subnet_uuid:
        held = with_uuid(held, ip.subnet_uuid, network)
    if ip.instance_ip_address:
        asked = parse_address(ip.instance_ip_address, "instance_ip_address")
        refuse_gateway_for_workload(write, held, asked, ip)
        return addresses.give_asked(write.tx, held, asked, ip.uuid, network.fq_name)
    held = of_subscriber(of_family(held, ip.instance_ip_family), ip)
    return addresses.give_any(write.tx, held, ip.uuid, network.fq_name)


def _from_ipam(write: Write, ip: InstanceIp) -> Given:
    ipam = write.load(NetworkIpam, ip.network_ipam_refs[0].uuid)
    assert ipam is not None
    held = of_subscriber(of_family(ipam_subnets(ipam), ip.instance_ip_family), ip)
    return addresses.give_any(write.tx, held, ip.uuid, ipam.fq_name)


def of_subscriber(held: list[HeldSubnet], ip: InstanceIp) -> list[HeldSubnet]:
    """The subnets that are set apart for the subscriber of an instance-ip that names one."""
    tag = ip.instance_ip_subscriber_tag
    return [one for one in held if one.subnet.subscriber == tag] if tag else held


def refuse_gateway_for_workload(
    write: Write, held: Sequence[HeldSubnet], asked: Address, ip: InstanceIp
) -> None:
    """The gateway's address is only for ports without a workload (those of routers)."""
    if not any(one.subnet.gateway == asked for one in held):
        return
    for ref in ip.virtual_machine_interface_refs:
        port = write.load(VirtualMachineInterface, ref.uuid)
        if port is not None and port.virtual_machine_refs:
            raise BadRequest("Gateway IP cannot be used by VM port")


def keep_instance_address(write: Write, old: InstanceIp, new: InstanceIp) -> None:
    """The address, subnet and network of an instance-ip stay as they were given."""
    if new.instance_ip_address != old.instance_ip_address:
        raise BadRequest("Instance IP Address can not be changed")
    new.subnet_uuid = old.subnet_uuid
    if old.instance_ip_subscriber_tag:
        new.instance_ip_subnet = old.instance_ip_subnet


def refuse_unknown_pool_subnets(write: Write, pool: FloatingIpPool) -> None:
    """The subnets that a pool names must be subnets of its network."""
    network = write.load(VirtualNetwork, pool.parent_uuid or "")
    assert network is not None
    known = {one.subnet.uuid for one in sources(write.tx, network, exact=True)}
    for uuid in wanted_subnets(pool):
        if uuid not in known:
            raise BadRequest(f"Subnet {uuid} was not found in virtual-network {network.uuid}")


def wanted_subnets(pool: FloatingIpPool) -> list[str]:
    """The subnets that a pool is limited to; empty when it is not."""
    limit = pool.floating_ip_pool_subnets
    return (limit.subnet_uuid if limit else None) or []


def give_floating_address(write: Write, floating: FloatingIp) -> None:
    """Give a floating-ip an address of its pool's network.

    A floating-ip below an instance-ip has the address that its maker says.
    """
    floating.project_refs = floating.project_refs or _project_of(write, floating)
    if floating.parent_type != "floating-ip-pool":
        return
    pool = write.load(FloatingIpPool, floating.parent_uuid or "")
    assert pool is not None
    asked = None
    if floating.floating_ip_address:
        asked = parse_address(floating.floating_ip_address, "floating_ip_address")
    family = floating.floating_ip_address_family
    given = _give_of_pool(write, floating, asked, family, wanted_subnets(pool))
    floating.floating_ip_address = str(given.address)


def _project_of(write: Write, resource: Resource) -> list[Ref[None]]:
    """A reference to the project that an address below a network is of."""
    project = write.tx.find("project", tuple(resource.fq_name[:2]))
    return [] if project is None else [Ref(list(project.fq_name), project.uuid)]


def _give_of_pool(
    write: Write,
    resource: Resource,
    asked: Address | None,
    family: str | None,
    wanted: Sequence[str],
) -> Given:
    """An address for what is below a pool: of the pool's network, or its ``wanted`` subnets."""
    network = find(write.tx, VirtualNetwork, "virtual-network", resource.fq_name[:-2])
    assert network is not None
    held = sources(write.tx, network, exact=asked is not None)
    if wanted:
        held = [one for uuid in wanted for one in held if one.subnet.uuid == uuid]
    if asked is None:
        # Who names no family gets an address of the one there is, of IPv4 where there are both.
        held = of_family(held, family or "v4") or ([] if family else held)
        return addresses.give_any(write.tx, held, resource.uuid, network.fq_name)
    if any(asked in (one.subnet.gateway, one.subnet.service) for one in held):
        raise Conflict("IP address already in use")
    return addresses.give_asked(write.tx, held, asked, resource.uuid, network.fq_name)


def keep_floating_address(write: Write, old: FloatingIp, new: FloatingIp) -> None:
    """The address of a floating-ip stays as it was given."""
    if new.floating_ip_address != old.floating_ip_address:
        raise BadRequest("Floating IP Address can not be changed")


def give_alias_address(write: Write, alias: AliasIp) -> None:
    """Give an alias-ip an address of its pool's network."""
    alias.project_refs = alias.project_refs or _project_of(write, alias)
    asked = None
    if alias.alias_ip_address:
        asked = parse_address(alias.alias_ip_address, "alias_ip_address")
    given = _give_of_pool(write, alias, asked, alias.alias_ip_address_family, ())
    alias.alias_ip_address = str(given.address)


def keep_alias_address(write: Write, old: AliasIp, new: AliasIp) -> None:
    """The address of an alias-ip stays as it was given."""
    if new.alias_ip_address != old.alias_ip_address:
        raise BadRequest("Alias IP Address can not be changed")


HOOKS: dict[str, Hooks[Any]] = {
    "instance-ip": Hooks[InstanceIp](
        create=(refuse_mixed_sources, give_instance_address),
        update=(keep_instance_address,),
    ),
    "floating-ip-pool": Hooks[FloatingIpPool](
        create=(refuse_unknown_pool_subnets,),
        update=(lambda write, old, new: refuse_unknown_pool_subnets(write, new),),
    ),
    "alias-ip": Hooks[AliasIp](create=(give_alias_address,), update=(keep_alias_address,)),
    "floating-ip": Hooks[FloatingIp](
        create=(give_floating_address,), update=(keep_floating_address,)
    ),
}
