"""Static routes of routing instances: the routes a control node makes of ``static-route-entries``.

An entry names a prefix and a next hop, an address in the same VRF. While the host route to that
address exists, the prefix has one path (protocol StaticRoute, sub-protocol ``static``) for each
equal-cost path of the host route, with that path's next hop, label, distinguisher, encapsulation
and security groups. Its route targets are the entry's, which replication adds to those that the
instance exports; the entry's communities, if it has any, stand in place of the path's; the AS
path is empty. The path id is the next hop's IPv4 address, so that the paths can be told apart.

The distinguisher of a path over an agent's route has that agent's own number of the instance that
the entry is in, also when the host route was copied from another instance, of which the agent has
another number: so routes of two instances never are one route in the VPN table.

Paths of other static routes are no way to a next hop: what results would depend on the order of
events, or stay up by itself.

What is said is a function of configuration and tables: :class:`StaticRoutes` computes an
entry's paths anew when its host route or its configuration changes, and reports the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address, ip_network

import structlog
from msgspec import structs

from tungsten.bgp import communities
from tungsten.bgp.families import INET, INET6, Family
from tungsten.bgp.nlri import pack_prefix
from tungsten.model import RoutingInstance
from tungsten.model.routing import StaticRouteType

from .config_graph import ConfigGraph, GraphDelta
from .instances import Instance, Instances
from .paths import ATTRIBUTES, NO_RD, Path, PathFlag, Protocol, Source, equal_cost, in_order
from .tables import Route, Table

SUB_PROTOCOL = "static"
MOST_COMMUNITIES = 512
_log = structlog.get_logger("tungsten.control")


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """An entry: route keys of its prefix and of the host route to its next hop."""

    family: Family
    key: bytes
    host: bytes
    targets: tuple[bytes, ...] = ()
    communities: tuple[int, ...] = ()


def static_route(entry: StaticRouteType) -> StaticRoute:
    """The entry of the configuration. ``ValueError``, naming the field, if it is unusable."""
    try:
        network = ip_network(entry.prefix or "", strict=False)
    except ValueError as error:
        raise ValueError(f"prefix: {error}") from None
    try:
        hop = ip_address(entry.next_hop or "")
    except ValueError as error:
        raise ValueError(f"next_hop: {error}") from None
    if hop.version != network.version:
        raise ValueError(f"next_hop: {hop} is not of the IP version of {network}")
    try:
        targets = {communities.parse_extended(text) for text in entry.route_target or ()}
    except ValueError as error:
        raise ValueError(f"route_target: {error}") from None
    try:
        plain = {communities.parse_community(text) for text in entry.community or ()}
    except ValueError as error:
        raise ValueError(f"community: {error}") from None
    if len(targets) + len(plain) > MOST_COMMUNITIES:
        raise ValueError(f"route_target, community: expected at most {MOST_COMMUNITIES} together")
    return StaticRoute(
        INET if network.version == 4 else INET6,
        pack_prefix(network.network_address.packed, network.prefixlen),
        pack_prefix(hop.packed, hop.max_prefixlen),
        tuple(sorted(targets)),
        tuple(sorted(plain)),
    )


def static_paths(
    entry: StaticRoute,
    host: Route | None,
    source: Source,
    number_of: Callable[[Source], int | None] = lambda _: None,
) -> dict[int, Path]:
    """The paths that an entry has over a host route, by path id.

    ``number_of`` tells which number an agent has of the entry's instance.
    """
    if host is None:
        return {}
    usable = [path for path in host.paths if path.source.protocol is not Protocol.STATIC]
    found: dict[int, Path] = {}
    for path in equal_cost(in_order(usable)):
        number = int.from_bytes(path.attributes.next_hop[:4], "big")
        rd = distinguisher(path, number_of)
        found.setdefault(number, replace(_over(entry, path, source, number), rd=rd))
    return found


def distinguisher(path: Path, number_of: Callable[[Source], int | None]) -> bytes:
    """The distinguisher of what is made over an agent's path, in another instance.

    ``number_of`` tells which number an agent has of that instance.
    """
    number = number_of(path.source) if path.source.protocol is Protocol.XMPP else None
    if number is None or path.rd == NO_RD or not 0 <= number <= 0xFFFF:
        return path.rd
    return path.rd[:6] + number.to_bytes(2, "big")


def _over(entry: StaticRoute, path: Path, source: Source, number: int) -> Path:
    held = path.attributes
    others = [c for c in held.extended_communities if not communities.is_route_target(c)]
    attributes = structs.replace(
        held,
        as_path=(),
        extended_communities=(*others, *entry.targets),
        communities=entry.communities or held.communities,
    )
    return replace(
        path,
        source=source,
        attributes=ATTRIBUTES.intern(attributes),
        path_id=number,
        flags=path.flags & PathFlag.LLGR_STALE,
        origin=None,
        original=None,
        sub_protocol=SUB_PROTOCOL,
    )


class StaticRoutes:
    """The static routes of all instances. A listener of the tables that their next hops are in."""

    def __init__(self, graph: ConfigGraph, instances: Instances) -> None:
        self.source = Source("Static", Protocol.STATIC)
        #: An agent's number of an instance, by name.
        self.instance_id: Callable[[Source, str], int | None] = lambda _, __: None
        self._graph = graph
        self._instances = instances
        #: By instance name: its entries, by family and prefix.
        self._entries: dict[str, dict[tuple[Family, bytes], StaticRoute]] = {}
        #: By instance name: the path ids said, by family and prefix.
        self._said: dict[str, dict[tuple[Family, bytes], set[int]]] = {}
        instances.on_deleted.append(self._forget)

    def graph_changed(self, delta: GraphDelta) -> None:
        """The configuration changed, and the instances have followed."""
        for type_, name in delta.nodes:
            if type_ == "routing-instance":
                node = self._graph.node((type_, name))
                resource = node.resource if node is not None else None
                if isinstance(resource, RoutingInstance):
                    given = resource.static_route_entries
                    self.configure(name, (given.route if given is not None else None) or ())

    def configure(self, name: str, given: Iterable[StaticRouteType]) -> None:
        """Make an instance's entries exactly these. The first of a prefix counts."""
        instance = self._instances.get(name)
        if instance is None:
            return
        entries: dict[tuple[Family, bytes], StaticRoute] = {}
        for each in given:
            try:
                entry = static_route(each)
            except ValueError as error:
                _log.error("static_route_unusable", instance=name, text=str(error))
                continue
            entries.setdefault((entry.family, entry.key), entry)
        before = self._entries.pop(name, {})
        if entries:
            self._entries[name] = entries
        self._listen(instance, {family for family, _ in entries})
        for where in before.keys() | entries.keys():
            if before.get(where) != entries.get(where):
                self._say(instance, where)

    def routes_changed(self, table: Table, routes: list[Route]) -> None:
        """Host routes may have come, changed or gone."""
        instance = self._instances.get(table.instance)
        if instance is None:
            return
        keys = {route.key for route in routes}
        for where, entry in self._entries.get(table.instance, {}).items():
            if entry.family == table.family and entry.host in keys:
                self._say(instance, where)

    def registered(self, name: str) -> None:
        """An agent's number of an instance came, changed or went."""
        instance = self._instances.get(name)
        if instance is not None:
            for where in self._entries.get(name, ()):
                self._say(instance, where)

    def _listen(self, instance: Instance, families: set[Family]) -> None:
        for family in (INET, INET6):
            listeners = instance.tables[family].listeners
            if family in families and self not in listeners:
                listeners.append(self)
            elif family not in families and self in listeners:
                listeners.remove(self)

    def _say(self, instance: Instance, where: tuple[Family, bytes]) -> None:
        """Report what an entry's paths are now; none if there is no such entry."""
        family, key = where
        table = instance.tables[family]
        entry = self._entries.get(instance.name, {}).get(where)
        host = table.get(entry.host) if entry is not None else None
        paths = {}
        if entry is not None:
            number_of = partial(self._number_of, instance.name)
            paths = static_paths(entry, host, self.source, number_of)
        said = self._said.setdefault(instance.name, {})
        for number in said.pop(where, set()) - paths.keys():
            table.withdraw(key, self.source, number)
        for path in paths.values():
            table.add(key, path)
        if paths:
            said[where] = set(paths)

    def _number_of(self, instance: str, source: Source) -> int | None:
        return self.instance_id(source, instance)

    def _forget(self, instance: Instance) -> None:
        self._entries.pop(instance.name, None)
        self._said.pop(instance.name, None)
