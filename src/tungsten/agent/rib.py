"""Routes as the controls sent them, merged: one view for forwarding.

Each control sends every route of every VRF this host subscribed to; normally the copies agree.
Per route the view takes the fresh copy of the control that comes first in the configuration.

When a session is lost its routes become *stale* and stay (forwarding does not depend on a
control being there). What is stale counts only while no session is *complete*, which it is from
its end-of-rib on: a complete session's view is the truth. A session that comes back refreshes
its routes and, at its end-of-rib, drops those it did not send again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tungsten.agent.forwarding import VrfRoutes
from tungsten.xmpp.routes import EVPN, INET, EnetItem, Family, InetItem, Item

_Table = tuple[Family, str]


@dataclass(slots=True)
class _Session:
    """Routes of one control: per table, by identity, with whether each is stale."""

    tables: dict[_Table, dict[str, tuple[Item, bool]]] = field(default_factory=dict)
    complete: bool = False


class Rib:
    """Routes from ``sessions`` controls. ``dirty`` names the VRFs whose view may have changed."""

    def __init__(self, sessions: int) -> None:
        self._sessions = [_Session() for _ in range(sessions)]
        self.dirty: set[str] = set()

    def update(self, session: int, family: Family, instance: str, items: tuple[Item, ...]) -> None:
        """Routes came."""
        table = self._sessions[session].tables.setdefault((family, instance), {})
        for item in items:
            table[item.id] = (item, False)
        self.dirty.add(instance)

    def retract(self, session: int, family: Family, instance: str, ids: tuple[str, ...]) -> None:
        """Routes are gone."""
        table = self._sessions[session].tables.get((family, instance), {})
        for identity in ids:
            table.pop(identity, None)
        self.dirty.add(instance)

    def lost(self, session: int) -> None:
        """The session ended; its routes are kept as stale."""
        held = self._sessions[session]
        held.complete = False
        for table in held.tables.values():
            for identity, (item, _) in table.items():
                table[identity] = (item, True)
        self._all_dirty()

    def end_of_rib(self, session: int) -> int:
        """The session has sent everything once; answers how many stale routes went."""
        held = self._sessions[session]
        held.complete = True
        gone = 0
        for key, table in held.tables.items():
            fresh = {identity: entry for identity, entry in table.items() if not entry[1]}
            gone += len(table) - len(fresh)
            held.tables[key] = fresh
        self._all_dirty()
        return gone

    def forget(self, instance: str) -> None:
        """The VRF is not subscribed to any more."""
        for session in self._sessions:
            for key in [key for key in session.tables if key[1] == instance]:
                del session.tables[key]
        self.dirty.add(instance)

    def is_complete(self, session: int) -> bool:
        """The session has sent everything since it came up."""
        return self._sessions[session].complete

    @property
    def complete(self) -> bool:
        """Some session has sent everything."""
        return any(session.complete for session in self._sessions)

    def stale(self) -> int:
        """How many routes are held as stale."""
        return sum(
            stale
            for session in self._sessions
            for table in session.tables.values()
            for _, stale in table.values()
        )

    def count(self, session: int) -> int:
        """How many routes a session has sent."""
        return sum(len(table) for table in self._sessions[session].tables.values())

    def routes(self, instance: str) -> VrfRoutes:
        """The merged view of a VRF."""
        inet = {}
        evpn = {}
        for identity, item in self._merged((INET, instance)):
            if isinstance(item, InetItem):
                inet[identity] = item
        for identity, item in self._merged((EVPN, instance)):
            if isinstance(item, EnetItem):
                evpn[identity] = item
        return VrfRoutes(inet, evpn)

    def senders(self, family: Family, instance: str, identity: str) -> tuple[int, ...]:
        """The sessions that hold a route, the one whose copy counts first."""
        holding = [
            (entry[1], number)
            for number, session in enumerate(self._sessions)
            if (entry := session.tables.get((family, instance), {}).get(identity)) is not None
        ]
        return tuple(number for _, number in sorted(holding))

    def _merged(self, key: _Table) -> Iterator[tuple[str, Item]]:
        chosen: dict[str, Item] = {}
        for wanted in (False,) if self.complete else (False, True):
            for session in self._sessions:
                for identity, (item, stale) in session.tables.get(key, {}).items():
                    if stale is wanted:
                        chosen.setdefault(identity, item)
        return iter(chosen.items())

    def _all_dirty(self) -> None:
        for session in self._sessions:
            self.dirty.update(instance for _, instance in session.tables)
