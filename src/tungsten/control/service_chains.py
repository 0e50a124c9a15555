"""The service chains of all instances: a listener of the tables that their routes come from.

What is said in front of a service is a function of configuration and tables
(:mod:`tungsten.control.service_chain`). A chain runs while its three instances exist: the one in
front, the one behind, and the one in which agents tell of the service's address. Else it is
pending, with the reason. A changed route concerns the chains of its table alone, and of each the
prefixes that cover it, which are found by their lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import structlog

from tungsten.bgp.families import INET, INET6, Family
from tungsten.bgp.nlri import pack_prefix
from tungsten.model import RoutingInstance
from tungsten.model.routing import ServiceChainInfo

from .config_graph import ConfigGraph, GraphDelta
from .instances import Instance, Instances
from .paths import Path, Protocol, Source
from .service_chain import ServiceChain, chain_paths, is_offered, service_chain, ways
from .tables import Route, Table

Place = tuple[str, Family]
K = TypeVar("K")
_log = structlog.get_logger("tungsten.control")


class RunningChain:
    """A chain whose instances exist, and what it has said.

    ``inside`` has, by prefix, the keys of more specific routes behind; ``outside`` the keys of
    routes that are offered one for one.
    """

    def __init__(
        self, config: ServiceChain, front: Instance, behind: Instance, connected: Instance
    ) -> None:
        self.config = config
        self.front = front
        self.behind = behind
        self.connected = connected
        self.inside: dict[bytes, set[bytes]] = {prefix: set() for prefix in config.prefixes}
        self.outside: set[bytes] = set()
        self.said: dict[bytes, set[int]] = {}
        self._lengths = sorted({prefix[0] for prefix in config.prefixes})

    @property
    def family(self) -> Family:
        """The family of its routes."""
        return self.config.family

    @property
    def host(self) -> Route | None:
        """The route of the service's address."""
        return self.connected.tables[self.family].get(self.config.host)

    def follow(self, route: Route) -> set[bytes]:
        """Take note of a route behind; the keys in front that it may change."""
        key, config = route.key, self.config
        if key in self.inside or (self.behind is self.connected and key == config.host):
            return set()
        best = route.best
        changed: set[bytes] = set()
        covered = False
        for length in self._lengths:
            if length > key[0]:
                break
            prefix = pack_prefix(key[1:], length)
            routes = self.inside.get(prefix)
            if routes is None:
                continue
            covered = True
            before = bool(routes)
            if best is not None:
                routes.add(key)
            else:
                routes.discard(key)
            if bool(routes) != before:
                changed.add(prefix)
        if covered:
            return changed
        if best is not None and is_offered(best, self.front.config, self.behind.config):
            self.outside.add(key)
        elif key in self.outside:
            self.outside.discard(key)
        else:
            return changed
        return {key}

    def original(self, key: bytes) -> tuple[bool, Path | None]:
        """Whether a route is offered in front, and the path behind that it is offered for."""
        if key in self.inside:
            return bool(self.inside[key]), None
        if key not in self.outside:
            return False, None
        route = self.behind.tables[self.family].get(key)
        best = route.best if route is not None else None
        return best is not None, best


