"""What the subscribers of one table have been told, and what they are still to be told.

All subscribers of a table get the same items, so an item is encoded once when its route
changes, a message body once for all who need the same items, and only the head of the message
differs. A route may also be *private*: its item is for one member alone (the flooding list of
a broadcast route).

State, per route key: the present item; the set of members that hold an item for it
(``_holders``); the set of members that are still to hear of it (``_pending``). Sets of members
are bits of an integer. Who has just joined is to hear of everything: that is noted once
(``_fresh``) and worked out when it is sent, for all who joined meanwhile. Likewise the bits of
members that left (``_gone``) are wiped for all of them in one go, before they are used again.
A withdrawal goes to holders only. A member that reads slowly keeps its bits in ``_pending`` and
gets the newest state of each route when it is ready again; nothing is queued for it meanwhile.

A table may come and go with its instance while members stay: :meth:`RibOut.attach` and the
emptying of the old table's routes keep what members hold in step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

from tungsten.xmpp.routes import Item
from tungsten.xmpp.stanzas import (
    ITEMS_PER_RETRACT,
    ITEMS_PER_UPDATE,
    Family,
    encode_item,
    encode_retract,
    route_envelope,
)

from .tables import Route, Table

MESSAGE_BYTES = 256 * 1024
#: Routes times members that are sent in one go, unless one message for each member is more.
DELIVERIES_PER_FLUSH = 65536


class Member(Protocol):
    """A subscriber."""

    @property
    def is_ready(self) -> bool:
        """Whether it takes messages now."""
        ...

    @property
    def name(self) -> str:
        """The identity it is addressed by."""
        ...

    def deliver(self, *message: bytes) -> None:
        """Send it a route message, given in parts."""
        ...


class RibOut:
    """The fan-out of one table.

    ``show`` makes the item of a route; ``owner_of`` names the one member a private route is
    for, or None for a route that all get. ``on_work`` is called when there is something to
    flush. ``related`` adds to changed routes those whose items change with them.
    """

    def __init__(
        self,
        family: Family,
        instance: str,
        sender: str,
        *,
        show: Callable[[Route], Item | None],
        owner_of: Callable[[Route], Member | None],
        on_work: Callable[[RibOut], None],
        related: Callable[[Table, list[Route]], list[Route]] = lambda _, routes: routes,
    ) -> None:
        self.family = family
        self.instance = instance
        self.sender = sender
        self.table: Table | None = None
        self._show = show
        self._owner_of = owner_of
        self._on_work = on_work
        self._related = related
        self._members: dict[Member, int] = {}
        self._heads: dict[Member, tuple[bytes, bytes]] = {}
        self._everyone = 0
        self._fresh = 0
        self._gone = 0
        self._next_bit = 0
        self._free: list[int] = []
        #: Private routes by owners that have not joined.
        self._waiting: WeakKeyDictionary[Member, set[bytes]] = WeakKeyDictionary()
        self._items: dict[bytes, bytes] = {}
        self._ids: dict[bytes, str] = {}
        self._private: dict[bytes, int] = {}
        self._holders: dict[bytes, int] = {}
        self._pending: dict[bytes, int] = {}

    @property
    def members(self) -> list[Member]:
        """Who subscribes."""
        return list(self._members)

    def attach(self, table: Table | None) -> None:
        """Follow a table from now on, or (None) none."""
        if self.table is table:
            return
        if self.table is not None and self in self.table.listeners:
            self.table.listeners.remove(self)
        self.table = table
        if table is not None:
            table.listeners.append(self)
            self.routes_changed(table, list(table.routes()))

    def join(self, member: Member) -> None:
        """Add a member; it is to hear of every route."""
        if member in self._members:
            return
        if not self._free:
            self._free.append(self._next_bit)
            self._next_bit += 1
        bit = 1 << self._free.pop()
        self._members[member] = bit
        self._heads[member] = route_envelope(self.sender, member.name, self.family, self.instance)
        self._everyone |= bit
        self._fresh |= bit
        if self.table is not None:
            found = (self.table.get(key) for key in self._waiting.pop(member, ()))
            private = [r for r in found if r is not None and self._owner_of(r) is member]
            for route in private:
                self._items.pop(route.key, None)
            self.routes_changed(self.table, private)
        self._on_work(self)

    def leave(self, member: Member, *, retract: bool) -> None:
        """Remove a member; with ``retract`` it is told to forget all it holds here."""
        bit = self._members.pop(member, 0)
        if not bit:
            return
        held = [key for key, holders in self._holders.items() if holders & bit] if retract else []
        if held:
            ids = [encode_retract(self._ids[key]) for key in held]
            for start in range(0, len(ids), ITEMS_PER_RETRACT):
                self._send(member, ids[start : start + ITEMS_PER_RETRACT])
        for key in [key for key, owner in self._private.items() if owner == bit]:
            self._private[key] = 0
            self._items.pop(key, None)
            self._waiting.setdefault(member, set()).add(key)
        del self._heads[member]
        self._everyone &= ~bit
        self._fresh &= ~bit
        self._gone |= bit
        self._on_work(self)

    def _wipe(self) -> None:
        """Take the bits of those that left out of all sets."""
        gone, self._gone = self._gone, 0
        for key in [key for key, bits in self._pending.items() if bits & gone]:
            self._clear_pending(key, gone)
        for key in [key for key, bits in self._holders.items() if bits & gone]:
            self._holders[key] &= ~gone
            self._forget(key)
        while gone:
            self._free.append(gone.bit_length() - 1)
            gone &= ~(1 << self._free[-1])

    def _tell_fresh(self, ready: int) -> None:
        """Note for those who joined, and take messages now, that they are to hear of all."""
        fresh = self._fresh & ready
        if not fresh:
            return
        self._fresh &= ~fresh
        for key in self._items:
            bits = fresh & self._private.get(key, fresh)
            if bits:
                self._pending[key] = self._pending.get(key, 0) | bits

    def is_behind(self, member: Member) -> bool:
        """Whether something is still to be told to a member."""
        bit = self._members.get(member, 0)
        return bool(self._fresh & bit) or any(bits & bit for bits in self._pending.values())

    def routes_changed(self, table: Table, routes: list[Route]) -> None:
        """Encode what changed and note who is to hear of it (Listener)."""
        if table is not self.table:
            return
        for route in self._related(table, routes):
            self._change(route, self._everyone)
        if self._pending:
            self._on_work(self)

    def _change(self, route: Route, everyone: int) -> None:
        key = route.key
        owner = self._owner_of(route)
        audience = everyone
        if owner is not None:
            audience = self._private[key] = self._members.get(owner, 0)
            if not audience:
                self._waiting.setdefault(owner, set()).add(key)
        item = self._show(route)
        known = self._items.get(key)
        if item is None:
            if known is None:
                if not route.paths:
                    self._forget(key)
                return
            del self._items[key]
            concerned = self._holders.get(key, 0) | self._pending.get(key, 0)
        else:
            encoded = encode_item(item)
            if encoded == known:
                return
            self._items[key] = encoded
            self._ids[key] = item.id
            concerned = audience
        if concerned:
            self._pending[key] = self._pending.get(key, 0) | concerned
        else:
            self._forget(key)

    def flush(self) -> bool:
        """Send what members are ready for, up to a batch of routes; whether more can be sent."""
        if self._gone:
            self._wipe()
        ready = 0
        for member, bit in self._members.items():
            if member.is_ready:
                ready |= bit
        self._tell_fresh(ready)
        batch, more = self._batch(ready)
        updates: dict[int, list[bytes]] = {}
        retracts: dict[int, list[bytes]] = {}
        for key, bits in batch:
            item = self._items.get(key)
            if item is None:
                holding = bits & self._holders.get(key, 0)
                if holding:
                    retracts.setdefault(holding, []).append(encode_retract(self._ids[key]))
                    self._holders[key] &= ~holding
            else:
                updates.setdefault(bits, []).append(item)
                self._holders[key] = self._holders.get(key, 0) | bits
            self._clear_pending(key, bits)
            self._forget(key)
        for group, encoded in retracts.items():
            self._send_group(group, encoded, ITEMS_PER_RETRACT)
        for group, encoded in updates.items():
            self._send_group(group, encoded, ITEMS_PER_UPDATE)
        return more

    def _batch(self, ready: int) -> tuple[list[tuple[bytes, int]], bool]:
        """Routes to be told now, each with whom; and whether there are more."""
        batch: list[tuple[bytes, int]] = []
        left = DELIVERIES_PER_FLUSH
        for key, pending in self._pending.items():
            bits = pending & ready
            if not bits:
                continue
            # A message that is not full costs each member as much as one that is.
            deliveries = bits.bit_count()
            full = batch and len(batch) % ITEMS_PER_UPDATE == 0
            if full and left < deliveries * ITEMS_PER_UPDATE:
                return batch, True
            batch.append((key, bits))
            left -= deliveries
        return batch, False

    def _send_group(self, group: int, encoded: list[bytes], most: int) -> None:
        members = [member for member, bit in self._members.items() if bit & group]
        for chunk in _chunks(encoded, most):
            body = b"".join(chunk)
            for member in members:
                self._send(member, [body])

    def _send(self, member: Member, parts: list[bytes]) -> None:
        head, tail = self._heads[member]
        member.deliver(head, *parts, tail)

    def _clear_pending(self, key: bytes, bits: int) -> None:
        left = self._pending.get(key, 0) & ~bits
        if left:
            self._pending[key] = left
        else:
            self._pending.pop(key, None)

    def _forget(self, key: bytes) -> None:
        if key in self._items or key in self._pending:
            return
        if not self._holders.get(key):
            self._holders.pop(key, None)
            self._ids.pop(key, None)
            self._private.pop(key, None)


def _chunks(encoded: list[bytes], most: int) -> list[list[bytes]]:
    """Cut into messages of ``most`` items and about :data:`MESSAGE_BYTES` at most."""
    chunks: list[list[bytes]] = []
    size = 0
    for item in encoded:
        if not chunks or len(chunks[-1]) >= most or size + len(item) > MESSAGE_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(item)
        size += len(item)
    return chunks
