"""Aggregates: one prefix that is told in place of the routes in it.

A ``route-aggregate`` names prefixes and an address inside the routing instances it acts in. A
prefix is there while the instance has a route in it that is in use, and the routes in it are told
to agents of the instance only: they are neither copied to other instances nor told to BGP
neighbours (:meth:`~tungsten.control.tables.Table.set_contributing`). Each route belongs to the most
specific prefix that covers it, so that aggregates may be nested: one is a route in the next.

The prefix has a path that leads to the named address, with the network of the instance as its
origin; :mod:`~tungsten.control.path_resolver` makes of it one for each way that address has.

What is said is a function of configuration and tables. A changed route concerns the one prefix that
covers it, found by the lengths that prefixes have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address, ip_network

import structlog

from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import INET, INET6, Family
from tungsten.bgp.nlri import pack_prefix
from tungsten.model.routing_policies import RouteAggregate

from .config_graph import ConfigGraph, GraphDelta
from .instances import Instance, Instances
from .path_resolver import PathResolver
from .paths import ATTRIBUTES, Path, Protocol, Source
from .tables import Route, Table

_log = structlog.get_logger("tungsten.control")


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A prefix, and the address that leads to what is in it, as route keys."""

    family: Family
    key: bytes
    host: bytes
    #: The address, packed.
    address: bytes


def aggregates(resource: RouteAggregate) -> list[Aggregate]:
    """The prefixes of an object. ``ValueError``, naming the field, if it is unusable."""
    try:
        hop = ip_address(resource.aggregate_route_nexthop or "")
    except ValueError as error:
        raise ValueError(f"aggregate_route_nexthop: {error}") from None
    host = pack_prefix(hop.packed, hop.max_prefixlen)
    entries = resource.aggregate_route_entries
    found = []
    for text in (entries.route if entries is not None else None) or ():
        try:
            network = ip_network(text, strict=False)
        except ValueError as error:
            raise ValueError(f"aggregate_route_entries: {error}") from None
        if network.version != hop.version:
            raise ValueError(f"aggregate_route_nexthop: {hop} is no way to {network}")
        key = pack_prefix(network.network_address.packed, network.prefixlen)
        found.append(Aggregate(INET if hop.version == 4 else INET6, key, host, hop.packed))
    return found


@dataclass(slots=True, eq=False)
class _Scope:
    """The prefixes of one instance and family, and what is in them."""

    instance: Instance
    table: Table
    entries: dict[bytes, Aggregate]
    resolver: PathResolver
    inside: dict[bytes, set[bytes]] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inside = {key: set() for key in self.entries}
        self.lengths = sorted({key[0] for key in self.entries}, reverse=True)

    def covering(self, key: bytes) -> bytes | None:
        """The most specific prefix that a route of this key is in."""
        for length in self.lengths:
            if length < key[0]:
                prefix = pack_prefix(key[1:], length)
                if prefix in self.entries:
                    return prefix
        return None

    def follow(self, route: Route) -> bytes | None:
        """Take note of a route; the prefix that it brings or takes away."""
        prefix = self.covering(route.key)
        if prefix is None:
            return None
        routes = self.inside[prefix]
        before = bool(routes)
        if route.best is not None:
            routes.add(route.key)
        else:
            routes.discard(route.key)
        self.table.set_contributing(route.key, bool(route.paths))
        return prefix if bool(routes) != before else None