class ServiceChains:
    """The chains of all instances."""

    def __init__(self, graph: ConfigGraph, instances: Instances) -> None:
        self.source = Source("ServiceChain", Protocol.SERVICE_CHAIN)
        #: An agent's number of an instance, by name.
        self.instance_id: Callable[[Source, str], int | None] = lambda _, __: None
        self.configured: dict[Place, ServiceChain] = {}
        self.running: dict[Place, RunningChain] = {}
        self._graph = graph
        self._instances = instances
        #: Chains by an instance that they need, by the table behind, and by the service's route.
        self._needing: dict[str, set[Place]] = {}
        self._behind: dict[Table, set[Place]] = {}
        self._hosts: dict[tuple[Table, bytes], set[Place]] = {}
        self._listening: dict[Table, int] = {}
        instances.on_created.append(self._instance_changed)
        instances.on_changed.append(self._instance_changed)
        instances.on_deleted.append(self._instance_deleted)

    # --- configuration

    def graph_changed(self, delta: GraphDelta) -> None:
        """The configuration changed, and the instances have followed."""
        for type_, name in delta.nodes:
            if type_ == "routing-instance":
                node = self._graph.node((type_, name))
                resource = node.resource if node is not None else None
                given = resource if isinstance(resource, RoutingInstance) else RoutingInstance()
                self.configure(name, INET, given.service_chain_information)
                self.configure(name, INET6, given.ipv6_service_chain_information)

    def configure(self, name: str, family: Family, info: ServiceChainInfo | None) -> None:
        """Make an instance's chain of a family this one, or none."""
        chain = None
        if info is not None:
            try:
                chain = service_chain(name, family, info)
            except ValueError as error:
                _log.error("service_chain_unusable", instance=name, text=str(error))
        place = (name, family)
        before = self.configured.get(place)
        if chain == before:
            return
        if before is not None:
            self._stop(place)
            for each in {before.instance, before.destination, before.connected}:
                self._needing[each].discard(place)
                if not self._needing[each]:
                    del self._needing[each]
            del self.configured[place]
        if chain is not None:
            self.configured[place] = chain
            for each in {chain.instance, chain.destination, chain.connected}:
                self._needing.setdefault(each, set()).add(place)
            self._start(place)

    def why_pending(self, chain: ServiceChain) -> str:
        """Why a chain does not run; empty when it does."""
        for what, name in (
            ("Destination", chain.destination),
            ("Connected", chain.connected),
            ("Own", chain.instance),
        ):
            if self._instances.get(name) is None:
                return f"{what} routing-instance {name} does not exist"
        return ""

    # --- tables

    def routes_changed(self, table: Table, routes: list[Route]) -> None:
        """Routes behind, or those of services, may have come, changed or gone."""
        for place in list(self._behind.get(table, ())):
            chain = self.running[place]
            changed: set[bytes] = set()
            for route in routes:
                changed |= chain.follow(route)
            self._say(chain, changed)
        for route in routes:
            for place in list(self._hosts.get((table, route.key), ())):
                chain = self.running[place]
                self._say(chain, chain.inside.keys() | chain.outside)

    def registered(self, name: str) -> None:
        """An agent's number of an instance came, changed or went."""
        for family in (INET, INET6):
            chain = self.running.get((name, family))
            if chain is not None:
                self._say(chain, list(chain.said))

    # --- running

    def _instance_changed(self, instance: Instance) -> None:
        for place in list(self._needing.get(instance.name, ())):
            self._stop(place)
            self._start(place)

    def _instance_deleted(self, instance: Instance) -> None:
        for place in list(self._needing.get(instance.name, ())):
            self._stop(place)

    def _start(self, place: Place) -> None:
        config = self.configured[place]
        front = self._instances.get(config.instance)
        behind = self._instances.get(config.destination)
        connected = self._instances.get(config.connected)
        if front is None or behind is None or connected is None:
            return
        chain = self.running[place] = RunningChain(config, front, behind, connected)
        table, hosts = behind.tables[place[1]], connected.tables[place[1]]
        self._behind.setdefault(table, set()).add(place)
        self._hosts.setdefault((hosts, config.host), set()).add(place)
        for each in (table, hosts):
            self._listening[each] = self._listening.get(each, 0) + 1
            if self._listening[each] == 1:
                each.listeners.append(self)
        for route in table.routes():
            chain.follow(route)
        self._say(chain, chain.inside.keys() | chain.outside)

    def _stop(self, place: Place) -> None:
        chain = self.running.pop(place, None)
        if chain is None:
            return
        table, hosts = chain.behind.tables[place[1]], chain.connected.tables[place[1]]
        _discard(self._behind, table, place)
        _discard(self._hosts, (hosts, chain.config.host), place)
        for each in (table, hosts):
            self._listening[each] -= 1
            if not self._listening[each]:
                del self._listening[each]
                each.listeners.remove(self)
        if self._instances.get(chain.front.name) is chain.front:
            in_front = chain.front.tables[place[1]]
            for key, numbers in chain.said.items():
                for number in numbers:
                    in_front.withdraw(key, self.source, number)

    def _say(self, chain: RunningChain, keys: Iterable[bytes]) -> None:
        """Report what is offered in front now, of these keys."""
        keys = list(keys)
        if not keys:
            return
        over = ways(chain.host)
        index = chain.behind.config.network_index
        origin_vn = self._instances.replication.origin_vn(index) if index else b""
        number_of = partial(self._number_of, chain.front.name)
        table = chain.front.tables[chain.family]
        for key in keys:
            paths: dict[int, Path] = {}
            if over:
                offered, original = chain.original(key)
                if offered:
                    paths = chain_paths(
                        chain.config,
                        over,
                        original,
                        self.source,
                        origin_vn=origin_vn,
                        number_of=number_of,
                    )
            for number in chain.said.pop(key, set()) - paths.keys():
                table.withdraw(key, self.source, number)
            for path in paths.values():
                table.add(key, path)
            if paths:
                chain.said[key] = set(paths)

    def _number_of(self, instance: str, source: Source) -> int | None:
        return self.instance_id(source, instance)


def _discard(index: dict[K, set[Place]], key: K, place: Place) -> None:
    index[key].discard(place)
    if not index[key]:
        del index[key]
