"""Sessions with the controls: what this host wants of them and tells them, kept in step.

Both controls carry routes; exactly one, the first to be ready, carries the configuration, and on
its loss the other takes over (upstream's *config role*). Which machines are here is told to both:
a control lets a host speak for machines that it has asked for. Each session is level-triggered: it
remembers what it sent, and :meth:`ControlSession.sync` sends the difference to what is wanted
now. A session that comes up has sent nothing, so everything goes out again; when it is all out
and the configuration is complete, it says end-of-rib once, so that the control may drop what it
kept of us from before.

A control that reads slower than we send is waited for: ``sync`` stops and goes on when the
backlog has drained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from tungsten.agent.advertise import Advertisement, RouteKey
from tungsten.agent.settings import Endpoint
from tungsten.xmpp.routes import Item
from tungsten.xmpp.stanzas import (
    ConfigMessage,
    ConfigSubscribe,
    ConfigUnsubscribe,
    EndOfConfig,
    EndOfRib,
    Publish,
    RouteRetract,
    RouteUpdate,
    Stanza,
    Subscribe,
    Unsubscribe,
    Withdraw,
)
from tungsten.xmpp.stream import SessionOptions
from tungsten.xmpp.tls import TlsFiles
from tungsten.xmpp.transport import TransportOptions, XmppClient

log = structlog.get_logger("tungsten.agent")

GLOBAL_CONFIG = "default-global-system-config"


class Listener(Protocol):
    """What the sessions tell the agent. ``session`` counts controls from 0."""

    def session_up(self, session: int) -> None:
        """A session is established."""

    def session_down(self, session: int) -> None:
        """A session ended."""

    def routes_received(self, session: int, stanza: RouteUpdate | RouteRetract) -> None:
        """Routes came or went."""

    def end_of_rib(self, session: int) -> None:
        """A control has sent all its routes."""

    def config_begins(self) -> None:
        """Another control takes the config role: what is sent from now on is all there is."""

    def config_received(self, message: ConfigMessage) -> None:
        """Configuration came from the control that has the config role."""

    def end_of_config(self) -> None:
        """That control has sent the whole configuration."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the sessions are to bring about: routes told, virtual machines asked about."""

    advertisement: Advertisement = field(default_factory=lambda: Advertisement({}, {}))
    machines: frozenset[str] = frozenset()
    complete: bool = False