class Aggregates:
    """The aggregates of all instances. A listener of the tables that they are in."""

    def __init__(self, graph: ConfigGraph, instances: Instances) -> None:
        self.source = Source("Aggregate", Protocol.AGGREGATE)
        #: An agent's number of an instance, by name.
        self.instance_id: Callable[[Source, str], int | None] = lambda _, __: None
        self._graph = graph
        self._instances = instances
        #: By name of the object: the instances it acts in, and its prefixes.
        self._objects: dict[str, tuple[frozenset[str], tuple[Aggregate, ...]]] = {}
        #: By instance: the objects that act in it.
        self._acting: dict[str, set[str]] = {}
        self._scopes: dict[Table, _Scope] = {}
        #: The AS that the prefixes' origin is told with.
        self._asn = instances.replication.asn
        instances.on_created.append(self._restart)
        instances.on_changed.append(self._restart)
        instances.on_deleted.append(self._forget)

    def graph_changed(self, delta: GraphDelta) -> None:
        """The configuration changed, and the instances have followed."""
        concerned: set[str] = set()
        for type_, name in delta.nodes:
            if type_ == "route-aggregate":
                node = self._graph.node((type_, name))
                resource = node.resource if node is not None else None
                concerned |= self._put(
                    name, resource if isinstance(resource, RouteAggregate) else None
                )
        self._restart_all(concerned)
        if self._asn != self._instances.replication.asn:
            self._asn = self._instances.replication.asn
            for scope in self._scopes.values():
                self._say(scope, scope.entries)

    def configure(self, name: str, resource: RouteAggregate | None) -> None:
        """Make the object of a name this one, or none."""
        self._restart_all(self._put(name, resource))

    def _put(self, name: str, resource: RouteAggregate | None) -> set[str]:
        where, found = self._objects.pop(name, (frozenset[str](), ()))
        concerned = set(where)
        for each in where:
            self._acting[each].discard(name)
            if not self._acting[each]:
                del self._acting[each]
        if resource is None:
            return concerned
        try:
            found = tuple(aggregates(resource))
        except ValueError as error:
            _log.error("route_aggregate_unusable", name=name, text=str(error))
            return concerned
        where = frozenset(":".join(ref.to) for ref in resource.routing_instance_refs)
        self._objects[name] = (where, found)
        for each in where:
            self._acting.setdefault(each, set()).add(name)
        return concerned | where

    def routes_changed(self, table: Table, routes: list[Route]) -> None:
        """Routes in prefixes, or those that lead to them, may have come, changed or gone."""
        scope = self._scopes.get(table)
        if scope is None:
            return
        changed: dict[bytes, None] = {}
        for route in routes:
            prefix = scope.follow(route)
            if prefix is not None:
                changed[prefix] = None
        self._say(scope, changed)
        scope.resolver.routes_changed(routes)

    def registered(self, name: str) -> None:
        """An agent's number of an instance came, changed or went."""
        instance = self._instances.get(name)
        for family in (INET, INET6) if instance is not None and name in self._acting else ():
            assert instance is not None
            scope = self._scopes.get(instance.tables[family])
            if scope is not None:
                scope.resolver.renew()

    def _restart_all(self, names: Iterable[str]) -> None:
        for name in names:
            instance = self._instances.get(name)
            if instance is not None:
                self._restart(instance)

    def _restart(self, instance: Instance) -> None:
        """Begin anew with what the configuration says of an instance now."""
        objects = sorted(self._acting.get(instance.name, ()))
        for family in (INET, INET6):
            table = instance.tables[family]
            entries: dict[bytes, Aggregate] = {}
            for name in objects:
                for entry in self._objects[name][1]:
                    if entry.family == family:
                        entries.setdefault(entry.key, entry)
            before = self._scopes.get(table)
            if before is None and not entries:
                continue
            if before is not None:
                self._stop(before)
            if entries:
                resolver = PathResolver(table, partial(self._number_of, instance.name))
                self._start(_Scope(instance, table, entries, resolver))

    def _start(self, scope: _Scope) -> None:
        self._scopes[scope.table] = scope
        scope.table.listeners.append(self)
        for route in list(scope.table.routes()):
            scope.follow(route)
        self._say(scope, scope.entries)

    def _stop(self, scope: _Scope) -> None:
        del self._scopes[scope.table]
        scope.table.listeners.remove(self)
        for route in list(scope.table.routes()):
            scope.table.set_contributing(route.key, False)
        scope.resolver.close()

    def _forget(self, instance: Instance) -> None:
        for family in (INET, INET6):
            self._scopes.pop(instance.tables[family], None)

    def _say(self, scope: _Scope, prefixes: Iterable[bytes]) -> None:
        """Report what prefixes are now."""
        index = scope.instance.config.network_index
        mine = (self._instances.replication.origin_vn(index),) if index else ()
        for key in prefixes:
            if scope.inside[key]:
                entry = scope.entries[key]
                bare = PathAttributes(next_hop=entry.address, extended_communities=mine)
                path = Path(self.source, ATTRIBUTES.intern(bare))
                scope.resolver.say(key, path, entry.host)
            else:
                scope.resolver.withdraw(key, self.source)

    def _number_of(self, instance: str, source: Source) -> int | None:
        return self.instance_id(source, instance)
