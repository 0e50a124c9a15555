"""Which routes a ``ShowRouteReq`` asks for, and how each is shown.

Everything is read from the tables that peers are served from, at the moment it is asked. A page
holds the first :data:`PAGE` matching routes after a position; the position is the table's name
and the route's place in the order routes are shown in (by address, then length). The routes of
a walk are those that were there at its first page, each shown as it is now. Looking through a
large table lets go of the event loop between slices.

Matching, as clients know it: table and instance by exact name; family by name (``l3vpn`` or
``inetvpn``, ``evpn``...); source by exact name; protocol without regard to case. With
``longer_match`` the routes within a prefix, with ``shorter_match`` those that cover it; with
neither the prefix is a *pattern* looked for in the route's text. A pattern is plain text in
which ``.*`` stands for anything and ``^`` and ``$`` for the ends: enough for what people type,
and matched in linear time.
"""

from __future__ import annotations

import asyncio
import re
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from tungsten.bgp import communities
from tungsten.bgp.as_path import path_text
from tungsten.bgp.attributes import PathAttributes, PmsiTunnel
from tungsten.bgp.families import INET, INET6, INET6_VPN, INET_VPN
from tungsten.bgp.nlri import mpls_label, nlri_text, prefix_address
from tungsten.introspect import RequestError

from .instances import Instances
from .introspect_structs import (
    ShowPmsiTunnel,
    ShowRoute,
    ShowRoutePath,
    ShowRouteReq,
    ShowRouteTableSummary,
    ShowTableListener,
)
from .paths import Path, PathFlag, local_preference
from .tables import Rib, Route, Table

PAGE = 1000
SLICE = 2000
#: Seconds after which a walk that nobody goes on with is forgotten, and most walks at once.
WALK_REST = 60.0
MOST_WALKS = 8

#: How operators name the family of a table.
FAMILY_SUFFIXES = {
    "inet": "inet.0",
    "inet6": "inet6.0",
    "l3vpn": "l3vpn.0",
    "inetvpn": "l3vpn.0",
    "inet-vpn": "l3vpn.0",
    "l3vpn-inet6": "l3vpn-inet6.0",
    "evpn": "evpn.0",
    "e-vpn": "evpn.0",
    "rtarget": "rtarget.0",
    "mvpn": "mvpn.0",
    "ermvpn": "ermvpn.0",
}

_PROTOCOL_ALIASES = {"static": "staticroute"}

_FLAG_NAMES = {
    PathFlag.STALE: "Stale",
    PathFlag.LLGR_STALE: "LlgrStale",
    PathFlag.AS_PATH_LOOPED: "AsPathLooped",
    PathFlag.NO_NEIGHBOR_AS: "NoNeighborAs",
    PathFlag.ORIGINATOR_ID_LOOPED: "OriginatorIdLooped",
    PathFlag.CLUSTER_LIST_LOOPED: "ClusterListLooped",
    PathFlag.NO_TUNNEL_ENCAP: "NoTunnelEncap",
    PathFlag.ROUTING_POLICY_REJECT: "RoutingPolicyReject",
    PathFlag.RESOLVE_NEXT_HOP: "ResolveNexthop",
    PathFlag.ALIASED: "AliasedPath",
    PathFlag.RESOLVED: "ResolvedPath",
}

_ORIGINS = {0: "igp", 1: "egp", 2: "incomplete"}
_INGRESS_REPLICATION = 6
_TUNNEL_TYPES = {_INGRESS_REPLICATION: "IngressReplication"}

Position = tuple[str, bytes]
START: Position = ("", b"")


def stamp(when: float) -> str:
    """A time as clients parse it: UTC, always with a fraction. Empty for never."""
    return f"{datetime.fromtimestamp(when, UTC):%Y-%b-%d %H:%M:%S.%f}" if when > 0 else ""


def route_stamp(when: float) -> str:
    """:func:`stamp` where a client needs a time whatever happened: never is the epoch."""
    return stamp(when) or f"{datetime.fromtimestamp(0, UTC):%Y-%b-%d %H:%M:%S.%f}"


# --- which routes


Matches = Callable[[Route], bool]


