"""Replication trees: from places that agents offer to whom each hands broadcasts on to.

An agent's place in the tree of a group is a *native* route (erm-vpn type 0) of its instance's
``ermvpn`` table: its labels are a block to draw from. Per table, source and group,
:class:`MulticastTrees` keeps a :class:`~tungsten.control.multicast_tree.Tree` of the native
routes, and tells each agent its label and its neighbours (:meth:`MulticastTrees.show`).

Trees of several control nodes are joined at their forest nodes. Each node reports its own by a
*local* route (type 1), which goes to the others by BGP; the one with the lowest identifier among
those that report is the *builder*, and answers each with a *global* route (type 2) that says
which forest nodes are joined to its own. The joins become neighbours of the forest node.

All is a function of the tables, but for the order of slots in a tree, which is that of arrival.
Routes of a lost agent stay, stale, until they are swept, so the tree stays as it was; an agent
that comes back with the same block keeps its label and its place.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from tungsten.bgp import communities, edges
from tungsten.bgp.attributes import PathAttributes, RawAttribute
from tungsten.bgp.edges import EdgeDiscovery, EdgeForwarding
from tungsten.bgp.families import ERM_VPN
from tungsten.bgp.nlri import ErmVpn, rd_text
from tungsten.xmpp.routes import NextHop, TreeItem

from .instances import Instance, Instances
from .multicast_tree import NODE_CHILDREN, Labels, Tree, joined
from .paths import ATTRIBUTES, NO_RD, Path, Protocol, Source
from .tables import Route, Table
from .xmpp_routes import NATIVE, encapsulations_of

LOCAL, GLOBAL = 1, 2


@dataclass(slots=True, eq=False)
class _Group:
    """The tree of one source and group in one table; members are keys of native routes."""

    table: Table
    name: bytes
    tree: Tree[bytes] = field(default_factory=Tree)
    #: What a member's neighbours send to it with.
    encapsulations: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    #: Local routes of control nodes, by identifier.
    nodes: dict[bytes, Path] = field(default_factory=dict)
    #: Neighbours of the forest node in other trees.
    outside: tuple[NextHop, ...] = ()
    #: What we say ourselves, by key.
    said: dict[bytes, Path] = field(default_factory=dict)

    def key(self, type_: int, router_id: bytes) -> bytes:
        """Key of a local or global route of this group."""
        return ErmVpn(type_, NO_RD, router_id, self.name[:4], self.name[4:]).key


class MulticastTrees:
    """The trees of all instances (a listener of their tables)."""

    def __init__(self, instances: Instances) -> None:
        self.router_id = bytes(4)
        self.source = Source("multicast", Protocol.LOCAL)
        self._groups: dict[tuple[str, bytes], _Group] = {}
        self._labels: WeakKeyDictionary[Source, Labels] = WeakKeyDictionary()
        #: Groups in which somebody waits for a label.
        self._short: dict[_Group, None] = {}
        instances.on_created.append(self._created)
        for instance in instances:
            self._created(instance)

    def _created(self, instance: Instance) -> None:
        table = instance.tables.get(ERM_VPN)
        if table is not None:
            table.listeners.append(self)

    def set_router_id(self, router_id: bytes) -> None:
        """This node's identifier changed: what it said under the former is taken back."""
        if router_id == self.router_id:
            return
        self.router_id = router_id
        for group in list(self._groups.values()):
            self._update(group, set(group.tree.members))

    # --- what is in the tables

    def routes_changed(self, table: Table, routes: list[Route]) -> None:
        """Bring trees in line with the routes (Listener)."""
        touched: dict[_Group, set[bytes]] = {}
        for route in routes:
            group = self._group(table, route.key[13:])
            touched.setdefault(group, set())
            if route.key[0] == NATIVE:
                for other, changed in self._native(group, route).items():
                    touched.setdefault(other, set()).update(changed)
            elif route.key[0] == LOCAL:
                node, best = route.key[9:13], route.best
                if best is not None and edges.discovery_of(best.attributes):
                    group.nodes[node] = best
                else:
                    group.nodes.pop(node, None)
        for group, changed in touched.items():
            self._update(group, changed)

    def _group(self, table: Table, name: bytes) -> _Group:
        group = self._groups.get((table.name, name))
        if group is None or group.table is not table:
            group = self._groups[table.name, name] = _Group(table, name)
        return group

    def _native(self, group: _Group, route: Route) -> dict[_Group, set[bytes]]:
        """An agent's place came, changed or went; whose neighbours or label changed."""
        best, tree = route.best, group.tree
        if best is None:
            changed = {group: tree.leave(route.key)}
            group.encapsulations.pop(route.key, None)
            return changed | self._admit()
        pool = self._labels.get(best.source)
        if pool is None:
            pool = self._labels[best.source] = Labels()
        members = tree.join(route.key, (best.label, best.label2), pool)
        if not tree.label(route.key):
            self._short[group] = None
        told = encapsulations_of(best)
        if group.encapsulations.get(route.key, told) != told:
            members.update(tree.neighbours(route.key))
        group.encapsulations[route.key] = told
        return {group: members}

    def _admit(self) -> dict[_Group, set[bytes]]:
        """A label may be free: let those in that waited for one."""
        changed: dict[_Group, set[bytes]] = {}
        for group in list(self._short):
            changed[group] = group.tree.admit()
            if not group.tree.is_short:
                del self._short[group]
        return changed

    # --- what follows

    def _update(self, group: _Group, changed: set[bytes]) -> None:
        """Say what a group's state has us say, and have changed members told."""
        wanted = self._local(group)
        if group.nodes and min(group.nodes) == self.router_id:
            wanted |= self._globals(group)
        for key in [key for key in group.said if key not in wanted]:
            del group.said[key]
            group.table.withdraw(key, self.source)
        for key, path in wanted.items():
            known = group.said.get(key)
            if known is None or not known.same_as(path):
                group.said[key] = path
                group.table.add(key, path)
        outside, forest = self._outside(group), group.tree.forest
        if outside != group.outside:
            group.outside = outside
            if forest is not None:
                changed.add(forest)
        for key in changed:
            route = group.table.get(key)
            if route is not None:
                group.table.rib.mark(route)
        if group.tree.is_empty and not group.nodes and not group.said:
            self._groups.pop((group.table.name, group.name), None)

    def _local(self, group: _Group) -> dict[bytes, Path]:
        """Our local route: where our tree may be joined."""
        forest = group.tree.forest
        if forest is None:
            return {}
        route = group.table.get(forest)
        best = route.best if route is not None else None
        if best is None:
            return {}
        label = group.tree.label(forest)
        place = EdgeDiscovery(best.attributes.next_hop, ((label, label),))
        said = edges.discovery((place,) * NODE_CHILDREN)
        return {group.key(LOCAL, self.router_id): self._path(best, forest[1:9], said)}

    def _globals(self, group: _Group) -> dict[bytes, Path]:
        """What the builder answers each control node: who is joined to it."""
        places = {
            node: edges.discovery_of(path.attributes)[0] for node, path in group.nodes.items()
        }
        places = {node: place for node, place in places.items() if place.blocks}
        wanted = {}
        for node, neighbours in joined(places).items():
            mine = places[node]
            joins = tuple(
                EdgeForwarding(
                    mine.address,
                    mine.blocks[0][0],
                    places[other].address,
                    places[other].blocks[0][0],
                )
                for other in neighbours
            )
            if joins:
                path = group.nodes[node]
                wanted[group.key(GLOBAL, node)] = self._path(path, path.rd, edges.forwarding(joins))
        return wanted

    def _path(self, like: Path, rd: bytes, said: RawAttribute) -> Path:
        """A word of ours, with the encapsulations of another path."""
        carried = like.attributes.extended_communities
        kept = tuple(c for c in carried if c[:2] == communities.encapsulation(0)[:2])
        attributes = PathAttributes(
            next_hop=self.router_id, extended_communities=kept, opaque=(said,)
        )
        return Path(self.source, ATTRIBUTES.intern(attributes), rd=rd)

    def _outside(self, group: _Group) -> tuple[NextHop, ...]:
        """Whom our forest node is joined to, as the builder has it."""
        forest = group.tree.forest
        answer = group.table.get(group.key(GLOBAL, self.router_id))
        if forest is None or answer is None or answer.best is None:
            return ()
        address, label = forest[3:7], group.tree.label(forest)
        return tuple(
            NextHop(
                address=socket.inet_ntoa(edge.neighbor_address),
                label=edge.neighbor_label,
                encapsulations=encapsulations_of(answer.best),
            )
            for edge in edges.forwarding_of(answer.best.attributes)
            if edge.address == address and edge.label == label
        )

    # --- what agents are told

    def show(self, route: Route) -> TreeItem | None:
        """An agent's place, for the agent: None while it has no neighbours."""
        group = self._groups.get((route.table.name, route.key[13:]))
        if group is None or route.key[0] != NATIVE:
            return None
        tree = group.tree
        olist = [
            NextHop(
                address=socket.inet_ntoa(other[3:7]),
                label=tree.label(other),
                encapsulations=group.encapsulations[other],
            )
            for other in tree.neighbours(route.key)
        ]
        if tree.forest == route.key:
            olist += group.outside
        if not olist:
            return None
        return TreeItem(
            group=socket.inet_ntoa(group.name[4:]),
            source=socket.inet_ntoa(group.name[:4]),
            rd=rd_text(route.key[1:9]),
            source_label=tree.label(route.key),
            olist=tuple(olist),
        )
