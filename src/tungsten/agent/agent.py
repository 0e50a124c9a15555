"""The agent's core: one place where everything meets, and one direction it flows.

    configuration (graph) ─┐
    ports (files, API) ────┼─► oper ─► symbolic tables, per VRF ─► numbers ─► writer ─► datapath
    devices (kernel) ──────┘             ▲                            │
    routes (rib) ────────────────────────┘                            └─► advertisement ─► controls
    neighbours (kernel) ───────────────────────────────────────────────►

Whatever changes marks the core dirty; :meth:`Agent.reconcile` then runs once, soon, and goes the
whole way from what is known to what is wanted, keeping only what cannot have changed. There is no
other path by which anything reaches the datapath or the controls.

After a restart the core knows less than the datapath does until the configuration is complete
and a control has sent all its routes; until then (:attr:`Agent.complete`) the writer removes
nothing it inherited. Without any control that stays so for as long as it takes: forwarding goes
on as it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import structlog

from tungsten.agent import forwarding as fwd
from tungsten.agent.advertise import Advertisement, Origin, advertise
from tungsten.agent.channel import GLOBAL_CONFIG, Wanted
from tungsten.agent.config import ConfigGraph
from tungsten.agent.config_cache import ConfigCache
from tungsten.agent.derive import compile_oper
from tungsten.agent.hardening import harden_port
from tungsten.agent.ids import Ids, IdsExhausted
from tungsten.agent.kernel import Kernel
from tungsten.agent.oper import Device, Interface, Oper, Vrf
from tungsten.agent.ports import Port, PortStore
from tungsten.agent.program import Host, Tables, id_spaces, number
from tungsten.agent.rib import Rib
from tungsten.agent.writer import Result, Target, Writer
from tungsten.model.hosts import VirtualRouter
from tungsten.xmpp.stanzas import ConfigMessage, RouteRetract, RouteUpdate

log = structlog.get_logger("tungsten.agent")

CHEAP_SECONDS, PAUSE_SECONDS = 0.01, 0.5
ROUTE_QUIET_SECONDS = 3.0
"""How long no route may have come for a VRF's routes to count as all there, once a control has
said end-of-rib before the VRF was asked for."""


@dataclass(frozen=True, slots=True)
class _CachedVrf:
    """The tables of a VRF and what they were made from."""

    inputs: tuple[Vrf, tuple[Interface, ...], tuple[fwd.Encapsulation, ...]]
    tables: fwd.VrfTables


@dataclass(slots=True)
class _SessionState:
    """What decides whether a control has sent everything."""

    up_at: float | None = None
    ended: bool = False
    routes_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the core needs of the agent's settings, resolved."""

    name: str
    state_dir: Path
    fabric: str
    address: IPv4Address
    encapsulations: tuple[str, ...]
    stale_port_seconds: float
    config_quiet_seconds: float
    end_of_rib_seconds: float