def pattern(text: str) -> Callable[[str], bool]:
    """A test for texts that contain ``text``, which may use ``.*``, ``^`` and ``$``."""
    anchored_start, anchored_end = text.startswith("^"), text.endswith("$")
    body = text.removeprefix("^").removesuffix("$").replace("\\", "")
    pieces = body.split(".*")

    def found(candidate: str) -> bool:
        at = 0
        for number, piece in enumerate(pieces):
            if number == 0 and anchored_start:
                if not candidate.startswith(piece):
                    return False
                at = len(piece)
                continue
            if number == len(pieces) - 1 and anchored_end:
                return candidate.endswith(piece) and len(candidate) - len(piece) >= at
            where = candidate.find(piece, at)
            if where < 0:
                return False
            at = where + len(piece)
        return not (anchored_end and len(pieces) == 1 and anchored_start) or at == len(candidate)

    return found


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise RequestError(
            f"prefix {text!r} is not an IP prefix, which longer_match and shorter_match need"
        ) from error


def _prefix_of(route: Route) -> tuple[int, int, int] | None:
    """(IP version, address as a number, length) of a plain IP route; None for others."""
    family = route.table.family
    if family not in (INET, INET6):
        return None
    return (
        4 if family == INET else 6,
        int.from_bytes(prefix_address(route.key, family.afi), "big"),
        route.key[0],
    )


def _within(route: Route, network: IPv4Network | IPv6Network) -> bool:
    found = _prefix_of(route)
    if found is None or found[0] != network.version or found[2] < network.prefixlen:
        return False
    shift = network.max_prefixlen - network.prefixlen
    return found[1] >> shift == int(network.network_address) >> shift


def _covers(route: Route, network: IPv4Network | IPv6Network) -> bool:
    found = _prefix_of(route)
    if found is None or found[0] != network.version or found[2] > network.prefixlen:
        return False
    shift = network.max_prefixlen - found[2]
    return found[1] >> shift == int(network.network_address) >> shift


def prefix_filter(form: ShowRouteReq) -> Matches:
    """The test that the prefix of a request stands for."""
    if not form.prefix:
        return lambda route: True
    if form.longer_match or form.shorter_match:
        network = _network(form.prefix)
        longer, shorter = form.longer_match, form.shorter_match
        return lambda route: (
            (longer and _within(route, network)) or (shorter and _covers(route, network))
        )
    found = pattern(form.prefix)
    return lambda route: found(route_text(route))


def path_filter(form: ShowRouteReq) -> Callable[[Path], bool]:
    """The test that source and protocol of a request stand for."""
    protocol = form.protocol.lower()
    protocol = _PROTOCOL_ALIASES.get(protocol, protocol)
    source = form.source

    def wanted(path: Path) -> bool:
        return (not protocol or path.source.protocol.value.lower() == protocol) and (
            not source or path.source.name == source
        )

    return wanted


def chosen_tables(rib: Rib, form: ShowRouteReq) -> list[Table]:
    """The tables of a request, by name."""
    suffix = FAMILY_SUFFIXES.get(form.family.lower(), "") if form.family else ""
    if form.family and not suffix:
        raise RequestError(
            f"family {form.family!r} is not one of {', '.join(sorted(FAMILY_SUFFIXES))}"
        )
    return [
        table
        for name, table in sorted(rib.tables.items())
        if (not form.routing_table or name == form.routing_table)
        and (not form.routing_instance or table.instance == form.routing_instance)
        and (not suffix or _has_suffix(name, suffix))
    ]


