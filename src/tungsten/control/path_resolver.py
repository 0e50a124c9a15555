"""Paths that lead to an address inside a VRF, and what they become over the route to it.

The next hop of such a path is no end of a tunnel, so nobody can send to it: it stays in the table
as it was said, with the flag ``ResolveNexthop``, and is not used. Beside it is one path
(``ResolvedPath``) for each equal-cost path of the host route to the address, as far as that was
said by agents or came over BGP:

======================================================  ========================================
next hop, label, distinguisher                          of the host route
encapsulation, security groups, tags, load balance, ..  of the host route, whatever was said
route targets, OriginVn, site of origin                 as said
AS path, ORIGIN, MED, communities                       as said
LOCAL_PREF                                              as said; if not, of the host route
======================================================  ========================================

So who says such a path (a workload, for one) decides where it leads within its network, and nothing
of how it is protected. A resolved path is itself no way to a next hop: two could hold each other
up.

What is reported is a function of what was said and of the host routes. A changed host route
concerns the paths that lead to it, which are found by its key.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import replace

from msgspec import structs

from .paths import ATTRIBUTES, Path, PathFlag, Protocol, Source, equal_cost, in_order
from .static_routes import distinguisher
from .tables import Route, Table

_ORIGIN_VN = 0x71
_PRIVATE = (0x80, 0x82)
#: Kinds with a number of an administrator's, as route targets are (RFC 4360 3.1, 3.2; RFC 5668).
_ADMINISTERED = (0, 1, 2)
_NOT_TRANSITIVE = 0x40
_MAPPED = bytes(10) + b"\xff\xff"


def resolved(
    said: Path, host: Route | None, number_of: Callable[[Source], int | None]
) -> dict[int, Path]:
    """What a path becomes over a host route, by path id; 0 is not among them.

    ``number_of`` tells which number an agent has of the instance that the path is in.
    """
    found: dict[int, Path] = {}
    usable = (path for path in (host.paths if host is not None else ()) if _leads(path))
    for path in equal_cost(in_order(usable)):
        number = _number(path.attributes.next_hop)
        if number and number not in found:
            found[number] = _over(said, path, number, distinguisher(path, number_of))
    return found


def _leads(path: Path) -> bool:
    learnt = path.source.protocol in (Protocol.XMPP, Protocol.BGP)
    return learnt and not path.flags & PathFlag.RESOLVED


def _number(next_hop: bytes) -> int:
    """A path id by which next hops are told apart: an IPv4 address is its own."""
    if len(next_hop) == 16 and next_hop[:12] == _MAPPED:
        next_hop = next_hop[12:]
    return int.from_bytes(next_hop, "big") if len(next_hop) == 4 else zlib.crc32(next_hop)


def _over(said: Path, way: Path, number: int, rd: bytes) -> Path:
    mine = said.attributes
    theirs = way.attributes
    extended = [c for c in theirs.extended_communities if not _is_of_route(c)]
    extended += [c for c in mine.extended_communities if _is_of_route(c)]
    preference = mine.local_preference
    attributes = structs.replace(
        mine,
        next_hop=theirs.next_hop,
        local_preference=theirs.local_preference if preference is None else preference,
        extended_communities=tuple(extended),
    )
    flags = said.flags & ~PathFlag.RESOLVE_NEXT_HOP | way.flags & PathFlag.LLGR_STALE
    return replace(
        said,
        attributes=ATTRIBUTES.intern(attributes),
        label=way.label,
        rd=rd,
        path_id=number,
        flags=flags | PathFlag.RESOLVED,
    )


def _is_of_route(community: bytes) -> bool:
    """Whether it tells of the route, where others tell of the way to it."""
    if community[0] in _PRIVATE:
        return community[1] == _ORIGIN_VN
    return community[0] & ~_NOT_TRANSITIVE in _ADMINISTERED


class PathResolver:
    """The paths of one table that lead to addresses in it.

    Its owner tells it of changed routes, as a listener of the table.
    """

    def __init__(self, table: Table, number_of: Callable[[Source], int | None]) -> None:
        self.table = table
        self._number_of = number_of
        #: By key and source: the path as said, its host route's key, and the path ids reported.
        self._said: dict[tuple[bytes, Source], tuple[Path, bytes, set[int]]] = {}
        self._by_host: dict[bytes, dict[tuple[bytes, Source], None]] = {}

    def say(self, key: bytes, path: Path, host: bytes) -> None:
        """Report a path, which leads to what the host route of key ``host`` leads to.

        A source says one path of each route; it takes the place of a former one.
        """
        if path.path_id:
            raise ValueError("a path that is to be resolved has path id 0")
        identity = (key, path.source)
        before = self._forget(identity)
        said = replace(path, flags=path.flags | PathFlag.RESOLVE_NEXT_HOP)
        self._said[identity] = (said, host, before)
        self._by_host.setdefault(host, {})[identity] = None
        self._report(identity)

    def withdraw(self, key: bytes, source: Source) -> None:
        """Take back what a source said of a route; nothing, if it said nothing."""
        for number in self._forget((key, source)):
            self.table.withdraw(key, source, number)

    def routes_changed(self, routes: Iterable[Route]) -> None:
        """Some of the routes may be host routes that paths lead to."""
        for route in routes:
            for identity in list(self._by_host.get(route.key, ())):
                self._report(identity)

    def renew(self) -> None:
        """Report all anew: the numbers that agents have of the instance changed."""
        for identity in list(self._said):
            self._report(identity)

    def close(self) -> None:
        """Take everything back."""
        for key, source in list(self._said):
            self.withdraw(key, source)

    def _forget(self, identity: tuple[bytes, Source]) -> set[int]:
        """The path ids that were reported, of what is no longer said."""
        entry = self._said.pop(identity, None)
        if entry is None:
            return set()
        _, host, numbers = entry
        del self._by_host[host][identity]
        if not self._by_host[host]:
            del self._by_host[host]
        return numbers

    def _report(self, identity: tuple[bytes, Source]) -> None:
        key, source = identity
        said, host, before = self._said[identity]
        paths = {0: said, **resolved(said, self.table.get(host), self._number_of)}
        for number in before - paths.keys():
            self.table.withdraw(key, source, number)
        for path in paths.values():
            self.table.add(key, path)
        self._said[identity] = (said, host, set(paths))