class Agent:
    """Everything this host knows and wants; see the module.

    ``on_wanted`` is called when what the controls are to be told has changed. ``clock`` tells
    monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        datapath: Target,
        kernel: Kernel,
        ports: PortStore,
        sessions: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.settings = settings
        self.kernel = kernel
        self.ports = ports
        self.graph = ConfigGraph()
        self.rib = Rib(sessions)
        self.oper = Oper()
        self.tables = Tables()
        self.vrf_tables: dict[str, fwd.VrfTables] = {}
        self.writer = Writer(datapath)
        self.ids = Ids(settings.state_dir / "ids.json", id_spaces())
        self.last_result = Result()
        self.reconciliations = 0
        self.config_complete = False
        self.complete = False
        self.pkt0: str | None = None
        self.on_wanted: Callable[[], None] = lambda: None
        self._advertisement = Advertisement({}, {})
        self._sessions = [_SessionState() for _ in range(sessions)]
        self._cache: dict[str, _CachedVrf] = {}
        self._scheduled: asyncio.Handle | None = None
        self._not_before = 0.0
        self._config_at = 0.0
        self._config_ended = False
        self._waiting: dict[str, str] = {}
        self._hardened: set[tuple[str, int]] = set()
        self._cache_file = ConfigCache(settings.state_dir / "config.xml", settings.name)
        if self.ids.problem:
            log.error("ids_lost", reason=self.ids.problem)
        self._reserve_held()

    def load_config(self) -> None:
        """Start from the configuration of the last run."""
        messages = self._cache_file.load(self.graph)
        if self._cache_file.problem:
            log.error("config_cache_lost", reason=self._cache_file.problem)
        elif messages:
            log.info("config_cache_read", objects=len(self.graph))

    def save_config(self) -> None:
        """Keep a complete configuration for the next run."""
        if not self.config_complete:
            return
        try:
            self._cache_file.save(self.graph)
        except OSError as error:
            log.error("config_cache_not_written", reason=str(error))

    # what the controls are told

    @property
    def wanted(self) -> Wanted:
        """What the sessions are to bring about now."""
        return Wanted(
            self._advertisement,
            frozenset(port.vm for port in self.ports.ports()),
            self.config_complete,
        )

    # what comes in (channel.Listener)

    def session_up(self, session: int) -> None:
        """A control is there."""
        now = self._clock()
        self._sessions[session] = _SessionState(up_at=now, routes_at=now)

    def session_down(self, session: int) -> None:
        """A control is away: its routes are kept."""
        self._sessions[session] = _SessionState()
        self.rib.lost(session)
        self.mark()

    def routes_received(self, session: int, stanza: RouteUpdate | RouteRetract) -> None:
        """Routes came or went."""
        self._sessions[session].routes_at = self._clock()
        if isinstance(stanza, RouteUpdate):
            self.rib.update(session, stanza.family, stanza.instance, stanza.items)
        else:
            self.rib.retract(session, stanza.family, stanza.instance, stanza.ids)
        self.mark()

    def end_of_rib(self, session: int) -> None:
        """A control has sent its routes, of the VRFs asked for so far."""
        self._sessions[session].ended = True
        self._check_complete()

    def config_begins(self) -> None:
        """All configuration will be sent again."""
        self.graph.begin()
        self.config_complete = False
        self._config_ended = False
        self._config_at = self._clock()

    def config_received(self, message: ConfigMessage) -> None:
        """Configuration came."""
        self._config_at = self._clock()
        self.graph.apply(message)
        self.mark()

    def end_of_config(self) -> None:
        """The control says that was all."""
        self._config_ended = True
        self._check_complete()

    # time

    def tick(self) -> None:
        """Once a second: completeness by silence, the configuration's file, stale ports."""
        self._check_complete()
        self.save_config()
        expired = self.ports.expire(
            self._clock(), self.settings.stale_port_seconds, self._vouch_for
        )
        for vmi in expired:
            log.warning("stale_port_removed", port=vmi)

    def _vouch_for(self, port: Port) -> bool:
        return not self.config_complete or port.vmi in self.oper.interfaces

    def _check_complete(self) -> None:
        """Decide whether everything is known again; see the module."""
        now = self._clock()
        if not self.config_complete and self._config_is_whole(now):
            gone = self.graph.sweep()
            self.config_complete = True
            log.info("config_complete", objects=len(self.graph), stale=gone)
            self._reset_route_quiet(now)
            self._check_self()
            self.mark()
        if not self.config_complete:
            return
        for session, state in enumerate(self._sessions):
            if self._routes_are_whole(state, now) and not self.rib.is_complete(session):
                gone = self.rib.end_of_rib(session)
                log.info("routes_complete", control=session, stale=gone)
                self.mark()
        if not self.complete and self.rib.complete:
            self.complete = True
            log.info("agent_complete", inherited=self.writer.inherited)
            self.mark()

    def _check_self(self) -> None:
        """A host that the configuration does not name gets no machines: say so."""
        name = f"{GLOBAL_CONFIG}:{self.settings.name}"
        if self.graph.resource(VirtualRouter, name) is None:
            log.warning("no_configuration_for_self", expected=f"virtual-router {name}")

    def _config_is_whole(self, now: float) -> bool:
        if not any(state.up_at is not None for state in self._sessions) or not self._config_at:
            return False
        quiet = now - self._config_at
        if self._config_ended:
            # Configuration of virtual machines asked for late may follow the mark.
            return self._ports_are_fresh() or quiet >= ROUTE_QUIET_SECONDS
        return quiet >= self.settings.config_quiet_seconds

    def _ports_are_fresh(self) -> bool:
        """Every port's configuration was sent by the control that has the role now."""
        return not self.oper.waiting and all(
            self.graph.is_fresh(("virtual-machine-interface", interface.name))
            for interface in self.oper.interfaces.values()
        )

    def _reset_route_quiet(self, now: float) -> None:
        for state in self._sessions:
            state.routes_at = max(state.routes_at, now)

    def _routes_are_whole(self, state: _SessionState, now: float) -> bool:
        if state.up_at is None:
            return False
        quiet = now - state.routes_at >= ROUTE_QUIET_SECONDS
        return (state.ended and quiet) or now - state.up_at >= self.settings.end_of_rib_seconds

    # reconciliation

    def mark(self) -> None:
        """Something changed: reconcile once, soon; at once when the last time was cheap.

        A reconciliation that took long is followed by as long a pause (at most
        :data:`PAUSE_SECONDS`), so that a flood of routes is taken in by a few.
        """
        if self._scheduled is None:
            loop = asyncio.get_running_loop()
            self._scheduled = loop.call_at(max(self._not_before, loop.time()), self._run)

    def stop(self) -> None:
        """Do nothing any more."""
        if self._scheduled is not None:
            self._scheduled.cancel()

    def _run(self) -> None:
        self._scheduled = None
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self.reconcile()
        ended = loop.time()
        if ended - begun > CHEAP_SECONDS:
            self._not_before = ended + min(ended - begun, PAUSE_SECONDS)

    def reconcile(self) -> None:
        """Go from what is known to what is wanted, and bring it about."""
        self.reconciliations += 1
        self.oper = compile_oper(
            self.graph, self.ports.ports(), self.kernel.devices, self.settings.encapsulations
        )
        self._report_waiting()
        host = self._host()
        if host is None:
            return
        order = fwd.supported_order(self.oper, fwd.Encapsulation)
        self._compile_vrfs(order)
        self.kernel.watch(self._remotes())
        try:
            self.tables = number(self.ids, self.oper, self.vrf_tables, host)
            self._advertisement = advertise(self.oper, self._origin(host, order))
        except IdsExhausted as error:
            log.error("ids_exhausted", reason=str(error))
            return
        self.ids.save()
        self._harden_ports()
        self.last_result = self.writer.apply(self.tables, self.complete)
        for failure in self.last_result.failures[:10]:
            log.error("datapath_write_failed", reason=failure)
        self._release_unused()
        self.on_wanted()

    def _harden_ports(self) -> None:
        """Before a port is attached, close its host end."""
        present = set()
        for interface in self.oper.interfaces.values():
            if interface.device is None:
                continue
            port = (interface.device.name, interface.device.ifindex)
            present.add(port)
            if port not in self._hardened:
                for problem in harden_port(interface.device.name):
                    log.warning("port_not_hardened", port=interface.vmi, reason=problem)
        self._hardened = present

    def _report_waiting(self) -> None:
        for vmi, reason in self.oper.waiting.items():
            if self._waiting.get(vmi) != reason:
                log.info("port_waits", port=vmi, reason=reason)
        for vmi in self.oper.interfaces:
            if vmi in self._waiting:
                log.info("port_ready", port=vmi)
        self._waiting = dict(self.oper.waiting)

    def _host(self) -> Host | None:
        device = self.kernel.devices.get(self.settings.fabric)
        if device is None:
            log.error("fabric_interface_missing", interface=self.settings.fabric)
            return None
        pkt0 = self.kernel.devices.get(self.pkt0) if self.pkt0 else None
        return Host(device, self.settings.address, pkt0, self.kernel.neighbours)

    def _origin(self, host: Host, order: tuple[fwd.Encapsulation, ...]) -> Origin:
        return Origin(
            address=host.address,
            mac=host.device.mac,
            order=order,
            vrf_id=lambda name: self.ids.allocate("vrf", name),
            label=lambda key: self.ids.allocate("label", key),
        )

    def _compile_vrfs(self, order: tuple[fwd.Encapsulation, ...]) -> None:
        """Compile the VRFs whose inputs differ; forget those that are gone."""
        context = fwd.Context(self.settings.address, order, self.ids["label"].key_of)
        members: dict[str, list[Interface]] = {name: [] for name in self.oper.vrfs}
        for vmi in sorted(self.oper.interfaces):
            interface = self.oper.interfaces[vmi]
            members[interface.vrf].append(interface)
        for name, vrf in self.oper.vrfs.items():
            inputs = (vrf, tuple(members[name]), order)
            cached = self._cache.get(name)
            if cached is None or cached.inputs != inputs or name in self.rib.dirty:
                tables = fwd.compile_vrf(vrf, members[name], self.rib.routes(name), context)
                self._cache[name] = _CachedVrf(inputs, tables)
        for name in [name for name in self._cache if name not in self.oper.vrfs]:
            del self._cache[name]
            self.rib.forget(name)
        self.rib.dirty.clear()
        self.vrf_tables = {name: cached.tables for name, cached in self._cache.items()}

    def _remotes(self) -> set[IPv4Address]:
        remotes: set[IPv4Address] = set()
        for tables in self.vrf_tables.values():
            for route in tables.routes.values():
                _collect(route.nexthop, remotes)
            for entry in tables.bridge.values():
                _collect(entry.nexthop, remotes)
        return remotes

    # numbers

    def _reserve_held(self) -> None:
        """Keep numbers that an earlier run wrote, and that no name holds, from being given
        out while they are in the datapath."""
        for space, numbers in self._held_numbers().items():
            for held in numbers:
                self.ids[space].reserve(held)

    def _held_numbers(self) -> dict[str, set[int]]:
        held = self.writer.held
        vrfs = {vif.vrf for vif in held.vifs.values()}
        vrfs.update(nexthop.vrf for nexthop in held.nexthops.values())
        vrfs.update(vrf for vrf, _ in held.routes)
        vrfs.update(vrf for vrf, _ in held.bridge)
        return {
            "vif": set(held.vifs),
            "vrf": vrfs,
            "nh": set(held.nexthops),
            "label": set(held.labels),
        }

    def _release_unused(self) -> None:
        """Free the numbers of names that are not wanted and not in the datapath any more."""
        if not self.complete and self.writer.inherited:
            return
        held = self._held_numbers()
        for name, used in self.tables.names.items():
            space = self.ids[name]
            for key, taken in list(space.by_key.items()):
                if key not in used and taken not in held[name]:
                    self.ids.release(name, key)

    # what others ask

    def interface_of_vif(self, vif: int) -> Interface | None:
        """The interface that has a vif."""
        vmi = self.ids["vif"].key_of(vif)
        return self.oper.interfaces.get(vmi) if vmi else None

    def vif_of(self, vmi: str) -> int | None:
        """The vif of an interface."""
        return self.ids["vif"].by_key.get(vmi)

    @property
    def fabric_device(self) -> Device | None:
        """The device that carries tunnels."""
        return self.kernel.devices.get(self.settings.fabric)


def _collect(nexthop: fwd.NextHop, remotes: set[IPv4Address]) -> None:
    """Add the tunnel ends a next hop leads to."""
    if isinstance(nexthop, fwd.Tunnel):
        remotes.add(nexthop.remote)
    elif isinstance(nexthop, fwd.Ecmp | fwd.Flood):
        for leg in nexthop.members:
            _collect(leg.nexthop, remotes)
        if isinstance(nexthop, fwd.Flood):
            for part in nexthop.parts:
                _collect(part, remotes)
