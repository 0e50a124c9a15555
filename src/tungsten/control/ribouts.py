"""The fan-outs of all instances to agents: one per instance and family.

A fan-out exists while somebody subscribes, with or without the instance;
:class:`RibOuts` makes and drops them, and remembers which have something to send.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tungsten.bgp.families import ERM_VPN, EVPN, INET, INET6, Family
from tungsten.xmpp import stanzas
from tungsten.xmpp.stanzas import Item
from tungsten.xmpp.stream import CONTROL_JID

from .agents import Agent
from .flooding import FloodLists
from .instances import Instance, Instances
from .paths import Source
from .ribout import RibOut
from .tables import Route, Table
from .xmpp_routes import NATIVE, is_broadcast, show_route

_XMPP_FAMILY = {
    INET: stanzas.INET,
    INET6: stanzas.INET6,
    EVPN: stanzas.EVPN,
    ERM_VPN: stanzas.MULTICAST,
}


#: Seconds of sending after which the event loop gets a turn.
SLICE_TIME = 0.02


class RibOuts:
    """All fan-outs. ``agent_of`` names the agent whose routes a source's are, if any."""

    def __init__(self, instances: Instances, agent_of: Callable[[Source], Agent | None]) -> None:
        self.on_work: Callable[[], None] | None = None
        #: Makes the item of an agent's place in a replication tree.
        self.show_place: Callable[[Route], Item | None] = lambda _: None
        self._floods: dict[str, FloodLists] = {}
        self._instances = instances
        self._agent_of = agent_of
        self._ribouts: dict[tuple[str, Family], RibOut] = {}
        self._work: dict[RibOut, None] = {}

    def join(self, agent: Agent, instance: str) -> None:
        """An agent is to hear of all routes of an instance."""
        for family in _XMPP_FAMILY:
            self._ribout(instance, family).join(agent)

    def leave(self, agent: Agent, instance: str, *, retract: bool = False) -> None:
        """An agent is to hear no more; with ``retract`` it is told to forget what it heard."""
        for ribout in self._of(instance):
            ribout.leave(agent, retract=retract)

    def tidy(self, instance: str) -> None:
        """Drop fan-outs that nobody listens to."""
        for family in _XMPP_FAMILY:
            ribout = self._ribouts.get((instance, family))
            if ribout is not None and not ribout.members:
                ribout.attach(None)
                del self._ribouts[instance, family]
                if family == EVPN:
                    self._floods.pop(instance, None)

    def attach(self, instance: Instance) -> None:
        """An instance has come."""
        for family, table in instance.tables.items():
            ribout = self._ribouts.get((instance.name, family))
            if ribout is not None:
                ribout.attach(table)

    def instance_changed(self, instance: Instance) -> None:
        """What an instance's routes look like to agents may have changed."""
        for table in instance.tables.values():
            ribout = self._ribouts.get((instance.name, table.family))
            if ribout is not None:
                ribout.routes_changed(table, list(table.routes()))

    def is_behind(self, agent: Agent) -> bool:
        """Whether something is still to be told to an agent."""
        return any(
            ribout.is_behind(agent)
            for instance in agent.subscriptions
            for ribout in self._of(instance)
        )

    def wake(self, instance: str = "") -> None:
        """There may be something to do: for an instance's members, or for whoever flushes."""
        if not self._work and self.on_work is not None:
            self.on_work()
        for ribout in self._of(instance):
            self._work[ribout] = None

    def flush(self) -> bool:
        """Send to agents what there is; whether some is left that could be sent at once."""
        again: dict[RibOut, None] = {}
        end = time.monotonic() + SLICE_TIME
        while self._work and time.monotonic() < end:
            ribout = next(iter(self._work))
            del self._work[ribout]
            if ribout.flush():
                again[ribout] = None
        self._work.update(again)
        return bool(self._work)

    def _of(self, instance: str) -> list[RibOut]:
        found = (self._ribouts.get((instance, family)) for family in _XMPP_FAMILY)
        return [ribout for ribout in found if ribout is not None]

    def _ribout(self, name: str, family: Family) -> RibOut:
        ribout = self._ribouts.get((name, family))
        if ribout is None:
            ribout = RibOut(
                _XMPP_FAMILY[family],
                name,
                CONTROL_JID,
                show=self._show,
                owner_of=self._owner_of,
                on_work=self._has_work,
                related=self._related,
            )
            self._ribouts[name, family] = ribout
            instance = self._instances.get(name)
            if instance is not None:
                ribout.attach(instance.tables.get(family))
        return ribout

    def _show(self, route: Route) -> Item | None:
        instance = self._instances.get(route.table.instance)
        if instance is None:
            return None
        if route.table.family == ERM_VPN:
            return self.show_place(route)
        if route.table.family == EVPN and is_broadcast(route.key):
            return self._lists(route.table).show(route)
        return show_route(route, instance, self._instances)

    def _owner_of(self, route: Route) -> Agent | None:
        if not _is_private(route):
            return None
        paths = route.paths
        return self._agent_of(paths[0].source) if paths else None

    def _related(self, table: Table, routes: list[Route]) -> list[Route]:
        return self._lists(table).related(table, routes) if table.family == EVPN else routes

    def _lists(self, table: Table) -> FloodLists:
        return self._floods.setdefault(table.instance, FloodLists())

    def _has_work(self, ribout: RibOut) -> None:
        if not self._work and self.on_work is not None:
            self.on_work()
        self._work[ribout] = None


def _is_private(route: Route) -> bool:
    """Whether a route is told to the agent alone that said it."""
    if route.table.family == ERM_VPN:
        return route.key[0] == NATIVE
    return route.table.family == EVPN and is_broadcast(route.key)
