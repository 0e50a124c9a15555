"""From names to numbers: the datapath's tables, whole, as the agent wants them.

:func:`number` is the second half of compiling. It takes symbolic tables
(:mod:`tungsten.agent.forwarding`), gives every VRF, port, next hop and label its number
(:mod:`tungsten.agent.ids`), and answers :class:`Tables` of the datapath's own records. The same
input gives the same tables: names have had their numbers since before the last restart.

A tunnel whose next router is not resolved yet has no MAC; the datapath then asks the kernel's
neighbour table for each packet, so nothing is lost meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, ip_network

from tungsten.agent import forwarding as fwd
from tungsten.agent.ids import Ids, IdSpace
from tungsten.agent.kernel import Neighbour
from tungsten.agent.oper import Device, Interface, Oper, Vrf
from tungsten.datapath.abi import NhFlag, RouteFlag, VifFlag, VifGuard, VifLink, VifType
from tungsten.datapath.layout import Mac
from tungsten.datapath.records import BridgeEntry, Member, NextHop, Route, Source, Vif
from tungsten.datapath.trap import AGENT_MAC

FABRIC_VIF, PKT0_VIF, FIRST_VIF = 0, 2, 3
LAST_VIF = 4351

_ENCAP_FLAGS = {
    fwd.Encapsulation.MPLS_GRE: NhFlag.MPLS_GRE,
    fwd.Encapsulation.MPLS_UDP: NhFlag.MPLS_UDP,
    fwd.Encapsulation.VXLAN: NhFlag.VXLAN,
}
_FLOOD_ROLES = {
    fwd.FloodRole.TOP: NhFlag.MULTICAST,
    fwd.FloodRole.INTERFACES: NhFlag.MULTICAST | NhFlag.ENCAP_LIST,
    fwd.FloodRole.EVPN: NhFlag.MULTICAST | NhFlag.EVPN,
}
_LINKS = {"veth": VifLink.VETH, "tun": VifLink.TAP}


def id_spaces() -> tuple[IdSpace, ...]:
    """The spaces numbers are taken from: VRF 0 is the fabric, labels 0 to 15 are reserved."""
    return (
        IdSpace("vif", FIRST_VIF, LAST_VIF),
        IdSpace("vrf", 1, 65534),
        IdSpace("nh", 1, 65535),
        IdSpace("label", 16, (1 << 20) - 1),
    )


@dataclass(frozen=True, slots=True)
class Host:
    """What of this host goes into the tables: its end of tunnels, the agent's own port, and
    the next routers towards other hosts."""

    device: Device
    address: IPv4Address
    pkt0: Device | None = None
    neighbours: Mapping[IPv4Address, Neighbour] = field(default_factory=dict)


@dataclass(slots=True)
class Tables:
    """The content of the datapath. ``names`` are the keys in use per id space."""

    vifs: dict[int, Vif] = field(default_factory=dict)
    nexthops: dict[int, NextHop] = field(default_factory=dict)
    labels: dict[int, int] = field(default_factory=dict)
    vnis: dict[int, int] = field(default_factory=dict)
    routes: dict[tuple[int, IPv4Network], Route] = field(default_factory=dict)
    bridge: dict[tuple[int, Mac], BridgeEntry] = field(default_factory=dict)
    sources: set[Source] = field(default_factory=set)
    names: dict[str, set[str]] = field(default_factory=dict)


class _Numbering:
    """Fills :class:`Tables`; lives for one call of :func:`number`."""

    def __init__(self, ids: Ids, oper: Oper, host: Host) -> None:
        self.ids = ids
        self.oper = oper
        self.host = host
        self.numbers: dict[fwd.NextHop, int] = {}
        self.tables = Tables(names={name: set() for name in ("vif", "vrf", "nh", "label")})

    def id(self, space: str, key: str) -> int:
        self.tables.names[space].add(key)
        return self.ids.allocate(space, key)

    # ports

    def add_fabric(self) -> None:
        device = self.host.device
        self.tables.vifs[FABRIC_VIF] = Vif(
            id=FABRIC_VIF,
            ifindex=device.ifindex,
            type=VifType.PHYSICAL,
            link=_LINKS.get(device.kind, VifLink.OTHER),
            flags=VifFlag.L3 | VifFlag.L2 | VifFlag.VHOST_PHYSICAL | VifFlag.ETREE_ROOT,
            mac=Mac(device.mac),
            ip=self.host.address,
            mtu=device.mtu,
            os_index=device.ifindex,
            name=device.name,
        )
        pkt0 = self.host.pkt0
        if pkt0 is not None:
            self.tables.vifs[PKT0_VIF] = Vif(
                id=PKT0_VIF,
                ifindex=pkt0.ifindex,
                type=VifType.AGENT,
                link=VifLink.TAP,
                flags=VifFlag.L3 | VifFlag.ETREE_ROOT,
                os_index=pkt0.ifindex,
                name=pkt0.name,
            )

    def add_interface(self, interface: Interface) -> None:
        """The vif of an interface whose device exists, and what it may send from."""
        device = interface.device
        vif_id = self.id("vif", interface.vmi)
        if device is None:
            return
        vrf = self.oper.vrfs[interface.vrf]
        vrf_id = self.id("vrf", vrf.name)
        key = fwd.Local(interface.vmi, layer2=not interface.layer3)
        nh_id = self.nexthop(key) if interface.l2_active or interface.l3_active else 0
        guard = VifGuard.MAC | VifGuard.IP if interface.port_security else VifGuard(0)
        self.tables.vifs[vif_id] = Vif(
            id=vif_id,
            ifindex=device.ifindex,
            vrf=vrf_id,
            link=_LINKS.get(device.kind, VifLink.OTHER),
            flags=_vif_flags(interface, vrf),
            guard=guard,
            vm_mac=Mac(interface.mac),
            ip=interface.ip,
            ip6=interface.ip6,
            gateway=_gateway(interface, vrf),
            mtu=device.mtu,
            nh_id=nh_id,
            mcast_vrf=vrf_id,
            os_index=device.ifindex,
            name=device.name,
        )
        primary = {interface.ip, interface.ip6}
        for address in interface.addresses:
            if address.ip not in primary:
                self.tables.sources.add(Source(vif_id, ip_network(address.ip)))
        for prefix in interface.static_prefixes:
            self.tables.sources.add(Source(vif_id, prefix))
        for network, mac in interface.allowed_pairs:
            own = mac == interface.mac
            self.tables.sources.add(Source(vif_id, network, None if own else Mac(mac)))

    # next hops

    def nexthop(self, symbolic: fwd.NextHop) -> int:
        """The number of a next hop; the first mention writes it, and what it needs."""
        number = self.numbers.get(symbolic)
        if number is None:
            number = self.numbers[symbolic] = self.id("nh", symbolic.key)
            self.tables.nexthops[number] = self.realise(symbolic)
        return number

    def realise(self, symbolic: fwd.NextHop) -> NextHop:
        match symbolic:
            case fwd.Discard():
                return NextHop.discard()
            case fwd.Receive():
                return NextHop.receive(FABRIC_VIF)
            case fwd.Service(vrf):
                return NextHop.encap(PKT0_VIF, AGENT_MAC, vrf=self.id("vrf", vrf))
            case fwd.L2Receive(vrf):
                return NextHop.l2_receive(self.id("vrf", vrf))
            case fwd.Translate(vrf):
                return NextHop.vrf_translate(self.id("vrf", vrf))
            case fwd.Local(vmi, layer2):
                return self.local(vmi, layer2)
            case fwd.Tunnel(encapsulation, remote):
                return self.tunnel(encapsulation, remote)
            case fwd.Ecmp(members):
                return NextHop.ecmp(self.members(members), vrf=0)
            case fwd.Flood():
                legs = [*self.members(symbolic.members)]
                legs += [Member(self.nexthop(part)) for part in symbolic.parts]
                role = _FLOOD_ROLES[symbolic.role]
                return NextHop.flood(legs, vrf=self.id("vrf", symbolic.vrf), role=role)

    def members(self, members: Iterable[fwd.Member]) -> list[Member]:
        return [Member(self.nexthop(leg.nexthop), leg.label or 0) for leg in members]

    def local(self, vmi: str, layer2: bool) -> NextHop:
        interface = self.oper.interfaces[vmi]
        oif = self.id("vif", vmi)
        vrf = self.id("vrf", interface.vrf)
        flags = NhFlag.POLICY if interface.policy else NhFlag(0)
        mac = Mac(interface.mac)
        if layer2:
            return NextHop.encap_l2(oif, mac, vrf=vrf, flags=flags)
        return NextHop.encap(oif, mac, vrf=vrf, flags=flags)

    def tunnel(self, encapsulation: fwd.Encapsulation, remote: IPv4Address) -> NextHop:
        neighbour = self.host.neighbours.get(remote)
        usable = neighbour is not None and neighbour.ifindex == self.host.device.ifindex
        return NextHop.tunnel(
            _ENCAP_FLAGS[encapsulation],
            sip=self.host.address,
            dip=remote,
            oif=FABRIC_VIF,
            dmac=Mac(neighbour.mac) if neighbour and usable and neighbour.mac else None,
            smac=Mac(self.host.device.mac),
        )

    # the tables of a VRF

    def add_vrf(self, name: str, tables: fwd.VrfTables) -> None:
        vrf = self.id("vrf", name)
        for key, target in tables.labels.items():
            self.tables.labels[self.id("label", key)] = self.nexthop(target)
        for vni, target in tables.vnis.items():
            self.tables.vnis.setdefault(vni, self.nexthop(target))
        for prefix, route in tables.routes.items():
            self.tables.routes[vrf, prefix] = Route(
                nh=self.nexthop(route.nexthop),
                label=route.label,
                flags=_route_flags(route),
                mac=_mac(route.mac) if route.mac else None,
            )
        for mac, entry in tables.bridge.items():
            self.tables.bridge[vrf, _mac(mac)] = BridgeEntry(
                nh=self.nexthop(entry.nexthop), label=entry.label
            )


def number(ids: Ids, oper: Oper, vrf_tables: Mapping[str, fwd.VrfTables], host: Host) -> Tables:
    """The datapath's tables for ``oper`` and the symbolic tables of its VRFs, by name.

    Takes numbers that names lack; the caller makes them durable before writing.
    """
    numbering = _Numbering(ids, oper, host)
    numbering.add_fabric()
    for vmi in sorted(oper.interfaces):
        numbering.add_interface(oper.interfaces[vmi])
    for name in sorted(vrf_tables):
        numbering.add_vrf(name, vrf_tables[name])
    return numbering.tables


@lru_cache(1 << 16)
def _mac(text: str) -> Mac:
    """A MAC; the same few come again and again."""
    return Mac(text)


def _vif_flags(interface: Interface, vrf: Vrf) -> VifFlag:
    flags = VifFlag.ETREE_ROOT
    if interface.layer3:
        flags |= VifFlag.L3
    if interface.layer2:
        flags |= VifFlag.L2
    if interface.policy and interface.layer3:
        flags |= VifFlag.POLICY
    if vrf.flood_unknown:
        flags |= VifFlag.UNKNOWN_UNICAST_FLOOD
    if any(subnet.dhcp for subnet in vrf.subnets):
        flags |= VifFlag.DHCP
    return flags


def _gateway(interface: Interface, vrf: Vrf) -> IPv4Address | None:
    subnet = vrf.subnet_of(interface.ip) if interface.ip else None
    gateway = subnet.gateway if subnet else None
    return gateway if isinstance(gateway, IPv4Address) else None


def _route_flags(route: fwd.Route) -> RouteFlag:
    flags = RouteFlag(0)
    if route.proxy:
        flags |= RouteFlag.PROXY
    if route.flood:
        flags |= RouteFlag.FLOOD
    return flags
