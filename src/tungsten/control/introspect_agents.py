"""Agents as neighbours: the rows that ``ctr nei`` and ``ctr xmpp`` show of them.

An agent appears while it is known: with a session, or without one while its routes are kept.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from .agents import Agent
from .introspect_routes import stamp
from .introspect_structs import BgpNeighborResp, ShowXmppConnection
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
            send_state = "not in sync" if peers.is_behind(agent) else "in sync"
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
