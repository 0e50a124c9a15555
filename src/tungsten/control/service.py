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
import socket
from collections.abc import Callable

import structlog

from tungsten.store.base import Commit, Compacted, Store
from tungsten.xmpp.stream import SessionOptions
from tungsten.xmpp.transport import TransportOptions, XmppServer

from .config_export import ConfigExporter
from .config_graph import ConfigGraph, GraphDelta
from .config_instances import GlobalConfig, global_config, instance_configs, own_router
from .instances import Instances
from .settings import ControlSettings, split_listen
from .tables import Rib
from .xmpp_peers import XmppPeers

ROUTES_PER_SLICE = 2048
COMMITS_PER_BATCH = 512
_log = structlog.get_logger("tungsten.control")


class ControlService:
    """One control node."""

    def __init__(self, settings: ControlSettings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.rib = Rib()
        self.instances = Instances(self.rib)
        self.graph = ConfigGraph()
        self.exporter = ConfigExporter(self.graph)
        self.global_config: GlobalConfig | None = None
        self.revision = 0
        #: Told of every change of the configuration, after instances have followed.
        self.on_config: list[Callable[[GraphDelta], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    async def start(self) -> None:
        """Load the configuration, then listen."""
        host, port = split_listen("xmpp_listen", self.settings.xmpp_listen)
        self._loop = asyncio.get_running_loop()
        self.peers = XmppPeers(self.settings, self.rib, self.instances, self.exporter)
        self.rib.on_marked = self.exporter.on_work = self.peers.on_work = self._schedule
        await self._load()
        options = TransportOptions(
            session=SessionOptions(hold_time=self._hold_time()),
            pending_per_source=self.settings.pending_per_source,
        )
        self.server = XmppServer(host, port, self.peers, options=options)
        await self.server.start()
        self._tasks = [
            asyncio.create_task(self._follow(), name="control configuration"),
            asyncio.create_task(self._tick(), name="control timers"),
        ]
        _log.info("control_up", name=self.settings.name, xmpp=f"{host}:{self.server.port}")

    async def stop(self) -> None:
        """Close all sessions."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._timer is not None:
            self._timer.cancel()
        await self.server.stop()
        self.peers.stop()

    @property
    def xmpp_port(self) -> int:
        """The port that agents connect to."""
        return self.server.port

    # --- configuration

    async def _load(self) -> None:
        revision, records = await self.store.load()
        delta = self.graph.load(records)
        self.revision = revision
        self._configure(delta)
        _log.info("configuration_loaded", revision=revision, objects=len(records))

    async def _follow(self) -> None:
        while True:
            try:
                async for commit in self.store.watch(self.revision):
                    self._commit(commit)
            except Compacted:
                _log.warning("configuration_reloaded", after=self.revision)
                await self._load()

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
        if types & _INSTANCE_TYPES or any(
            link[0][0] in _INSTANCE_TYPES for link in delta.links_added | delta.links_removed
        ):
            self.instances.apply(instance_configs(self.graph))
        self.exporter.graph_changed(delta)
        for tell in self.on_config:
            tell(delta)

    def _configure_globals(self) -> None:
        before, now = self.global_config, global_config(self.graph, self.settings)
        router_id = self._router_id()
        self.global_config = now
        self.peers.restart_time = now.restart_time
        self.peers.end_of_rib_time = now.end_of_rib_time
        changed = router_id != self.peers.router_id
        self.peers.router_id = router_id
        if now.asn != self.instances.replication.asn:
            self.instances.replication.set_asn(now.asn)
            changed = True
        if changed:
            self.peers.republish()
        if before is not None and before.xmpp_hold_time != now.xmpp_hold_time:
            self.peers.set_hold_time(now.xmpp_hold_time)

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
            self._timer = self._loop.call_later(self.settings.batch_time, self._run)

    def _run(self) -> None:
        self._scheduled = False
        settled = self.rib.process(ROUTES_PER_SLICE)
        more = self.exporter.flush()
        more = self.peers.flush() or more
        if (more or not settled) and not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._timer = self._loop.call_soon(self._run)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            self.peers.tick(loop.time())


_GLOBAL_TYPES = {"global-system-config", "bgp-router"}
_INSTANCE_TYPES = {"routing-instance", "virtual-network"}
