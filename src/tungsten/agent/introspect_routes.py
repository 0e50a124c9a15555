"""The routes of a VRF in the agent's introspect: inet, inet6, bridge (layer 2) and EVPN.

inet and bridge routes are those in the datapath. EVPN routes are what controls sent and what
this host's interfaces are, each with the bridge entry that came of it. A row holds the
:class:`Moment` it was found in, so that an answer of many messages looks things up once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from tungsten.agent.agent import Agent
from tungsten.agent.channel import Controls
from tungsten.agent.forwarding import BROADCAST_MAC, VrfRoutes
from tungsten.agent.introspect_hops import LOCAL, Item, Shown
from tungsten.agent.introspect_structs import (
    BridgeRouteReq,
    BridgeRouteResp,
    EvpnRouteReq,
    EvpnRouteResp,
    Inet4UcRouteReq,
    Inet4UcRouteResp,
    Inet6UcRouteReq,
    Inet6UcRouteResp,
    Layer2RouteReq,
    Layer2RouteResp,
    RouteEvpnSandeshData,
    RouteL2SandeshData,
    RouteUcSandeshData,
)
from tungsten.agent.oper import Vrf
from tungsten.datapath.abi import RouteFlag
from tungsten.datapath.layout import Mac
from tungsten.introspect import Form, PagedTable
from tungsten.introspect.paging import form_of
from tungsten.xmpp.routes import EnetItem

GROUP = "agent"
NO_ADDRESS = str(IPv4Address(0))


@dataclass(frozen=True)
class Moment:
    """A VRF as it is when a request comes."""

    agent: Agent
    controls: Controls
    shown: Shown
    vrf: int

    @cached_property
    def name(self) -> str:
        """The VRF's name; empty when there is no such VRF."""
        return self.shown.vrf_name(self.vrf)

    @cached_property
    def oper(self) -> Vrf | None:
        """What the configuration makes of it."""
        return self.shown.oper.vrfs.get(self.name)

    @cached_property
    def received(self) -> VrfRoutes:
        """What the controls sent for it."""
        return self.agent.rib.routes(self.name)

    @cached_property
    def by_mac(self) -> Mapping[str, EnetItem]:
        """A received item for each MAC; the one without an address where there are several."""
        items = sorted(self.received.evpn.values(), key=lambda item: item.address, reverse=True)
        return {item.mac: item for item in items}

    @cached_property
    def by_mac_and_address(self) -> Mapping[tuple[str, str], EnetItem]:
        """Received items by MAC and address."""
        return {
            (item.mac, item.address.partition("/")[0]): item for item in self.received.evpn.values()
        }

    def peer(self, item: Item | None) -> str:
        """Whose word an item is: a control's address, or this host's when there is none."""
        if item is None:
            return LOCAL
        senders = self.agent.rib.senders(item.family, self.name, item.id)
        return self.controls.sessions[senders[0]].endpoint.host if senders else LOCAL


def route_tables(agent: Agent, controls: Controls) -> list[PagedTable[Any, Any]]:
    """The route tables of an agent."""
    tables = _VrfTables(agent, controls)
    return [
        tables.inet(),
        tables.inet6(),
        tables.bridge(Layer2RouteReq, Layer2RouteResp),
        tables.bridge(BridgeRouteReq, BridgeRouteResp),
        tables.evpn(),
    ]


