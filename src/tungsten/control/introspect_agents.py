"""Agents as neighbours: the rows that ``ctr nei`` and ``ctr xmpp`` show of them; and what was
refused of each, with metrics of the same.

An agent appears while it is known: with a session, or without one while its routes are kept.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .agents import Agent, Subscription
from .introspect_routes import stamp
from .introspect_structs import BgpNeighborResp, ShowAgent, ShowAgentInstance, ShowXmppConnection
from .tables import MASTER
from .xmpp_peers import XmppPeers

_FAMILIES = ("inet", "inet6", "e-vpn")


def agent_neighbours(peers: XmppPeers, local_address: str, asn: int) -> Iterator[BgpNeighborResp]:
    """A row for each agent, in the form of BGP neighbours."""
    for agent in list(peers.agents.values()):
        up = agent.is_established
        if not up:
            send_state = "not advertising"
        else:
            send_state = "not in sync" if peers.told.is_behind(agent) else "in sync"
        yield BgpNeighborResp(
            instance_name=MASTER,
            peer=agent.name,
            peer_address=agent.address,
            peer_id=agent.address,
            encoding="XMPP",
            state="Established" if up else "Idle",
            closed_at="" if up else stamp(agent.flapped_at),
            passive=True,
            send_ready=agent.is_ready,
            local_address=local_address,
            local_id=socket.inet_ntoa(peers.router_id),
            local_asn=asn,
            send_state=send_state,
            last_event=agent.last_event,
            last_state="Active" if up else "Established",
            last_state_at=stamp(agent.changed_at),
            last_error=agent.last_error,
            configured_address_families=_FAMILIES,
            negotiated_address_families=_FAMILIES if up else (),
            configured_hold_time=int(peers.hold_time),
            negotiated_hold_time=int(peers.hold_time) if up else 0,
            primary_path_count=agent.route_count,
            flap_count=agent.flaps,
            flap_time=stamp(agent.flapped_at),
        )


def xmpp_connections(peers: XmppPeers, local_endpoint: str) -> Iterator[ShowXmppConnection]:
    """A row for each agent that has a session."""
    for agent in list(peers.agents.values()):
        if agent.connection is None:
            continue
        yield ShowXmppConnection(
            name=agent.name,
            remote_endpoint=agent.connection.endpoint,
            local_endpoint=local_endpoint,
            state="Established" if agent.is_established else "Active",
            last_event=agent.last_event,
            last_state="Active",
            last_state_at=stamp(agent.changed_at),
            receivers=_receivers(agent),
        )


def _receivers(agent: Agent) -> tuple[str, ...]:
    return ("BGP", "IFMap") if agent.config is not None else ("BGP",)


def agents_shown(peers: XmppPeers) -> Iterator[ShowAgent]:
    """Each agent with its instances, and what is refused of it: by reason, and route by route."""
    for agent in list(peers.agents.values()):
        yield ShowAgent(
            name=agent.name,
            address=agent.address,
            state="Established" if agent.is_established else "Stale",
            flap_count=agent.flaps,
            routes=agent.route_count,
            refusals=[f"{reason}: {count}" for reason, count in sorted(agent.refused.items())],
            instances=[_instance(agent, each) for each in agent.subscriptions.values()],
        )


def _instance(agent: Agent, subscription: Subscription) -> ShowAgentInstance:
    state = "subscribed" if subscription.session == agent.session else "subscribed-gr-stale"
    if agent.is_long_lived:
        state = "subscribed-llgr-stale"
    return ShowAgentInstance(
        name=subscription.instance,
        state=state if subscription.granted else "pending",
        routes=len(subscription.published),
        refused=[each.refused for each in subscription.published.values() if each.refused],
    )


class AgentMetrics(Collector):
    """How many agents, routes and refusals there are, for ``/metrics``."""

    def __init__(self, peers: XmppPeers, refused_connections: Counter[str]) -> None:
        self._peers = peers
        self._refused_connections = refused_connections

    def collect(self) -> Iterator[Metric]:
        """The present numbers."""
        agents = GaugeMetricFamily("tungsten_control_agents", "Agents known.", labels=["state"])
        known = list(self._peers.agents.values())
        up = sum(agent.is_established for agent in known)
        agents.add_metric(["established"], up)
        agents.add_metric(["stale"], len(known) - up)
        yield agents
        refused = CounterMetricFamily(
            "tungsten_control_refused", "What agents said and was refused.", labels=["reason"]
        )
        for reason, count in sorted((self._peers.refused + self._refused_connections).items()):
            refused.add_metric([reason], count)
        yield refused
        yield GaugeMetricFamily(
            "tungsten_control_agent_routes",
            "Routes published by agents.",
            value=sum(agent.route_count for agent in known),
        )
