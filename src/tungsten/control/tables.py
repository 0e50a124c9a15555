"""The RIB: tables of routes, each with its paths in order of preference.

Names are upstream's. A routing instance X has ``X.inet.0``, ``X.inet6.0`` and ``X.evpn.0``; the
master instance has ``bgp.l3vpn.0``, ``bgp.l3vpn-inet6.0``, ``bgp.evpn.0``, ``bgp.rtarget.0``,
``inet.0`` and ``inet6.0``. Tables of replication trees, ``X.ermvpn.0`` and ``bgp.ermvpn.0``, are
beside them (:mod:`tungsten.control.tree_tables`). A route is found in its table by its *key*,
the ``key`` of the NLRI values in :mod:`tungsten.bgp.nlri`: bytes without labels. In the EVPN
table of an instance the distinguisher inside the key is zero, except for broadcast routes, which
carry their agent's. :func:`nlri_of` turns a key back into an NLRI.

How a speaker uses it
=====================

Input. A speaker owns a :class:`~tungsten.control.paths.Source` and reports with
:meth:`Table.add` and :meth:`Table.withdraw` (cheap: the path is kept and the route marked).
:meth:`Rib.stale`, :meth:`Rib.sweep` and :meth:`Rib.drop` act on all that a source has said, in
some tables or all.

Work. Marked routes are dealt with by :meth:`Rib.process`, which has routing policy judge their
paths where there is one (:mod:`tungsten.control.routing_policy`), orders them, lets replication
copy them, and goes on until nothing is marked. Whoever owns the event loop sets
``Rib.on_marked``, called when the first route of a batch is marked, to schedule that.

Output. A :class:`Listener` on a table is told of each batch of routes that may have changed, as
a list, after replication; a route in it without paths is gone. The listener compares with what
it told its peers before: equal output is no news. A speaker that is behind keeps keys, not
routes: the table has the newest state of each. To start from nothing, walk
:meth:`Table.routes`.

Invariants: ``Route.paths`` is ordered whenever listeners run; a route without paths is in no
table once a batch is over; secondary paths exist exactly where replication put them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING
from typing import Protocol as TypingProtocol

from tungsten.bgp.families import (
    ERM_VPN,
    EVPN,
    INET,
    INET6,
    INET6_VPN,
    INET_VPN,
    ROUTE_TARGET,
    Family,
)
from tungsten.bgp.messages import FindRun
from tungsten.bgp.nlri import (
    ErmVpn,
    EthernetAutoDiscovery,
    EthernetSegment,
    InclusiveMulticast,
    Inet,
    IpPrefix,
    MacIp,
    Nlri,
    RouteTarget,
    UnknownEvpn,
    Vpn,
)

from .paths import Path, PathFlag, PathIdentity, Source, equal_cost, in_order
from .routing_policy import RoutingPolicy, TablePolicy

if TYPE_CHECKING:
    from .bgp_ribout import BgpRibOut
    from .bgp_routes import Exporter, TakingPolicy
    from .core.speaking import UpdateReader
    from .instances import Instances
    from .replication import Replication

MASTER = "default-domain:default-project:ip-fabric:__default__"
VRF_FAMILIES: dict[Family, str] = {
    INET: "inet.0",
    INET6: "inet6.0",
    EVPN: "evpn.0",
    ERM_VPN: "ermvpn.0",
}
VPN_TABLES: dict[Family, str] = {
    INET: "bgp.l3vpn.0",
    INET6: "bgp.l3vpn-inet6.0",
    EVPN: "bgp.evpn.0",
    ERM_VPN: "bgp.ermvpn.0",
}
MASTER_TABLES: dict[str, Family] = {
    "bgp.l3vpn.0": INET_VPN,
    "bgp.l3vpn-inet6.0": INET6_VPN,
    "bgp.evpn.0": EVPN,
    "bgp.rtarget.0": ROUTE_TARGET,
    "inet.0": INET,
    "inet6.0": INET6,
}
BATCH = 4096
_VPN_NAMES = frozenset(VPN_TABLES.values())


def nlri_of(family: Family, key: bytes) -> Nlri:
    """The NLRI of a route key, with its labels zero."""
    if family in (INET, INET6):
        return Inet(key)
    if family in (INET_VPN, INET6_VPN):
        return Vpn(key[:8], key[8:])
    if family == ROUTE_TARGET:
        return RouteTarget(key)
    if family == ERM_VPN:
        return ErmVpn(key[0], key[1:9], key[9:13], key[13:17], key[17:])
    if family != EVPN:
        raise ValueError(f"no tables of family {family}")
    type_, rd = key[0], key[1:9]
    if type_ == 1:
        return EthernetAutoDiscovery(rd, key[9:19], int.from_bytes(key[19:], "big"))
    if type_ == 2:
        return MacIp(rd, int.from_bytes(key[9:13], "big"), key[13:19], key[19:])
    if type_ == 3:
        return InclusiveMulticast(rd, int.from_bytes(key[9:13], "big"), key[13:])
    if type_ == 4:
        return EthernetSegment(rd, key[9:19], key[19:])
    if type_ == 5:
        gateway = bytes(4 if key[13] == 1 else 16)
        return IpPrefix(rd, int.from_bytes(key[9:13], "big"), key[14:], 0, gateway)
    return UnknownEvpn(type_, key[1:])


@dataclass(slots=True, eq=False)
class Route:
    """One destination of a table. ``paths`` go from best to worst."""

    table: Table
    key: bytes
    paths: list[Path] = field(default_factory=list)
    #: Where replication has put copies of this route's primary paths.
    replicas: dict[tuple[Table, bytes, PathIdentity], Path] = field(default_factory=dict)
    #: Route targets that its primary paths carried when last replicated.
    targets: frozenset[bytes] = frozenset()

    @property
    def best(self) -> Path | None:
        """The path in use, if there is one."""
        return self.paths[0] if self.paths and self.paths[0].is_feasible else None

    @property
    def equal_cost(self) -> list[Path]:
        """The paths in use together, best first."""
        return equal_cost(self.paths)

    @property
    def nlri(self) -> Nlri:
        """What the route is about."""
        return nlri_of(self.table.family, self.key)

    def find(self, identity: PathIdentity) -> Path | None:
        """The path of a source."""
        return next((path for path in self.paths if path.identity == identity), None)


class Listener(TypingProtocol):
    """Someone who tells others what is in a table."""

    def routes_changed(self, table: Table, routes: list[Route]) -> None:
        """These routes may have changed; one without paths is gone."""
        ...


class Replicator(TypingProtocol):
    """Copies primary paths to where they belong (see :mod:`tungsten.control.replication`)."""

    def replicate(self, route: Route) -> None:
        """Bring the copies of this route's primary paths up to date."""
        ...


