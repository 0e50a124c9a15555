"""BGP neighbours: the rows that ``ctr nei`` shows of them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from tungsten.bgp.families import Family
from tungsten.bgp.fsm import State
from tungsten.bgp.transport import Peer

from .bgp_peers import BgpPeers, Neighbor
from .introspect_routes import stamp
from .introspect_structs import BgpNeighborResp
from .tables import MASTER

_STATES = {
    State.IDLE: "Idle",
    State.ACTIVE: "Active",
    State.CONNECT: "Connect",
    State.OPEN_SENT: "OpenSent",
    State.OPEN_CONFIRM: "OpenConfirm",
    State.ESTABLISHED: "Established",
}


def bgp_neighbours(peers: BgpPeers) -> Iterator[BgpNeighborResp]:
    """A row for each configured neighbour."""
    for neighbor in list(peers.neighbors.values()):
        yield _row(neighbor, peers)


def _row(neighbor: Neighbor, peers: BgpPeers) -> BgpNeighborResp:
    config, peer = neighbor.config, neighbor.peer
    session = config.peer.session
    up = peer is not None and peer.established
    negotiated = peer.negotiated if peer is not None and up else None
    send_state = "not advertising"
    if up:
        send_state = "not in sync" if neighbor.is_unfinished else "in sync"
    return BgpNeighborResp(
        instance_name=MASTER,
        peer=neighbor.name,
        peer_address=config.peer.address,
        peer_id=str(IPv4Address(negotiated.router_id)) if negotiated is not None else "",
        peer_asn=session.peer_as,
        encoding="BGP",
        peer_type="internal" if session.internal else "external",
        state=_STATES[peer.state] if peer is not None else "Idle",
        router_type=config.router_type,
        admin_down=config.admin_down,
        passive=session.passive,
        send_ready=peer is not None and peer.writable,
        peer_port=config.peer.port,
        local_address=config.peer.local_address,
        local_id=str(IPv4Address(session.router_id)),
        local_asn=session.local_as,
        send_state=send_state,
        last_event=_event(peer),
        last_state=_STATES[peer.last_state] if peer is not None else "Idle",
        last_state_at=stamp(peer.changed_at) if peer is not None else "",
        last_error=peer.last_error if peer is not None else "",
        configured_address_families=_names(session.families),
        negotiated_address_families=_names(negotiated.families) if negotiated is not None else (),
        configured_hold_time=session.hold_time,
        negotiated_hold_time=negotiated.hold_time if negotiated is not None else 0,
        primary_path_count=peers.rib.path_count(neighbor.source),
        flap_count=neighbor.flaps,
        flap_time=stamp(neighbor.flapped_at),
        closed_at="" if up else stamp(neighbor.flapped_at),
    )


def _event(peer: Peer | None) -> str:
    """The last event of the session's machine, ``ConnectRetryExpires``."""
    event = peer.session.last_event if peer is not None else None
    return event.name.title().replace("_", "") if event is not None else ""


def _names(families: frozenset[Family]) -> list[str]:
    return [str(family) for family in sorted(families)]