class ControlSession:
    """The session with one control."""

    def __init__(
        self, number: int, endpoint: Endpoint, name: str, owner: Controls, options: TransportOptions
    ) -> None:
        self.number = number
        self.endpoint = endpoint
        self._owner = owner
        self._instances: dict[str, int] = {}
        self._routes: dict[RouteKey, Item] = {}
        self._machines: set[str] = set()
        self._ended = False
        self.client = XmppClient(
            endpoint.host,
            endpoint.port,
            name,
            on_established=self._up,
            on_stanza=self._received,
            on_closed=self._down,
            on_writable=lambda: self.sync(owner.wanted),
            source_address=owner.source_address,
            options=options,
        )

    @property
    def established(self) -> bool:
        """The session is up."""
        return self.client.is_established

    @property
    def has_config(self) -> bool:
        """This session carries the configuration."""
        return self._owner.config_role is self

    @property
    def published(self) -> int:
        """How many routes this control was told."""
        return len(self._routes)

    def take_config_role(self, name: str) -> None:
        """Ask for the configuration of this host."""
        self.client.send(ConfigSubscribe("virtual-router", f"{GLOBAL_CONFIG}:{name}"))
        self._machines = set()
        self.sync(self._owner.wanted)

    def sync(self, wanted: Wanted) -> None:
        """Send what differs from what was sent, as far as the control takes it now."""
        if not self.established:
            return
        self._sync_machines(wanted.machines)
        done = (
            self._withdraw(wanted.advertisement)
            and self._subscribe(wanted.advertisement)
            and self._publish(wanted.advertisement)
        )
        if done and wanted.complete and not self._ended:
            self._ended = True
            self.client.send(EndOfRib())

    def _sync_machines(self, wanted: frozenset[str]) -> None:
        for machine in sorted(wanted - self._machines):
            self.client.send(ConfigSubscribe("virtual-machine", machine))
            self._machines.add(machine)
        for machine in sorted(self._machines - wanted):
            self.client.send(ConfigUnsubscribe("virtual-machine", machine))
            self._machines.discard(machine)

    def _withdraw(self, wanted: Advertisement) -> bool:
        """Withdraw routes, then leave VRFs; a VRF whose number differs is left and joined."""
        left = [i for i, number in self._instances.items() if wanted.instances.get(i) != number]
        for key in [k for k in self._routes if k not in wanted.routes or k[0] in left]:
            if not self.client.is_writable:
                return False
            self.client.send(Withdraw(key[0], self._routes.pop(key)))
        for instance in left:
            self.client.send(Unsubscribe(instance))
            del self._instances[instance]
        return True

    def _subscribe(self, wanted: Advertisement) -> bool:
        for instance, number in wanted.instances.items():
            if instance not in self._instances:
                if not self.client.is_writable:
                    return False
                self.client.send(Subscribe(instance, number))
                self._instances[instance] = number
        return True

    def _publish(self, wanted: Advertisement) -> bool:
        for key, item in wanted.routes.items():
            if self._routes.get(key) != item:
                if not self.client.is_writable:
                    return False
                self.client.send(Publish(key[0], item))
                self._routes[key] = item
        return True

    def _up(self) -> None:
        log.info("control_up", control=f"{self.endpoint.host}:{self.endpoint.port}")
        self._instances, self._routes, self._machines = {}, {}, set()
        self._ended = False
        self._owner.went_up(self)

    def _down(self, reason: str) -> None:
        log.warning(
            "control_down", control=f"{self.endpoint.host}:{self.endpoint.port}", reason=reason
        )
        self._owner.went_down(self)

    def _received(self, stanza: Stanza) -> None:
        listener = self._owner.listener
        match stanza:
            case RouteUpdate() | RouteRetract():
                listener.routes_received(self.number, stanza)
            case EndOfRib():
                listener.end_of_rib(self.number)
            case ConfigMessage() if self.has_config:
                listener.config_received(stanza)
            case EndOfConfig() if self.has_config:
                listener.end_of_config()
            case _:
                log.debug("stanza_ignored", kind=type(stanza).__name__, control=self.number)


class Controls:
    """The sessions with all controls, and which of them has the config role."""

    def __init__(
        self,
        endpoints: tuple[Endpoint, ...],
        name: str,
        listener: Listener,
        *,
        source_address: str,
        hold_seconds: float,
        tls: TlsFiles | None = None,
        on_wanted: Callable[[], Wanted],
    ) -> None:
        self.listener = listener
        self.source_address = source_address
        self.config_role: ControlSession | None = None
        self._name = name
        self._on_wanted = on_wanted
        options = TransportOptions(session=SessionOptions(hold_time=hold_seconds), tls=tls)
        self.sessions = tuple(
            ControlSession(number, endpoint, name, self, options)
            for number, endpoint in enumerate(endpoints)
        )

    @property
    def wanted(self) -> Wanted:
        """What is wanted now."""
        return self._on_wanted()

    async def start(self) -> None:
        """Begin to connect."""
        for session in self.sessions:
            await session.client.start()

    async def stop(self) -> None:
        """Close the sessions."""
        for session in self.sessions:
            await session.client.stop()

    def sync(self) -> None:
        """Bring every session up to what is wanted now."""
        wanted = self.wanted
        for session in self.sessions:
            session.sync(wanted)

    def went_up(self, session: ControlSession) -> None:
        """A session is established: it may take the config role, and is told everything."""
        self.listener.session_up(session.number)
        if self.config_role is None:
            self._give_config_role(session)
        else:
            session.sync(self.wanted)

    def went_down(self, session: ControlSession) -> None:
        """A session ended: another takes its config role."""
        self.listener.session_down(session.number)
        if self.config_role is session:
            self.config_role = None
            other = next((s for s in self.sessions if s is not session and s.established), None)
            if other is not None:
                self._give_config_role(other)

    def _give_config_role(self, session: ControlSession) -> None:
        self.config_role = session
        self.listener.config_begins()
        session.take_config_role(self._name)
