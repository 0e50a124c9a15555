"""Import and export between instances: copying routes by their route targets.

A route's primary paths decide its copies, together with the configuration of instances, and
nothing else decides: :meth:`Replication.replicate` computes the copies that should exist from
scratch, compares with the copies that the route has (``Route.replicas``), and adds, replaces
and removes the difference. So a copy is always traceable to one primary path, goes exactly when
it goes, and never depends on when anything was said.

* A primary path in a VRF is copied when it is feasible and equal-cost with the best. Its
  communities gain the instance's export targets and, if it has none, the origin network of the
  instance.
* From a VRF it goes to the VPN table, with its distinguisher, and to each other VRF that
  imports one of its targets. From the VPN table it goes to importing VRFs, without it.
* Copies are never copied on.
* A route that only makes up an aggregate (:meth:`.tables.Table.set_contributing`) is not copied.

EVPN differs: MAC and inclusive multicast routes enter only VRFs of their origin network, prefix
routes (type 5) any importer, broadcast MACs and segments nowhere. A route from outside that
names no origin network, or names one by the number it has in another AS, belongs to the network
that exports its target, if just one does; when several do, to whichever importing network exports
it; its copies name that one. So do the routes of replication trees
(erm-vpn), which moreover go between VRFs by the VPN table only; an agent's place in one (type 0)
never leaves.

With the reachability check (:meth:`Replication.set_reachability_check`) a copy that enters a VRF
from a VPN table is unresolved (``PathFlag.RESOLVE_NEXT_HOP``), so it is not used, as long as the
fabric's own table has no usable host route to its next hop.

The index from target to routes makes a change of an instance find the routes it concerns; that
from next hop to VPN routes does the same for host routes of the fabric.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import ERM_VPN, EVPN, INET, INET6, INET6_VPN, INET_VPN, Family

from .paths import ATTRIBUTES, NO_RD, Path, PathFlag, PathIdentity
from .tables import Rib, Route, Table

if TYPE_CHECKING:
    from .instances import Instance, Instances

#: Network indexes from here on mean the same network in all clusters.
GLOBAL_NETWORKS = 8_000_000
Copies = dict[tuple[Table, bytes, PathIdentity], Path]
#: The fabric's own tables, and how long the prefix of a host is in them.
FABRIC_TABLES = {"inet.0": 32, "inet6.0": 128}
#: A path that would have more extended communities than this is not copied: whatever an instance
#: exports, attributes can be written (RFC 4271 section 4.3: 65,535 octets).
MOST_COMMUNITIES = 4096
_BROADCAST = b"\xff" * 6
_VRF_OF_VPN: dict[Family, Family] = {
    INET_VPN: INET,
    INET6_VPN: INET6,
    EVPN: EVPN,
    ERM_VPN: ERM_VPN,
}
#: Families whose keys begin with a type, then the distinguisher.
_TYPED = (EVPN, ERM_VPN)


class Replication:
    """The copies of all routes of a RIB."""

    def __init__(self, rib: Rib, instances: Instances) -> None:
        self.asn = 64512
        self._rib = rib
        self._instances = instances
        self._by_target: dict[bytes, set[Route]] = {}
        self._checks_hops = False
        #: Next hops to which the fabric has a host route, as last dealt with.
        self._reachable: set[bytes] = set()
        #: While hops are checked: VPN routes by next hop, and back.
        self._by_hop: dict[bytes, set[Route]] = {}
        self._hops: dict[Route, frozenset[bytes]] = {}

    def replicate(self, route: Route) -> None:
        """Bring the copies of a route up to date."""
        if self._checks_hops:
            self._follow_hops(route)
        targets: set[bytes] = set()
        wanted = self._wanted(route, targets)
        held = route.replicas
        if not wanted and not held and not targets and not route.targets:
            return
        for where in [where for where in held if where not in wanted]:
            table, key, identity = where
            table.remove(key, identity)
            del held[where]
        for where, path in wanted.items():
            known = held.get(where)
            if known is None or not known.same_as(path):
                where[0].add(where[1], path)
                held[where] = path
        self._reindex(route, frozenset(targets))

    def follow(self, instance: Instance) -> None:
        """An instance is new, or its configuration changed."""

    def forget(self, instance: Instance) -> None:
        """An instance is gone."""

    @property
    def targets(self) -> set[bytes]:
        """Route targets that routes carry."""
        return set(self._by_target)

    def reconsider_target(self, target: bytes) -> None:
        """Someone's use of a route target changed."""
        for route in self._by_target.get(target, ()):
            self._rib.mark(route)

    def reconsider_table(self, table: Table) -> None:
        """The configuration of a table's instance changed."""
        for route in table.routes():
            self._rib.mark(route)

    def reconsider_all(self) -> None:
        """Something that all routes depend on changed."""
        for table in list(self._rib.tables.values()):
            self.reconsider_table(table)

    def set_asn(self, asn: int) -> None:
        """The AS number of this node changed."""
        if asn != self.asn:
            self.asn = asn
            self.reconsider_all()

    def set_reachability_check(self, check: bool) -> None:
        """Whether copies into VRFs wait for a host route of the fabric to their next hop."""
        if check == self._checks_hops:
            return
        self._checks_hops = check
        self._reachable.clear()
        self._by_hop.clear()
        self._hops.clear()
        for table in self._rib.tables.values():
            if check and table.name in FABRIC_TABLES:
                for route in table.routes():
                    self._note_host(route)
            elif table.is_vpn:
                self.reconsider_table(table)

    def _follow_hops(self, route: Route) -> None:
        """Keep who uses which next hop, and which can be reached."""
        table = route.table
        if table.name in FABRIC_TABLES:
            self._note_host(route)
        elif table.is_vpn:
            now = frozenset(path.attributes.next_hop for path in route.paths if path.is_primary)
            before = self._hops.pop(route, frozenset())
            for hop in before - now:
                routes = self._by_hop[hop]
                routes.discard(route)
                if not routes:
                    del self._by_hop[hop]
            for hop in now - before:
                self._by_hop.setdefault(hop, set()).add(route)
            if now:
                self._hops[route] = now

    def _note_host(self, route: Route) -> None:
        hop = route.key[1:]
        if route.key[0] != 8 * len(hop) or route.key[0] != FABRIC_TABLES[route.table.name]:
            return
        now = any(path.is_feasible for path in route.paths)
        if now != (hop in self._reachable):
            (self._reachable.add if now else self._reachable.discard)(hop)
            for user in self._by_hop.get(hop, ()):
                self._rib.mark(user)

    def _reindex(self, route: Route, targets: frozenset[bytes]) -> None:
        if targets == route.targets:
            return
        for target in route.targets - targets:
            routes = self._by_target[target]
            routes.discard(route)
            if not routes:
                del self._by_target[target]
        for target in targets - route.targets:
            self._by_target.setdefault(target, set()).add(route)
        route.targets = targets

    def _wanted(self, route: Route, targets: set[bytes]) -> Copies:
        """The copies a route should have; ``targets`` gains what its paths carry."""
        copies: Copies = {}
        table = route.table
        if not route.paths or not route.paths[0].is_feasible or route.key in table.contributing:
            return copies
        if table.is_vpn:
            for path in self._sources(route):
                self._from_vpn(route, path, copies, targets)
            return copies
        instance = self._instances.of_table(table)
        if instance is not None and not instance.is_master:
            for path in self._sources(route):
                self._from_vrf(route, path, instance, copies, targets)
        return copies

    def _sources(self, route: Route) -> list[Path]:
        if len(route.paths) == 1:
            only = route.paths[0]
            return [only] if only.is_primary else []
        return [path for path in route.equal_cost if path.is_primary]

    def _from_vrf(
        self,
        route: Route,
        path: Path,
        instance: Instance,
        copies: Copies,
        targets: set[bytes],
    ) -> None:
        table, config = route.table, instance.config
        if not _may_leave(table.family, route.key):
            return
        held = path.attributes.extended_communities
        carried = list(held)
        carried += sorted(config.exports.difference(held))
        origin = communities.origin_vn_of(carried)
        if origin is None and config.network_index:
            carried.append(self.origin_vn(config.network_index))
        if len(carried) > MOST_COMMUNITIES:
            return
        attributes = _with_communities(path.attributes, tuple(carried))
        mine = communities.route_targets_of(carried)
        targets.update(mine)
        if not mine:
            return
        network = origin[1] if origin else config.network_index
        origin_key = (table.name, route.key)
        copy = replace(path, attributes=attributes, origin=origin_key, original=None)
        if path.rd != NO_RD:
            vpn_key = _with_rd(table.family, route.key, path.rd)
            copies[self._rib.vpn_table(table.family), vpn_key, copy.identity] = copy
        if table.family == ERM_VPN:
            return
        for other in self._importers(mine):
            if other is not instance and self._admits(other, table.family, route.key, network):
                copies[other.tables[table.family], route.key, copy.identity] = copy

    def _from_vpn(self, route: Route, path: Path, copies: Copies, targets: set[bytes]) -> None:
        carried = path.attributes.extended_communities
        mine = communities.route_targets_of(carried)
        targets.update(mine)
        if not mine:
            return
        family = _VRF_OF_VPN[route.table.family]
        if not _may_leave(family, route.key):
            return
        rd, key = _without_rd(family, route.key)
        network = self._origin_of(carried, mine)
        flags = path.flags
        if self._checks_hops and path.attributes.next_hop not in self._reachable:
            flags |= PathFlag.RESOLVE_NEXT_HOP
        for other in self._importers(mine):
            its = network
            if not its and any(target in other.config.exports for target in mine):
                its = other.config.network_index
            if not self._admits(other, family, key, its):
                continue
            attributes = path.attributes
            if not self._names_ours(communities.origin_vn_of(carried)):
                mine_too = (self.origin_vn(its),) if its else ()
                others = (c for c in carried if communities.origin_vn_of((c,)) is None)
                attributes = _with_communities(attributes, (*others, *mine_too))
            origin_key = (route.table.name, route.key)
            copy = replace(
                path, attributes=attributes, rd=rd, flags=flags, origin=origin_key, original=None
            )
            copies[other.tables[family], key, copy.identity] = copy

    def _origin_of(self, carried: tuple[bytes, ...], mine: tuple[bytes, ...]) -> int:
        """Network index of a VPN route; 0 when it cannot be told."""
        origin = communities.origin_vn_of(carried)
        if origin is not None and self._names_ours(origin):
            return origin[1]
        networks = {
            instance.config.network_index
            for target in mine
            for instance in self._instances.exporters(target)
        }
        return networks.pop() if len(networks) == 1 else 0

    def _names_ours(self, origin: tuple[int, int] | None) -> bool:
        """Whether it is a network that this cluster numbered, or all clusters alike."""
        return origin is not None and (origin[0] == self.asn or origin[1] >= GLOBAL_NETWORKS)

    def _importers(self, targets: Iterable[bytes]) -> set[Instance]:
        found: set[Instance] = set()
        for target in targets:
            found |= self._instances.importers(target)
        return found

    def _admits(self, instance: Instance, family: Family, key: bytes, network: int) -> bool:
        if family not in instance.tables:
            return False
        if family not in _TYPED or (family == EVPN and key[0] == 5):
            return True
        return bool(network) and instance.config.network_index == network

    def origin_vn(self, index: int) -> bytes:
        """The origin-VN community of one of our networks."""
        if self.asn <= 0xFFFF:
            return communities.origin_vn(self.asn, index)
        return communities.origin_vn(self.asn, index & 0xFFFF)


def _may_leave(family: Family, key: bytes) -> bool:
    """Whether a route may be copied at all."""
    if family == ERM_VPN:
        return key[0] != 0
    if family != EVPN:
        return True
    if key[0] == 2:
        return key[13:19] != _BROADCAST
    return key[0] in (3, 5)


def _with_rd(family: Family, key: bytes, rd: bytes) -> bytes:
    if family in _TYPED:
        return key[:1] + rd + key[9:]
    return rd + key


def _without_rd(family: Family, key: bytes) -> tuple[bytes, bytes]:
    """Distinguisher and VRF key. Inclusive multicast keeps its own: members must not merge."""
    if family not in _TYPED:
        return key[:8], key[8:]
    rd = key[1:9]
    if family == EVPN and key[0] == 3:
        return rd, key
    return rd, key[:1] + NO_RD + key[9:]


def _with_communities(attributes: PathAttributes, carried: tuple[bytes, ...]) -> PathAttributes:
    if carried == attributes.extended_communities:
        return attributes
    return ATTRIBUTES.intern(msgspec.structs.replace(attributes, extended_communities=carried))
