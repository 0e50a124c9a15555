"""Rules of virtual-networks of the category ``routed``: those that physical routers are parts of.

Each element of ``virtual_network_routed_properties`` says how one physical router takes part: for
which logical router, with which address, and by which routing protocol.
"""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

from tungsten.api.errors import Conflict, echo, name_list
from tungsten.api.resources.subnet_sources import own_subnets
from tungsten.api.transactions import Write
from tungsten.model import VirtualNetwork
from tungsten.model.networks import RoutedProperties

ROUTED = "routed"
BACKBONE = frozenset({"0", "0.0.0.0"})  # noqa: S104 - an area of OSPF, not a listener
PIM_MODE = "sparse-dense"
NEEDED = ("physical_router_uuid", "logical_router_uuid", "routed_interface_ip_address")


def check_routed(write: Write, network: VirtualNetwork) -> None:
    """What a routed network says of the physical routers in it."""
    said = network.virtual_network_routed_properties
    if network.virtual_network_category != ROUTED or said is None:
        return
    for part in said.routed_properties or []:
        for name in NEEDED:
            if not getattr(part, name):
                raise _refuse(network, f"needs {name}")
        _check_address(network, part)
        _check_protocols(network, part)


def _check_address(network: VirtualNetwork, part: RoutedProperties) -> None:
    text = part.routed_interface_ip_address or ""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise _refuse(network, f"routed_interface_ip_address {echo(text)} is no address") from error
    cidrs = [one.subnet.network for one in own_subnets(network)]
    if not any(address in cidr for cidr in cidrs):
        shown = [str(cidr) for cidr in cidrs]
        raise _refuse(network, f"routed_interface_ip_address {text} is not in subnets {shown!r}")


def _check_protocols(network: VirtualNetwork, part: RoutedProperties) -> None:
    bgp, ospf, pim = part.bgp_params, part.ospf_params, part.pim_params
    for peer in [bgp.peer_ip_address, *(bgp.peer_ip_address_list or [])] if bgp else []:
        try:
            _ = IPv4Address(peer) if peer else None
        except ValueError as error:
            raise _refuse(network, f"BGP peer {echo(peer)} is no IPv4 address") from error
    if pim is not None and pim.mode not in (None, PIM_MODE):
        raise _refuse(network, f"PIM mode {echo(pim.mode)} is not {PIM_MODE}")
    if ospf is not None and ospf.area_id in BACKBONE and ospf.area_type != "backbone":
        raise _refuse(network, f"OSPF area 0 is of type backbone, not {ospf.area_type}")


def _refuse(network: VirtualNetwork, why: str) -> Conflict:
    return Conflict(
        f"virtual_network_routed_properties of virtual network {name_list(network.fq_name)}: {why}"
    )
