"""Which numbers and addresses an object must hold, by what it says.

Everywhere else a claim is made when an object is created or changed. Here it is the other way
round: :func:`due` reads an object and tells the claims that go with it. Two need that: looking
a store over (:mod:`tungsten.api.audit`), and taking objects from elsewhere
(:mod:`tungsten.api.takeover`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tungsten.api import addresses
from tungsten.api.addresses import HeldSubnet
from tungsten.api.errors import ApiFault
from tungsten.api.ids import (
    SECURITY_GROUP_IDS,
    TAG_TYPE_IDS,
    VIRTUAL_NETWORK_IDS,
    IdSpace,
)
from tungsten.api.resources import port_groups, routing, services
from tungsten.api.resources.addresses import UNMANAGED
from tungsten.api.resources.networks import vxlan_id
from tungsten.api.resources.subnet_sources import ipam_subnets, parse_address, sources
from tungsten.api.resources.tags import TAG_TYPES, split_tag_id, value_ids
from tungsten.api.transactions import find, load
from tungsten.model import (
    FloatingIp,
    InstanceIp,
    LogicalRouter,
    NetworkIpam,
    Resource,
    SecurityGroup,
    ServiceInstance,
    Tag,
    VirtualNetwork,
    VirtualRouter,
)
from tungsten.model.addresses import AliasIp
from tungsten.model.fabric import VirtualPortGroup
from tungsten.model.security import TagType
from tungsten.store.base import Snapshot, number_key


@dataclass(frozen=True, slots=True)
class Due:
    """A claim that an object must hold; ``what`` says it in words."""

    space: str
    key: str
    what: str


def due(snapshot: Snapshot, resource: Resource) -> list[Due]:
    """The claims of an object. Raises ApiFault when what it says cannot be understood."""
    try:
        return list(_due(snapshot, resource))
    except ValueError as error:
        raise ApiFault(f"its number cannot be read: {error}") from error


def _due(snapshot: Snapshot, resource: Resource) -> Iterator[Due]:
    match resource:
        case VirtualNetwork():
            yield from _number(VIRTUAL_NETWORK_IDS, resource.virtual_network_network_id)
            yield from _number(VIRTUAL_NETWORK_IDS, vxlan_id(resource))
        case LogicalRouter():
            yield from _number(VIRTUAL_NETWORK_IDS, routing.own_vxlan_id(resource))
        case SecurityGroup() if not resource.configured_security_group_id:
            yield from _number(SECURITY_GROUP_IDS, resource.security_group_id)
        case TagType() if resource.name not in TAG_TYPES and resource.tag_type_id:
            yield from _number(TAG_TYPE_IDS, int(resource.tag_type_id, 16))
        case Tag() if resource.tag_id:
            yield from _number(value_ids(resource), split_tag_id(resource.tag_id)[1])
        case InstanceIp() if resource.instance_ip_address:
            held = _sources_of(snapshot, resource)
            yield from _address(held, resource.instance_ip_address)
        case FloatingIp() if resource.floating_ip_address:
            yield from _address(_pool_sources(snapshot, resource), resource.floating_ip_address)
        case ServiceInstance():
            for name, text in services.annotations_of(resource).items():
                if name in services.UNITS and text:
                    yield from _number(VIRTUAL_NETWORK_IDS, int(text))
        case VirtualPortGroup():
            for ids, number in port_groups.aggregates(snapshot, resource):
                yield from _number(ids, number)
        case AliasIp() if resource.alias_ip_address:
            yield from _address(_pool_sources(snapshot, resource), resource.alias_ip_address)
        case _:
            return


def _number(ids: IdSpace, number: int | None) -> Iterator[Due]:
    if number is not None and (number or ids.first == 0):
        yield Due(ids.space, number_key(number), f"{ids.what} {number}")


def _address(held: list[HeldSubnet] | None, text: str) -> Iterator[Due]:
    """The claim of an address of some subnets; None: of nobody's subnets."""
    if held is None:
        return
    address = parse_address(text, "address")
    one = next((one for one in held if address in one.subnet.network), None)
    if one is None:
        cidrs = ", ".join(one.subnet.cidr for one in held) or "there are none"
        raise ApiFault(f"no subnet of its network has address {text}: {cidrs}")
    if address not in (one.subnet.gateway, one.subnet.service):
        yield Due(one.space, addresses.key(one, address), f"address {text} of {one.subnet.cidr}")


def _sources_of(snapshot: Snapshot, ip: InstanceIp) -> list[HeldSubnet] | None:
    if ip.virtual_network_refs:
        network = load(snapshot, VirtualNetwork, ip.virtual_network_refs[0].uuid)
        if network is None or network.fq_name[-1] in UNMANAGED:
            return None
        return sources(snapshot, network, exact=True)
    ipams = [ref.uuid for ref in ip.network_ipam_refs]
    for ref in ip.virtual_router_refs:
        router = load(snapshot, VirtualRouter, ref.uuid)
        ipams += [one.uuid for one in router.network_ipam_refs] if router is not None else []
    found = (load(snapshot, NetworkIpam, uuid) for uuid in ipams)
    held = [one for ipam in found if ipam is not None for one in ipam_subnets(ipam)]
    return held if ipams else None


def _pool_sources(snapshot: Snapshot, ip: FloatingIp | AliasIp) -> list[HeldSubnet] | None:
    if ip.parent_type not in ("floating-ip-pool", "alias-ip-pool"):
        return None
    network = find(snapshot, VirtualNetwork, "virtual-network", ip.fq_name[:-2])
    return None if network is None else sources(snapshot, network, exact=True)
