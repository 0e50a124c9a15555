"""Where a network's addresses come from: its own subnets, and those of flat-subnet IPAMs.

A network has subnets of its own in what its references to IPAMs say. An IPAM whose method is
``flat-subnet`` has the subnets itself, shared by all networks that refer to it; the reference
then only carries a label. ``address_allocation_mode`` of the network says which are used, and
which first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address
from uuid import uuid4

import msgspec

from tungsten.api.addresses import HeldSubnet
from tungsten.api.errors import ApiFault, BadRequest, name_list
from tungsten.api.subnets import Address, Subnet, SubnetError, resolve
from tungsten.api.transactions import shared
from tungsten.model import NetworkIpam, VirtualNetwork
from tungsten.model.addresses import IpamSubnetType
from tungsten.store.base import Snapshot

FLAT = "flat-subnet"


def network_label(network: VirtualNetwork) -> str:
    """A network as the texts about its subnets name it."""
    return f"Virtual-Network({':'.join(network.fq_name)})"


def own_specs(network: VirtualNetwork) -> Iterator[IpamSubnetType]:
    """The subnets that a network's references to IPAMs say, in their order."""
    for ref in network.network_ipam_refs:
        for spec in (ref.attr.ipam_subnets if ref.attr else None) or []:
            if spec.subnet is not None and spec.subnet.ip_prefix:
                yield spec


def resolved(spec: IpamSubnetType, owner: str, *, bare: bool = False) -> Subnet:
    """A subnet with its defaults. Raises ApiFault for one that cannot be."""
    try:
        if spec.subnet_uuid:
            return _labelled(msgspec.json.encode(spec), owner, bare)
        return resolve(spec, str(uuid4()), owner, bare=bare)
    except SubnetError as error:
        raise ApiFault(error.text, status=error.status) from error


@lru_cache(maxsize=1024)
def _labelled(spec: bytes, owner: str, bare: bool) -> Subnet:
    """The same for one that has its label: every address given out asks for it."""
    said = msgspec.json.decode(spec, type=IpamSubnetType)
    return resolve(said, said.subnet_uuid or "", owner, bare=bare)


def is_bare(network: VirtualNetwork) -> bool:
    """Routed networks reserve neither gateway nor service address."""
    return network.virtual_network_category == "routed"


def own_subnets(network: VirtualNetwork) -> list[HeldSubnet]:
    """The subnets of a network itself."""
    label = network_label(network)
    return [
        HeldSubnet(network.uuid, resolved(spec, label, bare=is_bare(network)))
        for spec in own_specs(network)
    ]


def ipam_subnets(ipam: NetworkIpam) -> list[HeldSubnet]:
    """The subnets of a flat-subnet IPAM."""
    if ipam.ipam_subnet_method != FLAT or ipam.ipam_subnets is None:
        return []
    label = f"Network-Ipam({':'.join(ipam.fq_name)})"
    return [
        HeldSubnet(ipam.uuid, resolved(spec, label, bare=bool(ipam.ipam_subnetting)))
        for spec in ipam.ipam_subnets.subnets or []
    ]


def flat_subnets(snapshot: Snapshot, network: VirtualNetwork) -> list[HeldSubnet]:
    """The subnets of the flat-subnet IPAMs that a network refers to."""
    found = []
    for ref in network.network_ipam_refs:
        record = snapshot.get(ref.uuid)
        ipam = None if record is None else shared(record)
        if isinstance(ipam, NetworkIpam):
            found += ipam_subnets(ipam)
    return found


def sources(snapshot: Snapshot, network: VirtualNetwork, *, exact: bool) -> list[HeldSubnet]:
    """The subnets that a network takes addresses from, in the order they are tried.

    ``exact`` when a certain address or subnet is asked for: flat subnets are then looked at
    first.
    """
    mode = network.address_allocation_mode or "user-defined-subnet-preferred"
    flat = [] if mode == "user-defined-subnet-only" else flat_subnets(snapshot, network)
    own = [] if mode == "flat-subnet-only" else own_subnets(network)
    return [*flat, *own] if exact or mode.startswith("flat") else [*own, *flat]


def of_family(held: list[HeldSubnet], family: str | None) -> list[HeldSubnet]:
    """The subnets of a family, ``v4`` or ``v6``; of any when None."""
    if family is None:
        return held
    return [one for one in held if one.subnet.network.version == int(family[1:])]


def with_uuid(held: list[HeldSubnet], uuid: str, network: VirtualNetwork) -> list[HeldSubnet]:
    """The subnet with this label. Raises BadRequest when the network has no such subnet."""
    found = [one for one in held if one.subnet.uuid == uuid]
    if not found:
        raise BadRequest(
            f"Virtual-Network({name_list(network.fq_name)}) has invalid subnet({uuid})"
        )
    return found


def parse_address(text: str, what: str) -> Address:
    """An address that a client asks for. Raises BadRequest."""
    try:
        return ip_address(text)
    except ValueError as error:
        raise BadRequest(f"{what} '{text}' is not an IP address") from error
