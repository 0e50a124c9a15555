"""Ingress replication: whom an agent sends a copy of each broadcast itself.

An agent that takes part in replication trees says so with its broadcast route. Two such agents
reach each other over the tree; of any other pair each is in the other's list. So a network in
which all take part has empty lists, and one more of them changes no list. Members behind a BGP
neighbour that does not exchange trees are listed, whatever they say.

:class:`FloodLists` keeps, for one EVPN table, which members do not take part, so that a list is
made, and those whom a change concerns are found, in time that depends on their number alone.
"""

from __future__ import annotations

import socket

from tungsten.bgp.nlri import InclusiveMulticast, MacIp
from tungsten.xmpp.routes import BROADCAST_MAC, MAX_MEMBERS, EnetItem, NextHop

from .paths import Path
from .tables import Route, Table
from .xmpp_routes import EDGE_REPLICATION, encapsulations_of

_NO_ADDRESS = "0.0.0.0/32"


class FloodLists:
    """The members of one table's flooding that need lists."""

    def __init__(self) -> None:
        #: Keys of inclusive multicast routes whose members are on no tree.
        self._off_tree: dict[bytes, None] = {}

    def related(self, table: Table, routes: list[Route]) -> list[Route]:
        """These changed routes, and the broadcast routes whose lists change with them."""
        found = dict.fromkeys(routes)
        keys: dict[bytes, None] = {}
        for route in routes:
            if route.key[0] != 3:
                continue
            best = route.best
            before, now = route.key in self._off_tree, best is not None and not on_tree(best)
            if now:
                self._off_tree[route.key] = None
            elif before:
                del self._off_tree[route.key]
            keys[route.key] = None
            keys.update(dict.fromkeys(table.inclusive if before or now else self._off_tree))
        for key in keys:
            for broadcast in map(table.get, _broadcast_keys(key)):
                if broadcast is not None:
                    found[broadcast] = None
        return list(found)

    def show(self, route: Route) -> EnetItem | None:
        """The item that tells the owner of a broadcast route whom to flood to."""
        if not route.paths:
            return None
        nlri, table = route.nlri, route.table
        assert isinstance(nlri, MacIp)
        own = table.get(InclusiveMulticast(nlri.rd, nlri.tag, nlri.rd[2:6]).key)
        if own is not None and own.best is not None and on_tree(own.best):
            others = [table.get(key) for key in self._off_tree]
        else:
            others = list(table.inclusive.values())
        hops = set()
        for other in others:
            best = other.best if other is not None else None
            if other is None or best is None:
                continue
            member = other.nlri
            assert isinstance(member, InclusiveMulticast)
            if member.rd != nlri.rd and _same_domain(member.tag, nlri.tag):
                hops.add(_hop(best))
        if not hops:
            return None
        olist = sorted(hops, key=lambda hop: (hop.address, hop.label))[:MAX_MEMBERS]
        return EnetItem(mac=BROADCAST_MAC, address=_NO_ADDRESS, tag=nlri.tag, olist=tuple(olist))


def on_tree(path: Path) -> bool:
    """Whether a member of the flooding takes part in replication trees that reach us."""
    tunnel = path.attributes.pmsi_tunnel
    return path.source.joins_trees and tunnel is not None and bool(tunnel.flags & EDGE_REPLICATION)


def _same_domain(one: int, two: int) -> bool:
    """Whether Ethernet tags mean one broadcast domain: switches say 0 where agents say the VNI."""
    return one == two or not one or not two


def _broadcast_keys(key: bytes) -> tuple[bytes, bytes]:
    """Broadcast routes of the member of an inclusive multicast route, without address and with."""
    bare = b"\2" + key[1:13] + b"\xff" * 6
    return bare, bare + key[13:]


def _hop(path: Path) -> NextHop:
    encapsulations = encapsulations_of(path)
    tunnel = path.attributes.pmsi_tunnel
    label, address = path.label, path.attributes.next_hop
    if tunnel is not None:
        vxlan = "vxlan" in encapsulations
        label = tunnel.label_field if vxlan else tunnel.label_field >> 4
        address = tunnel.endpoint or address
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    text = socket.inet_ntop(family, address)
    return NextHop(address=text, label=label, encapsulations=encapsulations)
