"""What the BGP neighbours of one table have been told, and what they are still to be told.

A :class:`BgpRibOut` is one table for one export policy: its members are the neighbours with
that policy, and all that differs among them is who is *in the audience* of a route: not the
neighbour that a route came from, and not one that asked for other route targets (RFC 4684). A
route's attributes and NLRI are made once; an UPDATE is encoded once for all members that need
the same routes with the same attributes, and the same octets go to each.

State, per route key: the item (attributes, NLRI, audience) to be told; ``_holders``, the members
that hold something for the key; ``_pending``, those that are to hear of it. Sets of members are
bits of an integer. A member in the audience gets the item; a holder outside it gets a withdrawal;
nobody else hears anything. A member that reads slowly keeps its bits pending and gets the newest
state of each route when it is ready: nothing is queued for it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.errors import UsageError
from tungsten.bgp.families import INET, Family
from tungsten.bgp.nlri import encode_nlri
from tungsten.bgp.update import pack_reach, pack_unreach

from .bgp_routes import Exporter, Unusable, told_nlri
from .paths import ATTRIBUTES, Source
from .tables import Route, Table, nlri_of

KEYS_PER_FLUSH = 4096


class Member(Protocol):
    """A neighbour as a member of a RIB-out."""

    @property
    def source(self) -> Source:
        """What it says itself is not told to it."""
        ...

    def is_ready(self, family: Family) -> bool:
        """Whether it takes messages of a family now."""
        ...

    @property
    def is_choosy(self) -> bool:
        """Whether it constrains route targets. May change before :meth:`BgpRibOut.refilter`."""
        ...

    def wants(self, targets: frozenset[bytes]) -> bool:
        """Whether it asked for routes with these route targets."""
        ...

    def deliver(self, octets: bytes, messages: int) -> None:
        """Send it so many whole messages."""
        ...


@dataclass(slots=True)
class _Item:
    """What is to be told of a route, and to whom."""

    attributes: PathAttributes
    nlri: bytes
    source: Source
    targets: frozenset[bytes]
    audience: int = 0


class BgpRibOut:
    """The fan-out of one table to the neighbours of one policy.

    ``is_client`` tells whether a source is a route reflection client of ours; ``on_work`` is
    called when there is something to flush.
    """

    def __init__(
        self,
        table: Table,
        exporter: Exporter,
        is_client: Callable[[Source], bool],
        on_work: Callable[[], None],
    ) -> None:
        self.table = table
        self.exporter = exporter
        self._untold: dict[str, int] = {}
        self._is_client = is_client
        self._on_work = on_work
        self._members: dict[Member, int] = {}
        self._sources: dict[Source, int] = {}
        self._choosy: dict[Member, int] = {}
        self._others = 0
        self._items: dict[bytes, _Item] = {}
        self._holders: dict[bytes, int] = {}
        self._pending: dict[bytes, int] = {}
        self._free: list[int] = []
        table.listeners.append(self)
        self.routes_changed(table, list(table.routes()))

    @property
    def untold(self) -> dict[str, int]:
        """How many routes could not be encoded, by reason."""
        return self._untold

    @property
    def family(self) -> Family:
        """The table's family."""
        return self.table.family

    @property
    def is_empty(self) -> bool:
        """Whether nobody is left to tell."""
        return not self._members

    def close(self) -> None:
        """Stop following the table."""
        if self in self.table.listeners:
            self.table.listeners.remove(self)

    def join(self, member: Member) -> None:
        """Add a member; it is to hear of every route that it may."""
        bit = 1 << (self._free.pop() if self._free else len(self._members))
        self._members[member] = self._sources[member.source] = bit
        self._sort_by_choice()
        for key, item in self._items.items():
            if self._is_for(member, item):
                item.audience |= bit
                self._pending[key] = self._pending.get(key, 0) | bit
        if self._pending:
            self._on_work()

    def leave(self, member: Member) -> None:
        """Remove a member whose session is gone."""
        bit = self._members.pop(member, 0)
        if not bit:
            return
        self._free.append(bit.bit_length() - 1)
        del self._sources[member.source]
        self._sort_by_choice()
        for item in self._items.values():
            item.audience &= ~bit
        for bits in (self._holders, self._pending):
            for key in [key for key, held in bits.items() if held & bit]:
                bits[key] &= ~bit
                if not bits[key]:
                    del bits[key]

    def refresh(self, member: Member) -> None:
        """Tell a member everything again (ROUTE-REFRESH, RFC 2918)."""
        bit = self._members.get(member, 0)
        for key, item in self._items.items():
            if item.audience & bit:
                self._pending[key] = self._pending.get(key, 0) | bit
        if self._pending:
            self._on_work()

    def refilter(self, member: Member, targets: Iterable[bytes] | None) -> None:
        """What a member asks for has changed, as to some route targets or (None) as to all."""
        bit = self._members.get(member, 0)
        if not bit:
            return
        self._sort_by_choice()
        changed = None if targets is None else frozenset(targets)
        for key, item in self._items.items():
            if changed is not None and changed.isdisjoint(item.targets):
                continue
            audience = item.audience & ~bit | (bit if self._is_for(member, item) else 0)
            if audience != item.audience:
                item.audience = audience
                self._pending[key] = self._pending.get(key, 0) | bit
        if self._pending:
            self._on_work()

    def is_behind(self, member: Member) -> bool:
        """Whether something is still to be told to a member."""
        bit = self._members.get(member, 0)
        return any(bits & bit for bits in self._pending.values())

    def count(self, member: Member) -> int:
        """How many routes a member holds."""
        bit = self._members.get(member, 0)
        return sum(1 for held in self._holders.values() if held & bit)

    # --- changes

    def routes_changed(self, table: Table, routes: list[Route]) -> None:
        """Note what is to be told (Listener)."""
        for route in routes:
            self._change(route)
        if self._pending:
            self._on_work()

    def _sort_by_choice(self) -> None:
        """Tell the members that constrain route targets from those that take all."""
        self._choosy = {m: bit for m, bit in self._members.items() if m.is_choosy}
        self._others = sum(self._members.values()) - sum(self._choosy.values())

    def _audience(self, item: _Item) -> int:
        """Who is to be told of an item."""
        audience = self._others
        for member, bit in self._choosy.items():
            if not item.targets or member.wants(item.targets):
                audience |= bit
        return audience & ~self._sources.get(item.source, 0)

    def _is_for(self, member: Member, item: _Item) -> bool:
        if member.source is item.source:
            return False
        return not item.targets or member.wants(item.targets)

    def _make(self, route: Route) -> _Item | None:
        best = route.best
        if best is None or route.key in self.table.contributing:
            return None
        attributes = self.exporter.attributes(best, self._is_client(best.source))
        if attributes is None:
            return None
        try:
            nlri = told_nlri(self.family, route.key, best)
        except Unusable as reason:
            self._untold[str(reason)] = self._untold.get(str(reason), 0) + 1
            return None
        targets = frozenset(communities.route_targets_of(attributes.extended_communities))
        return _Item(attributes, nlri, best.source, targets)

    def _change(self, route: Route) -> None:
        key = route.key
        known, item = self._items.get(key), self._make(route)
        holders = self._holders.get(key, 0)
        if item is None:
            if known is None:
                return
            del self._items[key]
            concerned = holders | self._pending.get(key, 0)
        else:
            item.audience = self._audience(item)
            self._items[key] = item
            if known and known.attributes is item.attributes and known.nlri == item.nlri:
                concerned = item.audience ^ known.audience
            else:
                concerned = item.audience | holders
        if concerned:
            self._pending[key] = self._pending.get(key, 0) | concerned

    # --- sending

    def flush(self) -> bool:
        """Send what members are ready for, up to a batch of routes; whether more can be sent."""
        ready = 0
        for member, bit in self._members.items():
            if member.is_ready(self.family):
                ready |= bit
        if not ready or not self._pending:
            return False
        batch: list[tuple[bytes, int]] = []
        for key, bits in self._pending.items():
            if bits & ready:
                batch.append((key, bits & ready))
                if len(batch) > KEYS_PER_FLUSH:
                    break
        more = len(batch) > KEYS_PER_FLUSH
        gone: dict[int, list[bytes]] = {}
        told: dict[tuple[int, PathAttributes], list[bytes]] = {}
        for key, bits in batch[:KEYS_PER_FLUSH]:
            self._sort_out(key, bits, gone, told)
        for group, nlris in gone.items():
            self._send(group, pack_unreach(self.family, nlris))
        for (group, attributes), nlris in told.items():
            self._announce(group, attributes, nlris)
        return more

    def _sort_out(
        self,
        key: bytes,
        bits: int,
        gone: dict[int, list[bytes]],
        told: dict[tuple[int, PathAttributes], list[bytes]],
    ) -> None:
        """Put a pending route among what is withdrawn and what is announced."""
        item, holders = self._items.get(key), self._holders.get(key, 0)
        audience = item.audience & bits if item is not None else 0
        if item is not None and audience:
            told.setdefault((audience, item.attributes), []).append(item.nlri)
        leaving = bits & holders & ~audience
        if leaving:
            gone.setdefault(leaving, []).append(encode_nlri(nlri_of(self.family, key)))
        holders = (holders | audience) & ~leaving
        if holders:
            self._holders[key] = holders
        else:
            self._holders.pop(key, None)
        left = self._pending[key] & ~bits
        if left:
            self._pending[key] = left
        else:
            del self._pending[key]

    def _announce(self, group: int, attributes: PathAttributes, nlris: list[bytes]) -> None:
        four = self.exporter.policy.four_octet_as
        try:
            block = ATTRIBUTES.block(attributes, four, self.family == INET)
            messages = pack_reach(self.family, block, attributes.next_hop, nlris)
        except UsageError as error:
            reason = str(error)
            self._untold[reason] = self._untold.get(reason, 0) + len(nlris)
            messages = pack_unreach(self.family, nlris)
        self._send(group, messages)

    def _send(self, group: int, messages: list[bytes]) -> None:
        octets = b"".join(messages)
        for member, bit in self._members.items():
            if bit & group:
                member.deliver(octets, len(messages))
