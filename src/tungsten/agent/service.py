"""The agent as a service: opens what it needs, wires it, and lets go of it in order.

Start: kernel view, datapath (opened or found running), ports from files, port API, sessions with
the controls. Nothing is taken from the fabric interface: its address and routes stay the
kernel's. Stop closes sessions, sockets and files and leaves the datapath forwarding: programs,
tables and links are pinned, and the next start finds them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from ipaddress import IPv4Address
from pathlib import Path

import structlog

from tungsten.agent.agent import Agent
from tungsten.agent.agent import Settings as CoreSettings
from tungsten.agent.channel import Controls
from tungsten.agent.introspect import MODULE, AgentView, agent_requests
from tungsten.agent.kernel import Kernel
from tungsten.agent.port_api import LOOPBACK_NAMES, HttpServer, PortApi
from tungsten.agent.ports import PortStore
from tungsten.agent.records import AgentRecords
from tungsten.agent.services.pkt0 import Pkt0
from tungsten.agent.settings import AgentSettings, Endpoint, SettingsError
from tungsten.datapath.abi import ConfigFlag
from tungsten.datapath.datapath import Datapath
from tungsten.datapath.records import Config
from tungsten.datapath.tap import Tap
from tungsten.introspect import IntrospectServer

log = structlog.get_logger("tungsten.agent")

PKT0 = "pkt0"


class AgentService:
    """The agent of one host. ``agent`` and ``controls`` are there between start and stop."""

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self.name = settings.name()
        self._endpoints = settings.control_endpoints()
        self._port_endpoint = Endpoint.parse("agent.port_listen", settings.port_listen)
        self._kernel = Kernel(self._kernel_changed)
        self._stack = contextlib.AsyncExitStack()
        self._agent: Agent | None = None
        self._controls: Controls | None = None
        self._pkt0: Pkt0 | None = None
        self._datapath: Datapath | None = None
        self._switched = False

    @property
    def agent(self) -> Agent:
        """The core."""
        assert self._agent is not None, "the agent is not started"
        return self._agent

    @property
    def controls(self) -> Controls:
        """The sessions with the controls."""
        assert self._controls is not None, "the agent is not started"
        return self._controls

    @property
    def datapath(self) -> Datapath:
        """The datapath."""
        assert self._datapath is not None, "the agent is not started"
        return self._datapath

    @property
    def pkt0(self) -> Pkt0:
        """The services on the agent's own port."""
        assert self._pkt0 is not None, "the agent is not started"
        return self._pkt0

    async def start(self) -> None:
        """Begin. Raises :class:`SettingsError`, ``OSError`` or the datapath's errors, having
        undone what was begun."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """End; the datapath goes on."""
        await self._stack.aclose()
        log.info("agent_stopped")

    async def _start(self) -> None:
        await self._kernel.start()
        self._stack.push_async_callback(self._kernel.stop)
        core = await self._resolve()
        core.state_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._datapath = Datapath.open(Path(self.settings.bpf_dir))
        self._stack.callback(self._datapath.close)
        own = ("lo", core.fabric, PKT0)
        ports = PortStore(core.state_dir / "ports", self._mark, own)
        ports.load(time.monotonic())
        for problem in ports.problems:
            log.error("port_file_unreadable", reason=problem)
        agent = Agent(core, self._datapath, self._kernel, ports, sessions=len(self._endpoints))
        self._agent = agent
        self._stack.callback(agent.stop)
        self._configure_datapath(core.address)
        records = AgentRecords(
            agent, self.settings.dhcp_lease_seconds, self.settings.dhcp_short_lease_seconds
        )
        await self._open_pkt0(agent, records)
        agent.load_config()
        agent.reconcile()
        await self._open_controls(agent, core)
        hosts = LOOPBACK_NAMES | {self._port_endpoint.host}
        server = HttpServer(PortApi(ports, records, hosts).app, self._port_endpoint)
        await server.start()
        self._stack.push_async_callback(server.stop)
        await self._open_introspect(agent)
        ticker = asyncio.create_task(self._tick(), name="agent tick")
        self._stack.push_async_callback(_cancel, ticker)
        log.info(
            "agent_started",
            name=self.name,
            fabric=core.fabric,
            address=str(core.address),
            controls=[f"{e.host}:{e.port}" for e in self._endpoints],
            ports=len(ports.ports()),
            inherited=agent.writer.inherited,
            port_api=server.port,
        )

    async def _resolve(self) -> CoreSettings:
        """Settings that depend on the host, found out; one clear line when they cannot be."""
        settings = self.settings
        fabric = settings.fabric_interface or await self._find_fabric()
        if fabric not in self._kernel.devices:
            names = ", ".join(sorted(self._kernel.devices))
            raise SettingsError(f"agent.fabric_interface {fabric!r}: accepted are {names}")
        address = settings.address() or await self._kernel.address_of(fabric)
        if address is None:
            raise SettingsError(
                f"agent.fabric_address: {fabric} has no IPv4 address; give it one, or set this"
            )
        return CoreSettings(
            name=self.name,
            state_dir=Path(settings.state_dir),
            fabric=fabric,
            address=address,
            encapsulations=settings.encapsulation_order(),
            stale_port_seconds=settings.stale_port_seconds,
            config_quiet_seconds=settings.config_quiet_seconds,
            end_of_rib_seconds=settings.end_of_rib_seconds,
        )

    async def _find_fabric(self) -> str:
        target = IPv4Address("1.1.1.1")
        with contextlib.suppress(ValueError):
            target = IPv4Address(self._endpoints[0].host) if self._endpoints else target
        found = await self._kernel.device_towards(target)
        if found is None:
            raise SettingsError(f"agent.fabric_interface: no route to {target} tells which; set it")
        return found

    def _configure_datapath(self, address: IPv4Address) -> None:
        """Say who we are. The writer is there already, so inherited tunnels stay welcome."""
        config = self.datapath.config
        flags = config.flags & ~ConfigFlag.CHECK_TUNNEL_SOURCE
        if self.settings.check_tunnel_sources:
            flags |= ConfigFlag.CHECK_TUNNEL_SOURCE
        wanted = Config(
            fabric_ip=address,
            fabric_vif=config.fabric_vif,
            pkt0_vif=config.pkt0_vif,
            flags=flags,
        )
        if wanted != config:
            self.datapath.config = wanted

    async def _open_pkt0(self, agent: Agent, records: AgentRecords) -> None:
        tap = Tap(PKT0)
        self._stack.callback(tap.close)
        await self._kernel.reread()
        agent.pkt0 = PKT0
        self._pkt0 = Pkt0(tap, records, self.settings.dhcp_rate, self.settings.dhcp_burst)
        self._pkt0.start()
        self._stack.callback(self._pkt0.stop)

    async def _open_controls(self, agent: Agent, core: CoreSettings) -> None:
        self._controls = Controls(
            self._endpoints,
            self.name,
            agent,
            source_address="" if _is_loopback(self._endpoints) else str(core.address),
            hold_seconds=self.settings.hold_seconds,
            tls=self.settings.tls(),
            on_wanted=lambda: agent.wanted,
        )
        agent.on_wanted = self._controls.sync
        await self._controls.start()
        self._stack.push_async_callback(self._controls.stop)

    async def _open_introspect(self, agent: Agent) -> None:
        if not self.settings.introspect_listen:
            return
        view = AgentView(self.name, agent, self.controls)
        server = IntrospectServer(self.settings.introspect_listen, MODULE, agent_requests(view))
        await server.start()
        self._stack.push_async_callback(server.stop)

    def _kernel_changed(self) -> None:
        self._mark()

    def _mark(self) -> None:
        if self._agent is not None:
            self._agent.mark()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.agent.tick()
            if self.agent.complete and not self._switched:
                self.datapath.switch()
                self._switched = True


def _is_loopback(endpoints: tuple[Endpoint, ...]) -> bool:
    """Controls on this host are reached from any address."""
    return any(
        endpoint.host in ("localhost", "::1") or endpoint.host.startswith("127.")
        for endpoint in endpoints
    )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