class Table:
    """The routes of one family in one instance. ``instance`` is the instance's name."""

    def __init__(self, rib: Rib, name: str, family: Family, instance: str) -> None:
        self.rib = rib
        self.name = name
        self.family = family
        self.instance = instance
        self.listeners: list[Listener] = []
        #: The inclusive multicast routes (type 3) among those of an EVPN table.
        self.inclusive: dict[bytes, Route] = {}
        #: Keys of routes that only make up an aggregate (:meth:`set_contributing`).
        self.contributing: set[bytes] = set()
        #: What routing policy makes of its paths, if there ever was one here.
        self.policy: TablePolicy | None = None
        self._routes: dict[bytes, Route] = {}

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {len(self._routes)} routes)"

    def __len__(self) -> int:
        return len(self._routes)

    @property
    def is_vpn(self) -> bool:
        """Whether it holds routes of all instances, told apart by distinguishers."""
        return self.name in _VPN_NAMES

    def get(self, key: bytes) -> Route | None:
        """The route of a key."""
        return self._routes.get(key)

    def routes(self) -> Iterator[Route]:
        """All routes, in no promised order. Not to be held across awaits."""
        return iter(self._routes.values())

    def add(self, key: bytes, path: Path) -> None:
        """Take a path, in place of the one with its identity if there is one.

        It is taken as said: policy judges it when the route is dealt with.
        """
        if path.original is not None or path.flags & PathFlag.ROUTING_POLICY_REJECT:
            path = replace(path, original=None).as_said()
        route = self._routes.get(key)
        if route is None:
            route = self._routes[key] = Route(self, key)
            if self.family == EVPN and key[0] == 3:
                self.inclusive[key] = route
        for index, known in enumerate(route.paths):
            if known.identity == path.identity:
                if not known.same_as(path):
                    route.paths[index] = path
                    self.rib.mark(route)
                return
        route.paths.append(path)
        if path.is_primary:
            self.rib.index(path.source, route)
        self.rib.mark(route)

    def withdraw(self, key: bytes, source: Source, path_id: int = 0) -> bool:
        """Take back a primary path; False when there was none."""
        return self.remove(key, (source, path_id, None))

    def remove(self, key: bytes, identity: PathIdentity) -> bool:
        """Take back a path by its identity; False when there was none."""
        route = self._routes.get(key)
        if route is None:
            return False
        for index, known in enumerate(route.paths):
            if known.identity == identity:
                del route.paths[index]
                if identity[2] is None and not _speaks(route, identity[0]):
                    self.rib.unindex(identity[0], route)
                self.rib.mark(route)
                return True
        return False

    def set_contributing(self, key: bytes, contributing: bool) -> None:
        """Whether a route only makes up an aggregate, which is told in its place.

        Such a route is neither copied to other tables nor told to BGP neighbours, whatever its
        paths; agents of the instance hear of it as ever. The mark belongs to the key: it may be
        set before there is a route, and stays until it is cleared or the table is gone.
        """
        if contributing == (key in self.contributing):
            return
        if contributing:
            self.contributing.add(key)
        else:
            self.contributing.discard(key)
        route = self._routes.get(key)
        if route is not None:
            self.rib.mark(route)

    def set_policies(self, policies: tuple[RoutingPolicy, ...], sub_cluster: bytes = b"") -> None:
        """Have routing policies judge its paths, those that are there and those to come."""
        if policies or self.policy is not None:
            self.policy = TablePolicy(self.family, policies, sub_cluster)
            for route in self._routes.values():
                self.rib.mark(route)

    def purge(self, route: Route) -> None:
        """Forget a route that has no paths."""
        if not route.paths and self._routes.get(route.key) is route:
            del self._routes[route.key]
            self.inclusive.pop(route.key, None)