def _has_suffix(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith(f".{suffix}")


# --- in which order


def place(route: Route) -> bytes:
    """Where a route stands in its table: IP routes by address, then length; others by key."""
    key, family = route.key, route.table.family
    if family in (INET, INET6):
        return prefix_address(key, family.afi) + key[:1]
    if family in (INET_VPN, INET6_VPN):
        return key[:8] + prefix_address(key[8:], family.afi) + key[8:9]
    return key


@dataclass(frozen=True)
class Found:
    """A matching route, with the paths that match."""

    route: Route
    paths: Sequence[Path]


Run = list[tuple[bytes, Route]]


@dataclass
class Walk:
    """The routes of a table that a request asks for, as they were when its first page was.

    In sorted runs, each small enough to be made without holding up others. ``counts`` are those
    of the whole table.
    """

    runs: list[Run]
    counts: ShowRouteTableSummary
    used_at: float

    def after(self, start: bytes | None) -> Iterator[tuple[bytes, Route]]:
        """The routes behind a place, in order."""
        if start is None:
            return merge(*self.runs, key=_first)
        tails = (run[bisect_right(run, start, key=_first) :] for run in self.runs)
        return merge(*(tail for tail in tails if tail), key=_first)


class Walks:
    """Walks that clients are on, page after page; forgotten when they rest for long."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._walks: dict[tuple[str, ShowRouteReq], Walk] = {}
        self._now = now

    async def of(self, table: Table, form: ShowRouteReq, *, first: bool) -> Walk:
        """The walk of a request through a table; begun anew for its ``first`` page."""
        now = self._now()
        self._walks = {
            key: walk for key, walk in self._walks.items() if now - walk.used_at < WALK_REST
        }
        walk = None if first else self._walks.get((table.name, form))
        if walk is None:
            walk = Walk(await _runs(table, form), await count_paths(table), now)
        walk.used_at = now
        return walk

    def keep(self, table: Table, form: ShowRouteReq, walk: Walk) -> None:
        """A page of the walk was shown and there is more."""
        while len(self._walks) >= MOST_WALKS:
            del self._walks[next(iter(self._walks))]
        self._walks[table.name, form] = walk


async def _runs(table: Table, form: ShowRouteReq) -> list[Run]:
    matches, wanted = prefix_filter(form), path_filter(form)
    runs = []
    async for routes in _slices(table):
        run = [
            (place(route), route)
            for route in routes
            if any(wanted(path) for path in route.paths) and matches(route)
        ]
        if run:
            run.sort(key=_first)
            runs.append(run)
    return runs


async def find_routes(
    walks: Walks, tables: Sequence[Table], form: ShowRouteReq, after: Position, limit: int
) -> tuple[list[Found], dict[Table, Walk]]:
    """The first ``limit`` routes of a request after a position, and the walks they are of."""
    wanted = path_filter(form)
    found: list[Found] = []
    used: dict[Table, Walk] = {}
    for table in tables:
        if table.name < after[0]:
            continue
        start = after[1] if table.name == after[0] else None
        walk = used[table] = await walks.of(table, form, first=start is None)
        for _, route in walk.after(start):
            paths = [path for path in route.paths if wanted(path)]
            if paths:
                found.append(Found(route, paths))
                if len(found) >= limit:
                    return found, used
    return found, used


def _first(item: tuple[bytes, Route]) -> bytes:
    return item[0]


async def _slices(table: Table) -> AsyncIterator[list[Route]]:
    """The routes that the table has now, in slices; others may work in between."""
    snapshot = list(table.routes())
    for start in range(0, len(snapshot), SLICE):
        if start:
            await asyncio.sleep(0)
        yield snapshot[start : start + SLICE]


async def count_paths(table: Table) -> ShowRouteTableSummary:
    """How many routes and paths of which kind a table has."""
    prefixes = primary = secondary = infeasible = stale = llgr = 0
    async for routes in _slices(table):
        for route in routes:
            prefixes += bool(route.paths)
            for path in route.paths:
                if path.is_primary:
                    primary += 1
                else:
                    secondary += 1
                infeasible += not path.is_feasible
                stale += path.is_stale
                llgr += bool(path.flags & PathFlag.LLGR_STALE)
    return ShowRouteTableSummary(
        name=table.name,
        prefixes=prefixes,
        paths=primary + secondary,
        primary_paths=primary,
        secondary_paths=secondary,
        infeasible_paths=infeasible,
        stale_paths=stale,
        llgr_stale_paths=llgr,
        listeners=len(table.listeners),
    )


def table_listeners(table: Table) -> list[ShowTableListener]:
    """Who is told of changes of a table."""
    return [
        ShowTableListener(id=number, name=getattr(each, "name", type(each).__name__))
        for number, each in enumerate(table.listeners)
    ]


# --- how they are shown


def route_text(route: Route) -> str:
    """A route as tables show it."""
    return nlri_text(route.table.family, route.nlri)


def show_route(found: Found, instances: Instances, asn: int) -> ShowRoute:
    """A route with the chosen paths."""
    modified = max((path.modified for path in found.paths), default=0.0)
    return ShowRoute(
        prefix=route_text(found.route),
        last_modified=route_stamp(modified),
        paths=[show_path(found.route, path, instances, asn) for path in found.paths],
    )


def show_path(route: Route, path: Path, instances: Instances, asn: int) -> ShowRoutePath:
    """A path, with everything it says."""
    attributes = path.attributes
    extended = attributes.extended_communities
    protocol = path.source.protocol.value
    if path.sub_protocol:
        protocol += f" ({path.sub_protocol})"
    primary = path.is_primary
    mobility = communities.mac_mobility_of(extended)
    return ShowRoutePath(
        protocol=protocol,
        last_modified=route_stamp(path.modified),
        local_preference=local_preference(path),
        med=attributes.med or 0,
        local_as=0 if path.source.is_local else asn,
        peer_router_id=_ip(path.source.router_id),
        source="" if path.source.is_local else path.source.name,
        as_path=path_text(attributes.as_path),
        next_hop=_ip(attributes.next_hop),
        label=path.label,
        origin=_ORIGINS.get(int(attributes.origin), str(int(attributes.origin))),
        replicated=not primary,
        primary_table=path.origin[0] if path.origin is not None else "",
        secondary_tables=_copies(route, path) if primary else [],
        communities=_community_texts(attributes),
        origin_vn=_origin_network(extended, instances),
        flags=[name for flag, name in _FLAG_NAMES.items() if path.flags & flag] or ["None"],
        tunnel_encap=list(communities.encapsulations_of(extended)),
        sequence_no=str(mobility[0]) if mobility is not None else "",
        origin_vn_path=[communities.extended_text(each) for each in attributes.origin_vn_path],
        pmsi_tunnel=_pmsi(attributes.pmsi_tunnel),
        cluster_list=[_ip(each) for each in attributes.cluster_list],
        originator_id=_ip(attributes.originator_id or b""),
    )


def _ip(packed: bytes) -> str:
    """A packed address as text; empty for none, hexadecimal for what is no address."""
    if len(packed) == 4:
        return str(IPv4Address(packed))
    if len(packed) == 16:
        return str(IPv6Address(packed))
    return packed.hex()


def _copies(route: Route, path: Path) -> list[str]:
    """The tables that a primary path was copied to."""
    return sorted(
        {
            table.name
            for table, _, (source, path_id, _) in route.replicas
            if source is path.source and path_id == path.path_id
        }
    )


def _community_texts(attributes: PathAttributes) -> list[str]:
    return [
        *(communities.community_text(each) for each in attributes.communities),
        *(communities.extended_text(each) for each in attributes.extended_communities),
        *(communities.large_community_text(each) for each in attributes.large_communities),
    ]


def _origin_network(extended: Sequence[bytes], instances: Instances) -> str:
    origin = communities.origin_vn_of(extended)
    if origin is None:
        return ""
    return instances.network_name(origin[1]) or "unresolved"


def _pmsi(tunnel: PmsiTunnel | None) -> ShowPmsiTunnel | None:
    if tunnel is None:
        return None
    # With ingress replication over MPLS the label is the upper 20 bits (RFC 7432 section 11.2).
    return ShowPmsiTunnel(
        type=_TUNNEL_TYPES.get(tunnel.type, str(tunnel.type)),
        identifier=_ip(tunnel.endpoint),
        label=mpls_label(tunnel.label_field),
        flags=[f"{tunnel.flags:#x}"] if tunnel.flags else ["None"],
    )


_HEX = re.compile(r"(?:[0-9a-f]{2})*\Z")


def position_from_text(table: str, place_hex: str) -> Position:
    """A position out of a cursor. Raises :class:`RequestError`."""
    if not _HEX.match(place_hex):
        raise RequestError("the cursor does not name a place in a table")
    return table, bytes.fromhex(place_hex)
