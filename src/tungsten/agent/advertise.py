"""What this host tells the controls: which VRFs it wants, and the routes of its interfaces.

A pure function of operational state and numbers. Per prefix that active interfaces originate
(:mod:`tungsten.agent.local_prefixes`): an inet route with the label of its interfaces. Per active
interface: its MAC alone and with each address as EVPN routes with its frame label (or the VNI
where VXLAN comes first); per VRF that floods here: the broadcast MAC, with the flood label. Hosts
take no part in replication trees, and say so there. Only what this host originates is told, never
what it derived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from tungsten.agent.forwarding import BROADCAST_MAC, Encapsulation, Flood, FloodRole, Local
from tungsten.agent.local_prefixes import label_key, local_prefixes
from tungsten.agent.oper import Interface, InterfaceAddress, Oper, Vrf
from tungsten.xmpp.routes import EnetItem, Family, InetItem, Item, NextHop

LOW, HIGH = 100, 200
"""Local preferences: a backup's, and an active interface's."""

RouteKey = tuple[str, Family, str]
"""Instance, family, identity."""


@dataclass(frozen=True, slots=True)
class Advertisement:
    """VRFs to subscribe to, with their numbers, and routes to publish."""

    instances: Mapping[str, int]
    routes: Mapping[RouteKey, Item]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who advertises: this host's tunnel address and MAC, encapsulations in order of preference,
    and the numbers of VRFs and labels by name."""

    address: IPv4Address
    mac: str
    order: tuple[Encapsulation, ...]
    vrf_id: Callable[[str], int]
    label: Callable[[str], int]

    @property
    def mpls(self) -> tuple[str, ...]:
        """Wire names of the MPLS encapsulations, as listed in a route."""
        return tuple(sorted(e.wire_name for e in self.order if e is not Encapsulation.VXLAN))

    def uses_vxlan(self, vrf: Vrf) -> bool:
        """Frames of the VRF are to come by VXLAN."""
        return bool(vrf.vni and self.order and self.order[0] is Encapsulation.VXLAN)


def advertise(oper: Oper, origin: Origin) -> Advertisement:
    """Everything to tell the controls."""
    routes: dict[RouteKey, Item] = {}
    for vrf in oper.vrfs.values():
        interfaces = [i for i in oper.interfaces.values() if i.vrf == vrf.name]
        items: list[Item] = _inet_items(vrf, interfaces, origin)
        for interface in sorted(interfaces, key=lambda interface: interface.vmi):
            items += _evpn_items(vrf, interface, origin)
        if vrf.layer2 and any(interface.l2_active for interface in interfaces):
            items.append(_broadcast(vrf, origin))
        for item in items:
            routes.setdefault((vrf.name, item.family, item.id), item)
    return Advertisement({name: origin.vrf_id(name) for name in oper.vrfs}, routes)


def _preference(interface: Interface) -> int:
    return interface.local_preference or HIGH


def _v4(interface: Interface) -> list[InterfaceAddress]:
    return [a for a in interface.addresses if isinstance(a.ip, IPv4Address)]


def _inet_items(vrf: Vrf, interfaces: list[Interface], origin: Origin) -> list[Item]:
    if not origin.mpls:
        return []
    items: list[Item] = []
    for prefix in local_prefixes(interfaces):
        first = prefix.interfaces[0]
        hop = NextHop(
            address=str(origin.address),
            label=origin.label(label_key(vrf.name, prefix)),
            encapsulations=origin.mpls,
            mac=origin.mac,
            virtual_network=vrf.network,
        )
        groups = {group for i in prefix.interfaces for group in i.security_groups}
        items.append(
            InetItem(
                prefix=str(prefix.prefix),
                next_hops=(hop,),
                virtual_network=vrf.network,
                security_groups=tuple(sorted(groups)),
                local_preference=_preference(first),
                sub_protocol="interface-static" if prefix.static else "interface",
            )
        )
    return items


def _l2_hop(vrf: Vrf, origin: Origin, label_key: str) -> NextHop | None:
    address = str(origin.address)
    if origin.uses_vxlan(vrf):
        wire_name = Encapsulation.VXLAN.wire_name
        return NextHop(address=address, label=vrf.vni, encapsulations=(wire_name,))
    if origin.mpls:
        return NextHop(address=address, label=origin.label(label_key), encapsulations=origin.mpls)
    return None


def _evpn_items(vrf: Vrf, interface: Interface, origin: Origin) -> list[Item]:
    if not interface.l2_active:
        return []
    hop = _l2_hop(vrf, origin, Local(interface.vmi, layer2=True).key)
    if hop is None:
        return []
    addresses = ["0.0.0.0/32"]
    if interface.l3_active:
        addresses += [f"{address.ip}/32" for address in _v4(interface)]
    return [
        EnetItem(
            mac=interface.mac,
            address=address,
            tag=vrf.vni if origin.uses_vxlan(vrf) else 0,
            next_hops=(hop,),
            virtual_network=vrf.network,
            security_groups=interface.security_groups,
            local_preference=_preference(interface),
        )
        for address in addresses
    ]


def _broadcast(vrf: Vrf, origin: Origin) -> EnetItem:
    hop = _l2_hop(vrf, origin, Flood(vrf.name, FloodRole.TOP).key)
    return EnetItem(
        mac=BROADCAST_MAC,
        tag=vrf.vni if origin.uses_vxlan(vrf) else 0,
        next_hops=(hop,) if hop else (),
        virtual_network=vrf.network,
        local_preference=LOW,
        edge_replication_not_supported=True,
    )
