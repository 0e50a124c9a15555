"""What is known of an agent: its session, its subscriptions, and the routes it published.

An :class:`Agent` is a host by name and outlives its sessions. Each session has a number;
subscriptions and routes carry the number of the session that last said them, so those of an
earlier session are stale. :class:`~tungsten.control.xmpp_peers.XmppPeers` is the only writer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from tungsten.bgp.families import Family
from tungsten.xmpp.stanzas import Item
from tungsten.xmpp.transport import Connection

from .config_export import ConfigClient
from .paths import Protocol, Source


@dataclass(slots=True)
class Published:
    """A route as its agent said it, and where it stands in the instance's tables."""

    item: Item
    session: int
    keys: tuple[bytes, ...] = ()
    #: Why the configuration does not let the agent say it now; it counts once it does.
    refused: str = ""


@dataclass(slots=True)
class Subscription:
    """An agent's membership of an instance."""

    instance: str
    instance_id: int
    no_ribout: bool
    session: int
    #: Whether the configuration lets the agent in now; until then it is pending.
    granted: bool = True
    published: dict[tuple[Family, str], Published] = field(default_factory=dict)


class Agent:
    """A host that speaks XMPP with us, now or until recently."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = Source(name, Protocol.XMPP)
        self.address = ""
        self.connection: Connection | None = None
        self.session = 0
        self.subscriptions: dict[str, Subscription] = {}
        #: Routes it has published, stale ones included.
        self.route_count = 0
        self.refused: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.flaps = 0
        self.last_error = ""
        self.last_event = ""
        #: Times on the wall clock: of the last change of state, and of the last loss.
        self.changed_at = 0.0
        self.flapped_at = 0.0
        self.established_at = 0.0
        self.active_at = 0.0
        self.end_of_rib_sent = False
        self.end_of_rib_received = False
        #: The restart time is over: its routes are a last resort.
        self.is_long_lived = False
        self.timer: asyncio.TimerHandle | None = None
        self.config: ConfigClient | None = None
        #: Machines it has asked for, and in which session last.
        self.machines: dict[str, int] = {}

    @property
    def is_established(self) -> bool:
        """Whether its session is up."""
        return self.connection is not None and self.connection.established

    @property
    def is_ready(self) -> bool:
        """Whether it takes messages now (:class:`~tungsten.control.ribout.Member`)."""
        return self.is_established and self.connection is not None and self.connection.writable

    def deliver(self, *message: bytes) -> None:
        """Send a route message (:class:`~tungsten.control.ribout.Member`)."""
        if self.connection is not None and self.connection.established:
            self.connection.send_encoded(*message)
            self.sent["messages"] += 1
            self.active_at = asyncio.get_running_loop().time()

    def cancel_timer(self) -> None:
        """Stop whatever timer of the restart procedure runs."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
