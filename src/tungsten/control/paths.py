"""Paths: who says a route exists, what is said about it, and which of several is better.

A :class:`Path` is one source's word about one route. It is a frozen value: a source that says
something else replaces its path. The *source* is whoever spoke (:class:`Source`, compared by
identity): an agent, a BGP peer, or this node itself. What is said are interned
:class:`~tungsten.bgp.attributes.PathAttributes`, plus what differs among routes that share
attributes: labels, the distinguisher, flags.

A *primary* path was said by its source about this route. A *secondary* path is a copy that
replication made of a primary one; ``origin`` names the route it was copied from. Within a route
a path is identified by source, path id and origin (:attr:`Path.identity`).

``label`` is a number, an MPLS label or a VNI as the encapsulation has it; turning it into the
24 bits of an NLRI is up to whoever writes one.

The order of preference is upstream's (local preference first, then mobility, AS path...);
paths that tie through the MED step are equal-cost and used together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, Flag
from functools import cmp_to_key

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, path_length
from tungsten.bgp.attributes import AttributeStore, PathAttributes

#: One object for each distinct set of attributes in this process.
ATTRIBUTES = AttributeStore()

NO_RD = bytes(8)
DEFAULT_LOCAL_PREFERENCE = 100
_ETREE_LEAF = b"\x06\x05\x01"


class Protocol(Enum):
    """How a source speaks; the value is what operators see."""

    XMPP = "XMPP"
    BGP = "BGP"
    LOCAL = "Local"
    AGGREGATE = "Aggregate"
    STATIC = "StaticRoute"
    SERVICE_CHAIN = "ServiceChain"


_RANK = {
    Protocol.LOCAL: 0,
    Protocol.AGGREGATE: 1,
    Protocol.STATIC: 2,
    Protocol.SERVICE_CHAIN: 3,
    Protocol.XMPP: 4,
    Protocol.BGP: 4,
}


@dataclass(slots=True, eq=False, weakref_slot=True)
class Source:
    """Someone who reports routes. ``address`` and ``router_id`` are packed IPv4 addresses.

    ``external`` tells an eBGP peer, ``joins_trees`` whether broadcasts reach what is behind it
    over replication trees, where that takes part in them. Its owner may change the fields between
    sessions.
    """

    name: str
    protocol: Protocol
    address: bytes = b""
    router_id: bytes = b""
    external: bool = False
    joins_trees: bool = True

    @property
    def is_local(self) -> bool:
        """Whether no peer stands behind it."""
        return self.protocol not in (Protocol.XMPP, Protocol.BGP)


def rank(source: Source) -> int:
    """How near to us the source is: among equals, the lower one is preferred."""
    return _RANK[source.protocol]


class PathFlag(Flag):
    """What is special about a path."""

    NONE = 0
    STALE = 1
    LLGR_STALE = 2
    AS_PATH_LOOPED = 4
    NO_NEIGHBOR_AS = 8
    ORIGINATOR_ID_LOOPED = 16
    CLUSTER_LIST_LOOPED = 32
    NO_TUNNEL_ENCAP = 64
    ROUTING_POLICY_REJECT = 128
    RESOLVE_NEXT_HOP = 256
    ALIASED = 512
    RESOLVED = 1024


#: A path with any of these is kept and shown, but not used.
INFEASIBLE = (
    PathFlag.AS_PATH_LOOPED
    | PathFlag.NO_NEIGHBOR_AS
    | PathFlag.ORIGINATOR_ID_LOOPED
    | PathFlag.CLUSTER_LIST_LOOPED
    | PathFlag.NO_TUNNEL_ENCAP
    | PathFlag.ROUTING_POLICY_REJECT
    | PathFlag.RESOLVE_NEXT_HOP
)

#: Table name and route key of the primary route that a secondary path was copied from.
PathOrigin = tuple[str, bytes]
PathIdentity = tuple[Source, int, PathOrigin | None]


@dataclass(frozen=True, slots=True)
class Path:
    """One word about one route.

    ``rd`` is the distinguisher the route gets in VPN tables (in a VRF: that of the VPN route
    it came from). ``modified`` is when it was said, on the wall clock; it does not count in
    comparisons. ``original`` are the attributes that were said, where routing policy
    (:mod:`tungsten.control.routing_policy`) made others of them; a table sets it, and takes no
    notice of it in what it is given.
    """

    source: Source
    attributes: PathAttributes
    label: int = 0
    label2: int = 0
    rd: bytes = NO_RD
    path_id: int = 0
    flags: PathFlag = PathFlag.NONE
    origin: PathOrigin | None = None
    sub_protocol: str = ""
    esi: bytes = bytes(10)
    modified: float = 0.0
    original: PathAttributes | None = None

    @property
    def identity(self) -> PathIdentity:
        """What tells it from the other paths of a route."""
        return (self.source, self.path_id, self.origin)

    @property
    def is_primary(self) -> bool:
        """Whether its source said it about this very route."""
        return self.origin is None

    @property
    def is_feasible(self) -> bool:
        """Whether it may be used."""
        return self.flags is PathFlag.NONE or not self.flags & INFEASIBLE

    @property
    def is_stale(self) -> bool:
        """Whether it is left over from a session that was lost."""
        return bool(self.flags & PathFlag.STALE)

    @property
    def said(self) -> PathAttributes:
        """The attributes that were said, whatever policy made of them."""
        return self.attributes if self.original is None else self.original

    def as_said(self) -> Path:
        """The path without what routing policy made of it."""
        flags = self.flags & ~PathFlag.ROUTING_POLICY_REJECT
        if self.original is None and flags == self.flags:
            return self
        return replace(self, attributes=self.said, flags=flags, original=None)

    def same_as(self, other: Path) -> bool:
        """Whether the same was said (when, and what policy makes of it, does not matter)."""
        return (
            self.identity == other.identity
            and self.said is other.said
            and self.label == other.label
            and self.label2 == other.label2
            and self.rd == other.rd
            and (self.flags == other.flags or self.as_said().flags == other.as_said().flags)
            and self.sub_protocol == other.sub_protocol
            and self.esi == other.esi
        )


def local_preference(path: Path) -> int:
    """LOCAL_PREF, or its default when there is none."""
    value = path.attributes.local_preference
    return DEFAULT_LOCAL_PREFERENCE if value is None else value


def neighbor_as(path: Path) -> int:
    """The leftmost AS of the path, 0 when there is none or it is a set."""
    segments = path.attributes.as_path
    if segments and segments[0].kind == AS_SEQUENCE and segments[0].asns:
        return segments[0].asns[0]
    return 0


def is_llgr_stale(path: Path) -> bool:
    """Stale for long, by our own flag or by its community."""
    return bool(path.flags & PathFlag.LLGR_STALE) or (
        communities.LLGR_STALE in path.attributes.communities
    )


def compare_cost(a: Path, b: Path) -> int:
    """Negative when ``a`` is preferred, 0 when both are equal-cost (steps up to MED)."""
    if a.attributes is b.attributes and a.flags == b.flags:
        return 0
    x, y = a.attributes, b.attributes
    leaf_a, leaf_b = _is_leaf(x), _is_leaf(y)
    sequence_a, sticky_a = communities.mac_mobility_of(x.extended_communities) or (0, False)
    sequence_b, sticky_b = communities.mac_mobility_of(y.extended_communities) or (0, False)
    both_chained = bool(x.origin_vn_path and y.origin_vn_path)
    length_a, length_b = (
        (0, 0) if both_chained else (path_length(x.as_path), path_length(y.as_path))
    )
    first = (
        not a.is_feasible,
        -local_preference(a),
        leaf_a,
        not sticky_a,
        -sequence_a,
        is_llgr_stale(a),
        length_a,
        x.origin,
    )
    second = (
        not b.is_feasible,
        -local_preference(b),
        leaf_b,
        not sticky_b,
        -sequence_b,
        is_llgr_stale(b),
        length_b,
        y.origin,
    )
    if first != second:
        return -1 if first < second else 1
    neighbor = neighbor_as(a)
    if neighbor and neighbor == neighbor_as(b):
        return (x.med or 0) - (y.med or 0)
    return 0


def compare(a: Path, b: Path) -> int:
    """Negative when ``a`` is preferred; a total order over the paths of a route."""
    cost = compare_cost(a, b)
    if cost:
        return cost
    first, second = _tie_breakers(a), _tie_breakers(b)
    if first != second:
        return -1 if first < second else 1
    return 0


def _tie_breakers(path: Path) -> tuple[object, ...]:
    attributes, source = path.attributes, path.source
    chained = path_length(attributes.as_path) if attributes.origin_vn_path else 0
    return (
        bool(path.flags & PathFlag.ALIASED),
        chained,
        not source.is_local,
        rank(source),
        source.protocol is Protocol.BGP,
        source.external is False,
        path.path_id,
        attributes.originator_id or source.router_id,
        len(attributes.cluster_list),
        source.address,
        path.origin is not None,
        path.origin or ("", b""),
        source.name,
    )


_SORT_KEY = cmp_to_key(compare)


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Paths from best to worst."""
    return sorted(paths, key=_SORT_KEY)


def equal_cost(ordered: list[Path]) -> list[Path]:
    """The leading paths that are used together: feasible, and as good as the first."""
    if not ordered or not ordered[0].is_feasible:
        return []
    best = ordered[0]
    return [path for path in ordered if compare_cost(best, path) == 0 and path.is_feasible]


def _is_leaf(attributes: PathAttributes) -> bool:
    return any(c[:3] == _ETREE_LEAF for c in attributes.extended_communities)
