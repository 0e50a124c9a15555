"""The control node as a service: configuration in, agents and BGP peers served.

:class:`ControlService` joins the parts: it loads the configuration and follows it
(store -> graph -> instances and agents' configuration), listens for agents, and runs the
batches. Work is gathered: what marks a route, touches a client or leaves a message to send
arms one timer of ``batch_time``, and then everything that is ready is done in slices, with the
event loop breathing between slices so that keepalives of thousands of sessions stay on time.

Agents are accepted only after the configuration has been loaded once: an agent that was told
half a configuration would take the rest for deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import TypeVar

import structlog
from prometheus_client import CollectorRegistry

from tungsten.introspect import ConnectionInfo, IntrospectServer
from tungsten.introspect.status import DOWN, UP
from tungsten.store.base import Commit, Compacted, Record, Snapshot, Store, StoreUnavailable
from tungsten.xmpp.stream import SessionOptions
from tungsten.xmpp.transport import TransportOptions, XmppServer

from . import config_nodes
from .aggregates import Aggregates
from .bgp_config import BgpDefaults
from .bgp_peers import BgpPeers
from .config_export import ConfigExporter
from .config_graph import ConfigGraph, GraphDelta
from .config_instances import (
    GlobalConfig,
    changed_instances,
    global_config,
    own_router,
    own_sub_cluster,
    router_address,
    routing_policies,
)
from .core import choose
from .instances import InstanceConfig, Instances
from .introspect import MODULE, ControlView, control_requests
from .introspect_agents import AgentMetrics, agent_neighbours, agents_shown, xmpp_connections
from .introspect_bgp import bgp_neighbours
from .introspect_structs import BgpNeighborResp
from .multicast import MulticastTrees
from .service_chains import ServiceChains
from .settings import ControlSettings, check_router_id, split_listen
from .static_routes import StaticRoutes
from .tables import MASTER
from .tree_tables import RibWithTrees
from .xmpp_peers import XmppPeers

ROUTES_PER_SLICE = 2048
#: Objects of the first load after which the event loop gets a turn.
OBJECTS_PER_SLICE = 256
#: Seconds of work on configuration after which the event loop gets a turn.
SLICE_TIME = 0.02
#: Most seconds that changes are gathered while there is much to do.
LONGEST_DELAY = 0.05
#: Seconds between attempts to follow a store that failed.
STORE_RETRY = 1.0
_log = structlog.get_logger("tungsten.control")
T = TypeVar("T")


class ControlService:
    """One control node."""

    def __init__(self, settings: ControlSettings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.core = choose(settings.core)
        self.rib = RibWithTrees(self.core.make_rib())
        self.instances = Instances(self.rib)
        self.trees = MulticastTrees(self.instances)
        self.graph = ConfigGraph()
        self.exporter = ConfigExporter(self.graph)
        self.global_config: GlobalConfig | None = None
        self.revision = 0
        self.static_routes = StaticRoutes(self.graph, self.instances)
        self.service_chains = ServiceChains(self.graph, self.instances)
        self.aggregates = Aggregates(self.graph, self.instances)
        #: Told of every change of the configuration, after instances have followed.
        self.on_config: list[Callable[[GraphDelta], None]] = [
            self.static_routes.graph_changed,
            self.service_chains.graph_changed,
            self.aggregates.graph_changed,
        ]
        #: Who lists neighbours for introspect: agents, and whoever else joins.
        self.neighbours: list[Callable[[], Iterable[BgpNeighborResp]]] = []
        self._introspect: IntrospectServer | None = None
        #: When the store last failed, and how.
        self._store_failure = (float("-inf"), "")
        #: How to end what has been begun, the last first.
        self._ends = contextlib.AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._scheduled = False
        #: Seconds that the last slice of work took.
        self._took = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    async def start(self) -> None:
        """Load the configuration, then listen."""
        host, port = split_listen("xmpp_listen", self.settings.xmpp_listen)
        check_router_id(self.settings.router_id)
        self._loop = asyncio.get_running_loop()
        _allow_connections()
        if self.core.reason:
            _log.warning("core_not_compiled", reason=self.core.reason)
        self.peers = XmppPeers(self.settings, self.rib, self.instances, self.exporter)
        self._ends.callback(self.peers.stop)
        self.bgp = BgpPeers(self.rib, self.instances, self._bgp_defaults())
        self.peers.told.show_place = self.trees.show
        self.peers.nothing_missing = self._nothing_missing
        for derived in (self.static_routes, self.service_chains, self.aggregates):
            derived.instance_id = self.peers.instance_id
            self.peers.on_registered.append(derived.registered)
        self.peers.address_of = lambda name: router_address(self.graph, name)
        self.rib.on_marked = self.exporter.on_work = self.peers.told.on_work = self._schedule
        self.bgp.on_work = self._schedule
        await self._load()
        options = TransportOptions(
            session=SessionOptions(hold_time=self._hold_time()),
            pending_per_source=self.settings.pending_per_source,
            tls=self.settings.tls(),
        )
        self.server = XmppServer(host, port, self.peers, options=options)
        self._ends.push_async_callback(self.server.stop)
        await self.server.start()
        self._ends.push_async_callback(self.bgp.stop)
        await self.bgp.start(*self._bgp_listen())
        self._tasks = [
            asyncio.create_task(self._follow(), name="control configuration"),
            asyncio.create_task(self._tick(), name="control timers"),
        ]
        for task in self._tasks:
            task.add_done_callback(_report)
        await self._start_introspect(f"{host}:{self.server.port}")
        _log.info("control_up", name=self.settings.name, xmpp=f"{host}:{self.server.port}")

    async def stop(self) -> None:
        """Close all sessions."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._ends.aclose()
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()

    async def _start_introspect(self, endpoint: str) -> None:
        if not self.settings.introspect_listen:
            return
        view = ControlView(
            self.settings.name,
            self.rib,
            self.instances,
            neighbours=lambda: [row for rows in self.neighbours for row in rows()],
            xmpp_connections=lambda: xmpp_connections(self.peers, endpoint),
            agents=lambda: agents_shown(self.peers),
            connections=self._connections,
            policies=lambda: routing_policies(self.graph),
            chains=self.service_chains,
        )
        registry = CollectorRegistry()
        registry.register(AgentMetrics(self.peers, self.server.refused))
        address = endpoint.rpartition(":")[0]
        self.neighbours.append(
            lambda: agent_neighbours(self.peers, address, self.instances.replication.asn)
        )
        self.neighbours.append(lambda: bgp_neighbours(self.bgp))
        self._introspect = IntrospectServer(
            self.settings.introspect_listen, MODULE, control_requests(view), registry=registry
        )
        self._ends.push_async_callback(self._introspect.stop)
        await self._introspect.start()

    def _connections(self) -> list[ConnectionInfo]:
        """What the node depends on. A store that fails is tried again, and fails again, soon."""
        when, reason = self._store_failure
        down = time.monotonic() - when < 3 * STORE_RETRY
        description = reason if down else f"Following from revision {self.revision}"
        core = f"{self.core.name}: {self.core.reason}" if self.core.reason else self.core.name
        return [
            ConnectionInfo(
                type="Database",
                name="Store",
                status=DOWN if down else UP,
                description=description,
            ),
            ConnectionInfo(type="Tables", name="Core", description=core),
        ]

    @property
    def introspect_port(self) -> int:
        """The port of the introspect server; 0 while there is none."""
        return self._introspect.port if self._introspect is not None else 0

    @property
    def xmpp_port(self) -> int:
        """The port that agents connect to."""
        return self.server.port

    @property
    def bgp_port(self) -> int:
        """The port that BGP neighbours connect to; negative when there is none."""
        return self.bgp.port

    def _bgp_listen(self) -> tuple[str, int]:
        if not self.settings.bgp_listen:
            return "", -1
        return split_listen("bgp_listen", self.settings.bgp_listen)

    def _bgp_defaults(self) -> BgpDefaults:
        """Sessions are opened from the address that is listened on, if it is just one."""
        host = self._bgp_listen()[0]
        try:
            specific = not ip_address(host).is_unspecified
        except ValueError:
            specific = False
        return BgpDefaults(self.settings.bgp_hold_time, host if specific else "")

    def _nothing_missing(self) -> bool:
        """Whether all hosts have said all they have, and there is nobody else to wait for."""
        routers = self.graph.of_type("virtual-router")
        names = [node.vertex[1].rpartition(":")[2] for node in routers]
        return not self.bgp.neighbors and self.peers.have_reported(names)

    # --- configuration

    async def _load(self) -> None:
        """Take over the whole configuration: the first time in parts, since nobody follows yet."""
        revision, things = await self.store.scan(_read)
        if self.global_config is None:
            deltas = []
            for part in _parts(things):
                deltas.append(self.graph.fill(part))
                await asyncio.sleep(0)
            for delta in deltas:
                self._configure(delta)
                await asyncio.sleep(0)
        else:
            self._configure(self.graph.replace(things))
        self.revision = revision
        _log.info("configuration_loaded", revision=revision, objects=len(things))

    async def _follow(self) -> None:
        while True:
            try:
                breathed = time.monotonic()
                async for commit in self.store.watch(self.revision):
                    self._commit(commit)
                    if time.monotonic() - breathed > SLICE_TIME:
                        await asyncio.sleep(0)
                        breathed = time.monotonic()
            except Compacted:
                _log.warning("configuration_reloaded", after=self.revision)
                await self._load()
            except StoreUnavailable as error:
                self._store_failure = (time.monotonic(), str(error))
                _log.error("configuration_lost", after=self.revision, error=str(error))
                await asyncio.sleep(STORE_RETRY)

    def _commit(self, commit: Commit) -> None:
        delta = self.graph.apply(commit.changes)
        self.revision = commit.revision
        self._configure(delta)

    def _configure(self, delta: GraphDelta) -> None:
        if not delta:
            return
        types = {vertex[0] for vertex in delta.nodes}
        if types & _GLOBAL_TYPES or self.global_config is None:
            self._configure_globals()
        for name, config in changed_instances(self.graph, delta).items():
            if config is not None:
                self.instances.put(config)
            elif name == MASTER:
                self.instances.put(InstanceConfig(MASTER))
            else:
                self.instances.delete(name)
        if types & _BGP_TYPES or any(
            link[2] == _PEERING for link in delta.links_added | delta.links_removed
        ):
            self._configure_bgp()
        self.peers.graph_changed(delta)
        self.exporter.graph_changed(delta)
        for tell in self.on_config:
            tell(delta)

    def _configure_globals(self) -> None:
        before, now = self.global_config, global_config(self.graph, self.settings)
        router_id = self._router_id()
        self.global_config = now
        self.peers.restart_time = now.restart_time
        self.peers.long_lived_time = now.long_lived_time
        self.peers.end_of_rib_time = now.end_of_rib_time
        self.peers.router_id = router_id
        self.trees.set_router_id(router_id)
        self.instances.set_sub_cluster(own_sub_cluster(self.graph, self.settings.name))
        self.instances.replication.set_reachability_check(now.nh_reachability_check)
        if now.asn != self.instances.replication.asn:
            self.instances.replication.set_asn(now.asn)
            self.peers.republish()
        if before is not None and before.xmpp_hold_time != now.xmpp_hold_time:
            self.peers.set_hold_time(now.xmpp_hold_time)

    def _configure_bgp(self) -> None:
        assert self.global_config is not None
        self.bgp.end_of_rib_time = self.global_config.end_of_rib_time
        self.bgp.startup_time = self.settings.startup_time
        asn = self.instances.replication.asn
        self.bgp.configure(self.graph, self.settings.name, asn, self.peers.router_id)

    def _router_id(self) -> bytes:
        text = self.settings.router_id
        own = own_router(self.graph, self.settings.name)
        parameters = own.bgp_router_parameters if own is not None else None
        if not text and parameters is not None:
            text = parameters.identifier or parameters.address or ""
        if not text:
            text = split_listen("xmpp_listen", self.settings.xmpp_listen)[0]
        try:
            return socket.inet_aton(text)
        except OSError:
            return socket.inet_aton("127.0.0.1")

    def _hold_time(self) -> float:
        if self.global_config is not None:
            return self.global_config.xmpp_hold_time
        return self.settings.xmpp_hold_time

    # --- batches

    def _schedule(self) -> None:
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            # The more there is to do, the longer it is gathered: half of the time at most.
            delay = max(self.settings.batch_time, min(self._took, LONGEST_DELAY))
            self._timer = self._loop.call_later(delay, self._run)

    def _run(self) -> None:
        """One slice of work. What is left, also after an error, is taken up in the next."""
        self._scheduled = False
        more = True
        begun = time.monotonic()
        try:
            more = not self.rib.process(ROUTES_PER_SLICE)
            more = self.exporter.flush() or more
            more = self.peers.flush() or more
            more = self.bgp.flush() or more
        finally:
            self._took = time.monotonic() - begun
            if more and not self._scheduled and self._loop is not None:
                self._scheduled = True
                self._timer = self._loop.call_soon(self._run)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            self.peers.tick(loop.time())
            self.bgp.tick(loop.time())


def _read(
    snapshot: Snapshot, records: Iterator[Record]
) -> tuple[int, list[config_nodes.Node | config_nodes.Unreadable]]:
    return snapshot.revision, [config_nodes.read(record) for record in records]


def _parts(things: Sequence[T]) -> Iterator[Sequence[T]]:
    return (things[at : at + OBJECTS_PER_SLICE] for at in range(0, len(things), OBJECTS_PER_SLICE))


def _allow_connections() -> None:
    """Raise the limit of open files as far as it goes: each agent is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    _log.info("connections_allowed", files=soft)


def _report(task: asyncio.Task[None]) -> None:
    """Tell the event loop's exception handler of a task that ended by mistake."""
    if not task.cancelled() and (error := task.exception()) is not None:
        context = {"message": f"{task.get_name()} ended", "exception": error, "task": task}
        task.get_loop().call_exception_handler(context)


_GLOBAL_TYPES = {"global-system-config", "bgp-router", "sub-cluster"}
_PEERING = "bgp-peering"
_BGP_TYPES = {"global-system-config", "bgp-router", _PEERING}