def _speaks(route: Route, source: Source) -> bool:
    return any(path.source is source and path.is_primary for path in route.paths)


class Rib:
    """All tables, and the work on what changed in them.

    This is the core in Python, and what the compiled one
    (:class:`tungsten.control.core.compiled.CompiledRib`) must equal.
    """

    #: Finds the UPDATE messages in a buffer, if they are read in runs (``update_reader``).
    find_run: FindRun | None = None
    #: Whether instances have tables of replication trees.
    keeps_trees = False

    def __init__(self, tables: Mapping[str, Family] = MASTER_TABLES) -> None:
        self.tables: dict[str, Table] = {}
        self.replicator: Replicator | None = None
        self.on_marked: Callable[[], None] | None = None
        self._marked: dict[Route, None] = {}
        self._by_source: dict[Source, dict[Route, None]] = {}
        for name, family in tables.items():
            self.tables[name] = Table(self, name, family, MASTER)

    # --- tables

    def vrf_table(self, instance: str, family: Family) -> Table:
        """The table of an instance and family (inet, inet6, evpn), made when missing."""
        suffix = VRF_FAMILIES[family]
        name = suffix if instance == MASTER else f"{instance}.{suffix}"
        table = self.tables.get(name)
        if table is None:
            table = self.tables[name] = Table(self, name, family, instance)
        return table

    def vpn_table(self, family: Family) -> Table:
        """The VPN table that carries the routes of a VRF family."""
        return self.tables[VPN_TABLES[family]]

    def remove_table(self, table: Table) -> None:
        """Empty a table of what was said in it, and forget it once its copies are gone."""
        for route in list(table.routes()):
            for path in [p for p in route.paths if p.is_primary]:
                table.remove(route.key, path.identity)
        self.process()
        if not len(table):
            del self.tables[table.name]

    # --- marking and indexing, for tables and replication

    def mark(self, route: Route) -> None:
        """A route is to be looked at again."""
        if not self._marked and self.on_marked is not None:
            self.on_marked()
        self._marked[route] = None

    def index(self, source: Source, route: Route) -> None:
        """A source speaks of a route now."""
        self._by_source.setdefault(source, {})[route] = None

    def unindex(self, source: Source, route: Route) -> None:
        """A source no longer speaks of a route."""
        routes = self._by_source.get(source)
        if routes is not None:
            routes.pop(route, None)
            if not routes:
                del self._by_source[source]

    @property
    def is_settled(self) -> bool:
        """Whether no route waits to be dealt with."""
        return not self._marked

    # --- all of a source

    def spoken(self, source: Source, tables: Collection[Table] | None = None) -> list[Route]:
        """Routes that a source speaks of, in some tables or all."""
        routes = self._by_source.get(source, {})
        return [route for route in routes if tables is None or route.table in tables]

    def path_count(self, source: Source) -> int:
        """How many primary paths a source has."""
        return sum(
            path.source is source and path.is_primary
            for route in self.spoken(source)
            for path in route.paths
        )

    def drop(self, source: Source, tables: Collection[Table] | None = None) -> int:
        """Withdraw all that a source has said; how many paths."""
        return self._remove(self.spoken(source, tables), source, lambda path: True)

    def stale(self, source: Source, tables: Collection[Table] | None = None) -> int:
        """Flag all that a source has said as stale; it stays in use."""
        count = 0
        for route in self.spoken(source, tables):
            for path in [p for p in route.paths if p.source is source and p.is_primary]:
                if not path.is_stale:
                    said = path.as_said()
                    route.table.add(route.key, replace(said, flags=said.flags | PathFlag.STALE))
                    count += 1
        return count

    def sweep(self, source: Source, tables: Collection[Table] | None = None) -> int:
        """Withdraw what a source said before it was lost and has not said again."""
        return self._remove(self.spoken(source, tables), source, lambda path: path.is_stale)

    def _remove(
        self, routes: Iterable[Route], source: Source, which: Callable[[Path], bool]
    ) -> int:
        count = 0
        for route in routes:
            for path in [p for p in route.paths if p.source is source and p.is_primary]:
                if which(path):
                    count += route.table.remove(route.key, path.identity)
        return count

    # --- work

    def process(self, limit: int | None = None) -> bool:
        """Deal with marked routes, or with about ``limit`` of them; whether all are done."""
        done = 0
        while self._marked and (limit is None or done < limit):
            batch = list(islice(self._marked, BATCH if limit is None else limit))
            for route in batch:
                del self._marked[route]
            done += len(batch)
            changed: dict[Table, list[Route]] = {}
            for route in batch:
                policy = route.table.policy
                if policy is not None:
                    route.paths = [policy.apply(route.key, path) for path in route.paths]
                if len(route.paths) > 1:
                    route.paths = in_order(route.paths)
                if self.replicator is not None:
                    self.replicator.replicate(route)
                changed.setdefault(route.table, []).append(route)
            for table, routes in changed.items():
                for listener in list(table.listeners):
                    listener.routes_changed(table, routes)
            for route in batch:
                route.table.purge(route)
        return not self._marked

    # --- what belongs to it

    def replication_for(self, instances: Instances) -> Replication:
        """Who copies its routes between instances."""
        from .replication import Replication

        return Replication(self, instances)

    def bgp_rib_out(
        self,
        table: Table,
        exporter: Exporter,
        is_client: Callable[[Source], bool],
        on_work: Callable[[], None],
    ) -> BgpRibOut:
        """What neighbours of one policy are told of a table."""
        from .bgp_ribout import BgpRibOut

        return BgpRibOut(table, exporter, is_client, on_work)

    def update_reader(self, source: Source, policy: TakingPolicy) -> UpdateReader | None:
        """Who takes a neighbour's UPDATE messages, whole runs of them; None: message by message."""
        return None
