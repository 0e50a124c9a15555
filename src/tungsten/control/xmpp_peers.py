"""Agents: their sessions, subscriptions, published routes, and what they are owed.

An :class:`~tungsten.control.agents.Agent` outlives its sessions. What it has said is kept as it
said it (``Subscription.published``) and put into the tables of the instance while the
instance exists. So the order in which configuration and agents speak does not matter: a
subscription to an instance that is not there (yet, or any more) is *pending*, and takes effect
when the instance comes.

When a session is lost and graceful restart is on, subscriptions and routes stay, stale. The
next session of the same agent says again what holds; after its end-of-RIB, or when that does
not come in time, what it did not say again is withdrawn. Without a next session within the
restart time all is withdrawn. Each session has a number; what was said in an earlier one is
stale.

A route that cannot be taken (no label, several next hops, too many routes...) is refused alone
and counted. What breaks the conversation closes the session, with the reason: publishing into
an instance that was not subscribed, subscribing twice, unsubscribing what was not subscribed,
stanzas that do not parse. Other sessions never notice.

Where configuration gives an agent's virtual-router an address, sessions under its name are taken
from there (or from this very host) only, and its routes must lead there. One name has one
session. A second connection under the name replaces the first when it comes from the same
address (the host restarted, and its old connection is dead without knowing) or proves its name by
certificate, and is refused while the first lives when it comes from another without.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import structlog

from tungsten.bgp.families import Family
from tungsten.xmpp.errors import ProtocolError
from tungsten.xmpp.stanzas import (
    ConfigSubscribe,
    ConfigUnsubscribe,
    EndOfRib,
    EnetItem,
    Item,
    Publish,
    Stanza,
    Subscribe,
    Unsubscribe,
    Withdraw,
)
from tungsten.xmpp.transport import Connection

from .agents import Agent, Published, Subscription
from .bgp_long_lived import make_long_lived
from .config_export import ConfigExporter
from .config_graph import GraphDelta
from .instances import Instance, Instances
from .ownership import Ownership
from .paths import Path, Source
from .ribouts import RibOuts
from .settings import ControlSettings
from .tables import Rib
from .xmpp_routes import Refused, Reporter, family_of, read_item

_log = structlog.get_logger("tungsten.control")
#: Agents that are brought in line with the configuration between two turns of the event loop.
AGENTS_PER_SLICE = 32
_LOGGED_REFUSALS = 20


class XmppPeers:
    """All agents; the handler of the XMPP server's connections."""

    def __init__(
        self,
        settings: ControlSettings,
        rib: Rib,
        instances: Instances,
        config: ConfigExporter,
    ) -> None:
        self.settings = settings
        self.graceful_restart = settings.graceful_restart
        self.restart_time = settings.restart_time
        self.long_lived_time = settings.long_lived_time
        self.end_of_rib_time = settings.end_of_rib_time
        self.hold_time = settings.xmpp_hold_time
        self.router_id = bytes(4)
        self.agents: dict[str, Agent] = {}
        self.refused: Counter[str] = Counter()
        self._rib = rib
        self._instances = instances
        self._config = config
        self._by_connection: dict[Connection, Agent] = {}
        self._by_source: dict[Source, Agent] = {}
        self.told = RibOuts(instances, self._by_source.get)
        self.ownership = Ownership(config.graph, settings.gateway_agents)
        #: The tunnel address that configuration gives an agent of a name, empty if none.
        self.address_of: Callable[[str], str] = lambda _: ""
        #: Whether all that there is to be told has been told, before the start-up time is over.
        self.nothing_missing: Callable[[], bool] = lambda: False
        #: Told of an instance when an agent's number of it came, changed or went.
        self.on_registered: list[Callable[[str], None]] = []
        self._started_at = asyncio.get_running_loop().time()
        instances.on_created.append(self._instance_created)
        instances.on_changed.append(self._instance_changed)
        instances.on_deleted.append(self._instance_deleted)

    # --- the server's handler

    def established(self, connection: Connection) -> None:
        """An agent opened a session."""
        name = connection.peer
        agent = self.agents.get(name)
        if name.endswith("/dns"):
            self._refuse(connection, "dns", "this is the routing and configuration server")
            return
        expected = self._expected_address(name)
        if expected and expected != connection.address and not connection.is_local:
            text = f"the virtual-router {name} is at {expected}, not at {connection.address}"
            self._refuse(connection, "address", text)
            return
        if agent is not None and agent.connection is not None:
            if agent.address != connection.address and not connection.proven:
                text = f"{name} has a session from {agent.address}"
                self._refuse(connection, "conflict", text)
                return
            agent.connection.close("conflict", f"replaced by a newer session of {name}")
            agent = self.agents.get(name)
        if agent is None:
            agent = self.agents[name] = Agent(name)
            self._by_source[agent.source] = agent
        self._by_connection[connection] = agent
        now = asyncio.get_running_loop().time()
        agent.connection = connection
        agent.address = connection.address
        agent.session += 1
        agent.established_at = agent.active_at = now
        agent.end_of_rib_sent = agent.end_of_rib_received = agent.is_long_lived = False
        agent.changed_at = time.time()
        agent.source.address = agent.source.router_id = _packed(connection.address)
        agent.cancel_timer()
        if agent.subscriptions:
            loop = asyncio.get_running_loop()
            agent.timer = loop.call_later(self.end_of_rib_time, self._sweep, agent)
        _log.info("agent_up", agent=name, address=agent.address, session=agent.session)

    def received(self, connection: Connection, stanza: Stanza) -> None:
        """An agent said something. Raises :class:`ProtocolError` to close its session."""
        agent = self._by_connection.get(connection)
        if agent is None:
            return
        agent.last_event = type(stanza).__name__
        agent.received[agent.last_event] += 1
        match stanza:
            case Publish(instance, item):
                self._publish(agent, instance, item)
            case Withdraw(instance, item):
                self._withdraw(agent, instance, item)
            case Subscribe():
                self._subscribe(agent, stanza)
            case Unsubscribe(instance):
                self._unsubscribe(agent, instance)
            case EndOfRib():
                agent.end_of_rib_received = True
                self._sweep(agent)
            case ConfigSubscribe(kind, name):
                self._config_subscribe(agent, kind, name)
            case ConfigUnsubscribe(kind, name):
                if kind == "virtual-machine":
                    self._unclaim(agent, name)
            case _:
                agent.refused["unknown-stanza"] += 1
                return
        agent.active_at = asyncio.get_running_loop().time()

    def writable(self, connection: Connection) -> None:
        """An agent that read slowly has caught up."""
        agent = self._by_connection.get(connection)
        if agent is None:
            return
        for subscription in agent.subscriptions.values():
            self.told.wake(subscription.instance)
        self._config.wake()

    def closed(self, connection: Connection, condition: str, text: str) -> None:
        """An agent's session is over."""
        agent = self._by_connection.pop(connection, None)
        if agent is None or agent.connection is not connection:
            return
        agent.connection = None
        agent.flaps += 1
        agent.changed_at = agent.flapped_at = time.time()
        agent.last_error = f"{condition}: {text}" if condition else text
        agent.cancel_timer()
        for subscription in agent.subscriptions.values():
            self.told.leave(agent, subscription.instance)
        if agent.config is not None:
            self._config.remove(agent.config)
            agent.config = None
        _log.info("agent_down", agent=agent.name, reason=agent.last_error)
        if not self.graceful_restart or not agent.subscriptions:
            self._delete(agent)
            return
        self._rib.stale(agent.source)
        loop = asyncio.get_running_loop()
        agent.timer = loop.call_later(self.restart_time, self._outlast, agent)

    def _expected_address(self, name: str) -> str:
        return self.address_of(name) if self.settings.verify_agents else ""

    def _refuse(self, connection: Connection, reason: str, text: str) -> None:
        self.refused[reason] += 1
        _log.warning("agent_refused", agent=connection.peer, reason=reason, text=text)
        connection.close("conflict", text)

    def _violation(self, agent: Agent, reason: str, text: str) -> ProtocolError:
        agent.refused[reason] += 1
        self.refused[reason] += 1
        return ProtocolError("policy-violation", text)

    # --- what agents say

    def _subscribe(self, agent: Agent, said: Subscribe) -> None:
        name = said.instance
        known = agent.subscriptions.get(name)
        if known is not None and known.session == agent.session:
            raise self._violation(agent, "duplicate-subscribe", f"{name} is subscribed already")
        if known is None:
            if len(agent.subscriptions) >= self.settings.max_subscriptions_per_agent:
                most = self.settings.max_subscriptions_per_agent
                raise self._violation(
                    agent, "too-many-subscriptions", f"{name} would be one more than {most}"
                )
            known = Subscription(name, said.instance_id, said.no_ribout, agent.session)
            agent.subscriptions[name] = known
        known.session = agent.session
        known.instance_id = said.instance_id
        known.no_ribout = said.no_ribout
        self._admit(agent, known)
        self._registered(name)

    def _unsubscribe(self, agent: Agent, name: str) -> None:
        subscription = agent.subscriptions.get(name)
        if subscription is None or subscription.session != agent.session:
            raise self._violation(agent, "spurious-unsubscribe", f"{name} is not subscribed")
        self.told.leave(agent, subscription.instance)
        self._drop_subscription(agent, subscription)

    def _subscription(self, agent: Agent, name: str) -> Subscription:
        subscription = agent.subscriptions.get(name)
        if subscription is None or subscription.session != agent.session:
            raise self._violation(
                agent, "not-subscribed", f"route for {name}, which is not subscribed"
            )
        return subscription

    def _publish(self, agent: Agent, name: str, item: Item) -> None:
        subscription = self._subscription(agent, name)
        ident = (family_of(item), item.id)
        known = subscription.published.get(ident)
        if known is None and agent.route_count >= self.settings.max_routes_per_agent:
            most = self.settings.max_routes_per_agent
            self._refuse_route(agent, Refused("too-many-routes", f"{item.id}: over {most}"))
            return
        if known is None:
            known = subscription.published[ident] = Published(item, agent.session)
            agent.route_count += 1
        known.item = item
        known.session = agent.session
        instance = self._instances.get(name)
        if instance is not None and subscription.granted:
            self._put(agent, subscription, ident, known, instance)

    def _withdraw(self, agent: Agent, name: str, item: Item) -> None:
        subscription = self._subscription(agent, name)
        ident = (family_of(item), item.id)
        if ident not in subscription.published and isinstance(item, EnetItem):
            ident = _broadcast_of(subscription, item) or ident
        known = subscription.published.pop(ident, None)
        if known is None:
            agent.refused["spurious-withdraw"] += 1
            return
        agent.route_count -= 1
        self._take_back(agent, name, ident[0], known)

    def _put(
        self,
        agent: Agent,
        subscription: Subscription,
        ident: tuple[Family, str],
        published: Published,
        instance: Instance,
    ) -> None:
        """Put a published route into the instance's table; a refused one leaves nothing."""
        reporter = Reporter(agent.source, subscription.instance_id)
        entries: list[tuple[bytes, Path]] = []
        try:
            expected = self._expected_address(agent.name)
            for hop in published.item.next_hops:
                if expected and hop.address != expected:
                    text = f"{ident[1]}: next hop {hop.address} is not the agent's {expected}"
                    raise Refused("next-hop-owner", text)
            if ident[0] not in instance.tables:
                raise Refused("family", f"{instance.name} has no {ident[0]} routes")
            entries = read_item(published.item, reporter, instance, self._instances.replication.asn)
            before, published.refused = (
                published.refused,
                self._why_not(agent, subscription, published),
            )
            if published.refused:
                entries = []
                if not before:
                    self._refuse_route(agent, Refused("route-owner", published.refused))
        except Refused as refused:
            self._refuse_route(agent, refused)
            del subscription.published[ident]
            agent.route_count -= 1
        keys = tuple(key for key, _ in entries)
        for key in published.keys:
            if key not in keys:
                instance.tables[ident[0]].withdraw(key, agent.source)
        for key, path in entries:
            instance.tables[ident[0]].add(key, path)
        published.keys = keys

    def _take_back(self, agent: Agent, name: str, family: Family, published: Published) -> None:
        instance = self._instances.get(name)
        if instance is None:
            return
        for key in published.keys:
            instance.tables[family].withdraw(key, agent.source)

    def _put_all(self, agent: Agent, subscription: Subscription, instance: Instance) -> None:
        for ident, published in list(subscription.published.items()):
            self._put(agent, subscription, ident, published, instance)

    def _refuse_route(self, agent: Agent, refused: Refused) -> None:
        agent.refused[refused.reason] += 1
        self.refused[refused.reason] += 1
        if agent.refused[refused.reason] <= _LOGGED_REFUSALS:
            _log.warning(
                "route_refused", agent=agent.name, reason=refused.reason, text=str(refused)
            )

    def _config_subscribe(self, agent: Agent, kind: str, name: str) -> None:
        if kind == "virtual-router":
            if agent.config is not None:
                agent.refused["duplicate-config-subscribe"] += 1
                return
            checked = self.settings.verify_ownership
            if checked and not self.ownership.of(agent.name).may_watch(name):
                self._refuse_route(agent, Refused("config-owner", f"{name} is another host's"))
                return
            assert agent.connection is not None
            may_read = self.ownership.reader(agent.name) if checked else None
            agent.config = self._config.add(name, agent.connection, may_read)
        elif kind == "virtual-machine":
            agent.machines[name] = agent.session
            self.ownership.claim(agent.name, name)
            if agent.config is not None:
                self._config.subscribe_machine(agent.config, name)
        else:
            agent.refused["config-kind"] += 1

    def _unclaim(self, agent: Agent, machine: str) -> None:
        agent.machines.pop(machine, None)
        self.ownership.unclaim(agent.name, machine)
        if agent.config is not None:
            self._config.unsubscribe_machine(agent.config, machine)
        self.told.wake()

    # --- what the configuration gives

    def graph_changed(self, delta: GraphDelta) -> None:
        """The configuration has changed: what agents have may have, too."""
        self.ownership.graph_changed(delta)
        if self.ownership.changed:
            self.told.wake()

    def _admit(self, agent: Agent, subscription: Subscription) -> None:
        """Join an agent that may join; one that may not waits until the configuration lets it."""
        name = subscription.instance
        if self.settings.verify_ownership and not self.ownership.of(agent.name).may_join(name):
            subscription.granted = False
            text = f"{name}: the virtual-router has no interface there"
            self._refuse_route(agent, Refused("not-a-member", text))
            return
        subscription.granted = True
        if not subscription.no_ribout:
            self.told.join(agent, name)

    def _why_not(self, agent: Agent, subscription: Subscription, published: Published) -> str:
        if not self.settings.verify_ownership:
            return ""
        return self.ownership.of(agent.name).why_not(subscription.instance, published.item)

    def _reconsider(self, agent: Agent) -> None:
        """Bring subscriptions and routes in line with what the configuration gives now."""
        holdings = self.ownership.of(agent.name)
        if agent.config is not None:
            self._config.reconsider(agent.config)
        for subscription in agent.subscriptions.values():
            name = subscription.instance
            granted, before = holdings.may_join(name), subscription.granted
            instance = self._instances.get(name)
            if granted and not before:
                subscription.granted = True
                if subscription.session == agent.session and agent.connection is not None:
                    self._admit(agent, subscription)
                if instance is not None:
                    self._put_all(agent, subscription, instance)
            elif granted and instance is not None:
                for ident, published in list(subscription.published.items()):
                    if holdings.why_not(name, published.item) != published.refused:
                        self._put(agent, subscription, ident, published, instance)
            elif before and not granted:
                self._revoke(agent, subscription)
        self._restale(agent)

    def _revoke(self, agent: Agent, subscription: Subscription) -> None:
        """The configuration takes an instance away; what was said waits for it to come back."""
        subscription.granted = False
        text = f"{subscription.instance}: the virtual-router has no interface there any more"
        self._refuse_route(agent, Refused("not-a-member", text))
        self.told.leave(agent, subscription.instance, retract=agent.is_established)
        for (family, _), published in subscription.published.items():
            self._take_back(agent, subscription.instance, family, published)
            published.keys = ()

    def flush(self) -> bool:
        """Do what there is to do, agents first; whether some is left that could be done at once."""
        if self.settings.verify_ownership:
            for name in list(self.ownership.changed)[:AGENTS_PER_SLICE]:
                del self.ownership.changed[name]
                agent = self.agents.get(name)
                if agent is not None:
                    self._reconsider(agent)
        else:
            self.ownership.changed.clear()
        return self.told.flush() or bool(self.ownership.changed)

    # --- restart

    def _sweep(self, agent: Agent) -> None:
        """Withdraw what the present session has not said again."""
        agent.cancel_timer()
        for machine in [m for m, session in agent.machines.items() if session != agent.session]:
            self._unclaim(agent, machine)
        swept = 0
        for subscription in list(agent.subscriptions.values()):
            for ident, published in list(subscription.published.items()):
                if published.session != agent.session:
                    del subscription.published[ident]
                    agent.route_count -= 1
                    self._take_back(agent, subscription.instance, ident[0], published)
                    swept += 1
            if subscription.session != agent.session:
                self._drop_subscription(agent, subscription)
        if swept:
            _log.info("stale_routes_swept", agent=agent.name, routes=swept)

    def _outlast(self, agent: Agent) -> None:
        """The restart time is over: keep the routes as a last resort, or not at all."""
        if self.long_lived_time <= 0:
            self._delete(agent)
            return
        _log.info("agent_long_lived", agent=agent.name, seconds=self.long_lived_time)
        agent.is_long_lived = True
        self._make_long_lived(agent)
        loop = asyncio.get_running_loop()
        agent.timer = loop.call_later(self.long_lived_time, self._delete, agent)

    def _make_long_lived(self, agent: Agent) -> None:
        for name in agent.subscriptions:
            instance = self._instances.get(name)
            for table in instance.tables.values() if instance is not None else ():
                make_long_lived(self._rib, agent.source, table)

    def _delete(self, agent: Agent) -> None:
        """Forget an agent and all it said."""
        agent.cancel_timer()
        for subscription in list(agent.subscriptions.values()):
            self._drop_subscription(agent, subscription)
        self._rib.drop(agent.source)
        if self.agents.get(agent.name) is agent:
            del self.agents[agent.name]
            self.ownership.forget(agent.name)
            self.told.wake()
        self._by_source.pop(agent.source, None)

    def _drop_subscription(self, agent: Agent, subscription: Subscription) -> None:
        for ident, published in subscription.published.items():
            self._take_back(agent, subscription.instance, ident[0], published)
        agent.route_count -= len(subscription.published)
        agent.subscriptions.pop(subscription.instance, None)
        self.told.tidy(subscription.instance)
        self._registered(subscription.instance)

    def _registered(self, instance: str) -> None:
        for tell in self.on_registered:
            tell(instance)

    def instance_id(self, source: Source, instance: str) -> int | None:
        """An agent's own number of an instance; None when it has not subscribed to it."""
        agent = self._by_source.get(source)
        subscription = agent.subscriptions.get(instance) if agent is not None else None
        return subscription.instance_id if subscription is not None else None

    # --- instances

    def _instance_created(self, instance: Instance) -> None:
        self.told.attach(instance)
        for agent, subscription in self._subscribers(instance.name):
            if subscription.granted:
                self._put_all(agent, subscription, instance)
            self._restale(agent)

    def _instance_changed(self, instance: Instance) -> None:
        self.told.instance_changed(instance)

    def _instance_deleted(self, instance: Instance) -> None:
        for _, subscription in self._subscribers(instance.name):
            for published in subscription.published.values():
                published.keys = ()

    def _restale(self, agent: Agent) -> None:
        """Put back the stale mark on routes of a session that is gone."""
        if agent.connection is None:
            self._rib.stale(agent.source)
            if agent.is_long_lived:
                self._make_long_lived(agent)

    def _subscribers(self, name: str) -> Iterator[tuple[Agent, Subscription]]:
        for agent in list(self.agents.values()):
            subscription = agent.subscriptions.get(name)
            if subscription is not None:
                yield agent, subscription

    def republish(self) -> None:
        """Read all published routes again: something that all depend on changed."""
        for agent in list(self.agents.values()):
            for subscription in agent.subscriptions.values():
                instance = self._instances.get(subscription.instance)
                if instance is not None and subscription.granted:
                    self._put_all(agent, subscription, instance)
            self._restale(agent)

    # --- time

    def tick(self, now: float) -> None:
        """Send end-of-RIB to agents that have been told everything."""
        if now < self._started_at + self.settings.startup_time and not self.nothing_missing():
            return
        for agent in self.agents.values():
            if agent.connection is None or not agent.is_ready or agent.end_of_rib_sent:
                continue
            overdue = now - agent.established_at >= self.end_of_rib_time
            idle = now - agent.active_at >= self.settings.idle_time
            if overdue or (idle and not self.told.is_behind(agent)):
                agent.connection.send(EndOfRib())
                agent.end_of_rib_sent = True

    def have_reported(self, names: Iterable[str]) -> bool:
        """Whether agents of these names are all here and have said that they have said all."""
        known = [self.agents.get(name) for name in names]
        return bool(known) and all(
            agent is not None and agent.is_established and agent.end_of_rib_received
            for agent in known
        )

    def set_hold_time(self, seconds: float) -> None:
        """Change the hold time of running sessions."""
        self.hold_time = seconds
        for connection in self._by_connection:
            connection.set_hold_time(seconds)

    def stop(self) -> None:
        """Cancel timers; sessions are the server's to close."""
        for agent in self.agents.values():
            agent.cancel_timer()


def _broadcast_of(subscription: Subscription, item: EnetItem) -> tuple[Family, str] | None:
    """The published broadcast a withdraw means: its tag may hold the label instead."""
    if not item.is_broadcast:
        return None
    for ident, published in subscription.published.items():
        said = published.item
        if isinstance(said, EnetItem) and said.is_broadcast:
            labels = {hop.label for hop in said.next_hops}
            if item.tag in (0, said.tag) or item.tag in labels:
                return ident
    return None


def _packed(address: str) -> bytes:
    try:
        return socket.inet_aton(address)
    except OSError:
        return bytes(4)
