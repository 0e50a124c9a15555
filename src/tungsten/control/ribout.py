"""What the subscribers of one table have been told, and what they are still to be told.

All subscribers of a table get the same items, so an item is encoded once when its route
changes, a message body once for all who need the same items, and only the head of the message
differs. A route may also be *private*: its item is for one member alone (the flooding list of
a broadcast route).

State, per route key: the present item; the set of members that hold an item for it
(``_holders``); the set of members that are still to hear of it (``_pending``). Sets of members
are bits of an integer. A withdrawal goes to holders only. A member that reads slowly keeps its
bits in ``_pending`` and gets the newest state of each route when it is ready again; nothing is
queued for it meanwhile.

A table may come and go with its instance while members stay: :meth:`RibOut.attach` and the
emptying of the old table's routes keep what members hold in step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

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
KEYS_PER_FLUSH = 2048


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
        self._free: list[int] = []
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
        bit = 1 << (self._free.pop() if self._free else len(self._members))
        self._members[member] = bit
        for key in self._items:
            if self._private.get(key, bit) == bit:
                self._pending[key] = self._pending.get(key, 0) | bit
        if self.table is not None:
            private = [route for route in self.table.routes() if self._owner_of(route) is member]
            for route in private:
                self._items.pop(route.key, None)
            self.routes_changed(self.table, private)
        if self._pending:
            self._on_work(self)

    def leave(self, member: Member, *, retract: bool) -> None:
        """Remove a member; with ``retract`` it is told to forget all it holds here."""
        bit = self._members.pop(member, 0)
        if not bit:
            return
        self._free.append(bit.bit_length() - 1)
        held = [key for key, holders in self._holders.items() if holders & bit]
        if retract and held:
            ids = [encode_retract(self._ids[key]) for key in held]
            for start in range(0, len(ids), ITEMS_PER_RETRACT):
                self._send(member, ids[start : start + ITEMS_PER_RETRACT])
        for key in held:
            self._holders[key] &= ~bit
            self._forget(key)
        for key in [key for key, bits in self._pending.items() if bits & bit]:
            self._clear_pending(key, bit)
        for key in [key for key, owner in self._private.items() if owner == bit]:
            del self._private[key]
            self._items.pop(key, None)
            self._forget(key)

    def is_behind(self, member: Member) -> bool:
        """Whether something is still to be told to a member."""
        bit = self._members.get(member, 0)
        return any(bits & bit for bits in self._pending.values())

    def routes_changed(self, table: Table, routes: list[Route]) -> None:
        """Encode what changed and note who is to hear of it (Listener)."""
        if table is not self.table:
            return
        everyone = 0
        for bit in self._members.values():
            everyone |= bit
        for route in self._related(table, routes):
            self._change(route, everyone)
        if self._pending:
            self._on_work(self)

    def _change(self, route: Route, everyone: int) -> None:
        key = route.key
        owner = self._owner_of(route)
        audience = everyone
        if owner is not None:
            audience = self._private[key] = self._members.get(owner, 0)
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
        ready = 0
        for member, bit in self._members.items():
            if member.is_ready:
                ready |= bit
        batch = [(key, bits & ready) for key, bits in self._pending.items() if bits & ready]
        more = len(batch) > KEYS_PER_FLUSH
        updates: dict[int, list[bytes]] = {}
        retracts: dict[int, list[bytes]] = {}
        for key, bits in batch[:KEYS_PER_FLUSH]:
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

    def _send_group(self, group: int, encoded: list[bytes], most: int) -> None:
        members = [member for member, bit in self._members.items() if bit & group]
        for chunk in _chunks(encoded, most):
            body = b"".join(chunk)
            for member in members:
                self._send(member, [body])

    def _send(self, member: Member, parts: list[bytes]) -> None:
        head, tail = route_envelope(self.sender, member.name, self.family, self.instance)
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