@dataclass(frozen=True)
class _VrfTables:
    """Makes the tables; each is of every VRF, whose name is in the table's."""

    agent: Agent
    controls: Controls

    def _moment(self, vrf: int) -> Moment:
        held = self.agent.writer.held
        shown = Shown(self.agent.oper, held, self.agent.ids)
        return Moment(self.agent, self.controls, shown, vrf)

    def _name(self, suffix: str) -> Callable[[Any], str]:
        return lambda form: f"{self._moment(form.vrf_index).name}{suffix}"

    def _accepts(self, form: type[Form], suffix: str) -> Callable[[str, Mapping[str, str]], Any]:
        def accepts(table: str, filters: Mapping[str, str]) -> Form | None:
            if not table.endswith(suffix):
                return None
            number = self._moment(0).shown.vrf_number(table.removesuffix(suffix))
            if number is None:
                return None
            return form_of(form, {**filters, "vrf_index": str(number)})

        return accepts

    def inet(self) -> PagedTable[Inet4UcRouteReq, tuple[Moment, IPv4Network]]:
        def rows(form: Inet4UcRouteReq) -> list[tuple[Moment, IPv4Network]]:
            moment = self._moment(form.vrf_index)
            held = moment.shown.tables.routes
            prefixes = sorted(prefix for vrf, prefix in held if vrf == form.vrf_index)
            return [(moment, prefix) for prefix in _wanted(prefixes, form)]

        return PagedTable(
            form=Inet4UcRouteReq,
            group=GROUP,
            table=self._name(".uc.route.0"),
            accepts=self._accepts(Inet4UcRouteReq, ".uc.route.0"),
            rows=rows,
            message=lambda found: Inet4UcRouteResp(
                route_list=[route for row in found if (route := _inet(*row)) is not None]
            ),
        )

    def inet6(self) -> PagedTable[Inet6UcRouteReq, Any]:
        """IPv6 is bridged, not routed, by this datapath: the table is empty."""
        return PagedTable(
            form=Inet6UcRouteReq,
            group=GROUP,
            table=self._name(".uc.route6.0"),
            accepts=self._accepts(Inet6UcRouteReq, ".uc.route6.0"),
            rows=lambda form: [],
            message=lambda found: Inet6UcRouteResp(route_list=[]),
        )

    def bridge(
        self,
        form: type[Layer2RouteReq | BridgeRouteReq],
        response: type[Layer2RouteResp | BridgeRouteResp],
    ) -> PagedTable[Any, tuple[Moment, Mac]]:
        def rows(wanted: Layer2RouteReq | BridgeRouteReq) -> list[tuple[Moment, Mac]]:
            moment = self._moment(wanted.vrf_index)
            held = moment.shown.tables.bridge
            macs = sorted(mac for vrf, mac in held if vrf == wanted.vrf_index)
            return [(moment, mac) for mac in macs]

        return PagedTable(
            form=form,
            group=GROUP,
            table=self._name(".l2.route.0"),
            accepts=self._accepts(form, ".l2.route.0"),
            rows=rows,
            message=lambda found: response(
                route_list=[route for row in found if (route := _bridge(*row)) is not None]
            ),
        )

    def evpn(self) -> PagedTable[EvpnRouteReq, tuple[Moment, str, str]]:
        return PagedTable(
            form=EvpnRouteReq,
            group=GROUP,
            table=self._name(".evpn.route.0"),
            accepts=self._accepts(EvpnRouteReq, ".evpn.route.0"),
            rows=lambda form: _evpn_rows(self._moment(form.vrf_index)),
            message=lambda found: EvpnRouteResp(route_list=[_evpn(*row) for row in found]),
        )


def _wanted(prefixes: Sequence[IPv4Network], form: Inet4UcRouteReq) -> Sequence[IPv4Network]:
    """All without an address; with one, exactly its prefix, or the longest that covers it."""
    if not form.src_ip:
        return prefixes
    try:
        address = IPv4Address(form.src_ip)
    except ValueError:
        return []
    if form.prefix_len >= 0:
        exact = (address, form.prefix_len)
        return [each for each in prefixes if (each.network_address, each.prefixlen) == exact]
    covering = [each for each in prefixes if address in each]
    return [max(covering, key=lambda each: each.prefixlen)] if covering else []


def _inet(moment: Moment, prefix: IPv4Network) -> RouteUcSandeshData | None:
    route = moment.shown.tables.routes.get((moment.vrf, prefix))
    if route is None:
        return None
    item = moment.received.inet.get(str(prefix))
    subnets = moment.oper.subnets if moment.oper is not None else ()
    return RouteUcSandeshData(
        src_ip=str(prefix.network_address),
        src_plen=prefix.prefixlen,
        src_vrf=moment.name,
        path_list=[moment.shown.path(route.nh, route.label, item, moment.peer(item))],
        ipam_subnet_route=any(subnet.prefix == prefix for subnet in subnets),
        proxy_arp=bool(route.flags & RouteFlag.PROXY),
    )


def _bridge(moment: Moment, mac: Mac) -> RouteL2SandeshData | None:
    entry = moment.shown.tables.bridge.get((moment.vrf, mac))
    if entry is None:
        return None
    item = moment.by_mac.get(str(mac))
    return RouteL2SandeshData(
        mac=str(mac),
        src_vrf=moment.name,
        path_list=[moment.shown.path(entry.nh, entry.label, item, moment.peer(item))],
    )


def _evpn_rows(moment: Moment) -> list[tuple[Moment, str, str]]:
    """MACs and addresses; a MAC alone has the address 0.0.0.0."""
    found = set(moment.by_mac_and_address)
    for interface in moment.shown.oper.interfaces.values():
        if interface.vrf == moment.name and interface.l2_active:
            found.add((interface.mac, NO_ADDRESS))
            found |= {(interface.mac, str(each.ip)) for each in interface.addresses}
            found.add((BROADCAST_MAC, NO_ADDRESS))
    return [(moment, mac, address) for mac, address in sorted(found)]


def _evpn(moment: Moment, mac: str, address: str) -> RouteEvpnSandeshData:
    entry = moment.shown.tables.bridge.get((moment.vrf, Mac(mac)))
    number, label = (entry.nh, entry.label) if entry is not None else (0, None)
    item = moment.by_mac_and_address.get((mac, address))
    return RouteEvpnSandeshData(
        mac=mac,
        src_vrf=moment.name,
        ip_addr=address,
        path_list=[moment.shown.path(number, label, item, moment.peer(item))],
    )
