"""Next hops and paths of the agent's introspect.

A next hop is shown from the record the datapath holds. A route has one path here, the one in
force: where several sources spoke of it, the agent chose before it wrote. ``peer`` says whose
word that is: ``LocalVmPort`` for an interface of this host, ``Local`` for what the host itself
adds (gateways, subnets, the vRouter's MAC), a control's address for what a control sent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from tungsten.agent.forwarding import Local
from tungsten.agent.ids import Ids
from tungsten.agent.introspect_structs import (
    McastData,
    NhSandeshData,
    PathPreferenceSandeshData,
    PathSandeshData,
)
from tungsten.agent.oper import Interface, Oper
from tungsten.agent.program import Tables
from tungsten.datapath.abi import Family, NhFlag, NhType
from tungsten.datapath.records import NextHop
from tungsten.xmpp.routes import EnetItem, InetItem

FABRIC_VRF = "default-domain:default-project:ip-fabric:__default__"
LOCAL_VM, LOCAL = "LocalVmPort", "Local"
NO_LABEL = -1

_TYPES = {
    NhType.DEAD: "invalid",
    NhType.RECEIVE: "receive",
    NhType.ENCAP: "interface",
    NhType.TUNNEL: "tunnel",
    NhType.RESOLVE: "resolve",
    NhType.DISCARD: "discard",
    NhType.VRF_TRANSLATE: "vrf",
    NhType.L2_RECEIVE: "l2-receive",
}
_COMPOSITES = (
    (NhFlag.ECMP, "ECMP"),
    (NhFlag.EVPN, "evpn"),
    (NhFlag.ENCAP_LIST, "L2 interface"),
    (NhFlag.FABRIC, "fabric"),
    (NhFlag.TOR, "TOR"),
)
_TUNNELS = ((NhFlag.MPLS_GRE, "MPLSoGRE"), (NhFlag.MPLS_UDP, "MPLSoUDP"), (NhFlag.VXLAN, "VxLAN"))
_SUPPORTED = "MPLSoGRE MPLSoUDP"

Item = InetItem | EnetItem


def short_mac(mac: bytes | None) -> str:
    """``2:84:4f:c3:40:2b``: next hops print their octets without leading zeros."""
    return ":".join(f"{octet:x}" for octet in mac) if mac is not None else ""


@dataclass(frozen=True)
class Shown:
    """One moment of the agent's state, for the length of one answer."""

    oper: Oper
    tables: Tables
    ids: Ids

    def vrf_name(self, number: int) -> str:
        """A VRF by its number; the fabric's for 0."""
        return FABRIC_VRF if number == 0 else self.ids["vrf"].key_of(number) or ""

    def vrf_number(self, name: str) -> int | None:
        """The number of a VRF; None when there is no such VRF."""
        return 0 if name == FABRIC_VRF else self.ids["vrf"].by_key.get(name)

    def label(self, interface: Interface, *, layer2: bool) -> int:
        """The label that other hosts reach an interface with, if its route is active."""
        number = self.ids["label"].by_key.get(Local(interface.vmi, layer2=layer2).key, NO_LABEL)
        return number if number in self.tables.labels else NO_LABEL

    def interface_of(self, vif: int) -> Interface | None:
        """The interface that has a vif."""
        vmi = self.ids["vif"].key_of(vif)
        return self.oper.interfaces.get(vmi) if vmi is not None else None

    @cached_property
    def users(self) -> Counter[int]:
        """How many entries point at each next hop."""
        found = Counter(route.nh for route in self.tables.routes.values())
        found.update(entry.nh for entry in self.tables.bridge.values())
        found.update(self.tables.labels.values())
        found.update(self.tables.vnis.values())
        found.update(vif.nh_id for vif in self.tables.vifs.values())
        for hop in self.tables.nexthops.values():
            found.update(leg.nh for leg in hop.members)
        return found

    # next hops

    def device(self, vif: int) -> str:
        """The device of a vif."""
        found = self.tables.vifs.get(vif)
        return found.name if found is not None else ""

    def type_of(self, hop: NextHop) -> str:
        """The kind of a next hop, in the words operators know."""
        if hop.type is not NhType.COMPOSITE:
            return _TYPES[hop.type]
        kind = next((word for flag, word in _COMPOSITES if hop.flags & flag), "L2")
        return f"{kind} Composite sub nh count: {len(hop.members)}"

    def type_at(self, number: int) -> str:
        """The kind of a next hop by its number."""
        hop = self.tables.nexthops.get(number)
        return self.type_of(hop) if hop is not None else "discard"

    def next_hop(self, number: int) -> NhSandeshData:
        """A next hop by its number; one that is not there drops."""
        hop = self.tables.nexthops.get(number)
        if hop is None:
            return NhSandeshData(type="discard", nh_index=number)
        tunnel = hop.type is NhType.TUNNEL
        return NhSandeshData(
            type=self.type_of(hop),
            ref_count=1 + self.users[number],
            valid="true" if hop.flags & NhFlag.VALID else "false",
            policy="enabled" if hop.flags & NhFlag.POLICY else "disabled",
            sip=str(hop.sip) if tunnel else None,
            dip=str(hop.dip) if tunnel else None,
            vrf=self.vrf_name(hop.vrf),
            itf=self.device(hop.oif) if hop.type in (NhType.ENCAP, NhType.RECEIVE) else "",
            # Scripts print "to MAC" of a tunnel when there is an element at all.
            mac=None if tunnel and hop.dmac is None else short_mac(hop.dmac),
            mcast="enabled" if hop.flags & NhFlag.MULTICAST else "disabled",
            mc_list=self._members(hop, depth=0),
            tunnel_type=_tunnel_type(hop) if tunnel else None,
            nh_index=number,
            vxlan_flag=bool(hop.flags & NhFlag.VXLAN),
        )

    def _members(self, hop: NextHop, depth: int) -> list[McastData]:
        """The legs of a composite, those of its parts included: each names where it goes."""
        found: list[McastData] = []
        for leg in hop.members:
            part = self.tables.nexthops.get(leg.nh)
            if part is None:
                continue
            if part.type is NhType.COMPOSITE and depth < 4:
                found += self._members(part, depth + 1)
            elif part.type is NhType.TUNNEL:
                found.append(
                    McastData(type="Tunnel", sip=str(part.sip), dip=str(part.dip), label=leg.label)
                )
            else:
                found.append(
                    McastData(type="Interface", label=leg.label, itf=self.device(part.oif))
                )
        return found

    # paths

    def path(
        self, number: int, label: int | None, item: Item | None = None, peer: str = LOCAL
    ) -> PathSandeshData:
        """The path of an entry that points at a next hop.

        ``item`` is what a control sent, when the entry is from there, and ``peer`` which one.
        """
        hop = self.tables.nexthops.get(number)
        tunnel = hop is not None and hop.type is NhType.TUNNEL
        own = self.interface_of(hop.oif) if hop is not None and hop.type is NhType.ENCAP else None
        vxlan = hop is not None and bool(hop.flags & NhFlag.VXLAN)
        shown = label if label is not None else NO_LABEL
        if own is not None:
            shown = self.label(own, layer2=hop is not None and hop.family is Family.BRIDGE)
        return PathSandeshData(
            nh=self.next_hop(number),
            label=NO_LABEL if vxlan else shown,
            vxlan_id=shown if vxlan else self._vni(own),
            peer=LOCAL_VM if own is not None else peer,
            dest_vn_list=self._networks(own, item),
            sg_list=own.security_groups if own is not None else _groups(item),
            supported_tunnel_type=_SUPPORTED,
            active_tunnel_type=_tunnel_type(hop) if hop is not None and tunnel else "",
            path_preference_data=PathPreferenceSandeshData(
                sequence=item.sequence if item is not None else 0,
                preference=_preference(own, item),
                ecmp=hop is not None and bool(hop.flags & NhFlag.ECMP),
            ),
            active_label=NO_LABEL if vxlan else shown,
            communities=item.communities if isinstance(item, InetItem) else (),
        )

    def _vni(self, own: Interface | None) -> int:
        return self.oper.vrfs[own.vrf].vni if own is not None and own.vrf in self.oper.vrfs else 0

    def _networks(self, own: Interface | None, item: Item | None) -> list[str]:
        if own is not None and own.vrf in self.oper.vrfs:
            return [self.oper.vrfs[own.vrf].network]
        return [item.virtual_network] if item is not None and item.virtual_network else []


def _groups(item: Item | None) -> tuple[int, ...]:
    return item.security_groups if item is not None else ()


def _preference(own: Interface | None, item: Item | None) -> int:
    if own is not None:
        return own.local_preference or 200
    return item.local_preference if item is not None else 100


def _tunnel_type(hop: NextHop) -> str:
    return next((word for flag, word in _TUNNELS if hop.flags & flag), "")
