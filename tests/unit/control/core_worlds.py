"""A control node's tables and neighbours without sockets, on either core.

Two such worlds that live through the same events must hold the same, and have told the same.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

from tungsten.bgp.attributes import AttributeStore, Context, PathAttributes
from tungsten.bgp.capabilities import GracefulRestart
from tungsten.bgp.errors import ProtocolError
from tungsten.bgp.families import EVPN, INET, INET6, INET_VPN, ROUTE_TARGET, Family
from tungsten.bgp.fsm import Down
from tungsten.bgp.messages import Framer, RouteRefresh
from tungsten.bgp.negotiation import Negotiated, SessionConfig
from tungsten.bgp.nlri import InclusiveMulticast, MacIp, nlri_text, prefix_from_text
from tungsten.bgp.transport import Peer, PeerConfig
from tungsten.bgp.update import UPDATE_TYPE, decode_update, frame
from tungsten.control.bgp_config import BgpDefaults, NeighborConfig, OwnBgp
from tungsten.control.bgp_peers import BgpPeers, Neighbor
from tungsten.control.instances import InstanceConfig, Instances
from tungsten.control.paths import ATTRIBUTES, Path, Protocol, Source
from tungsten.control.tables import Rib

FAMILIES = frozenset({INET, INET_VPN, EVPN, ROUTE_TARGET})
OWN = OwnBgp(64512, bytes((10, 0, 0, 1)), cluster_id=bytes((0, 0, 0, 9)))


class Quiet(BgpPeers):
    """Neighbours whose clock is set by hand."""

    clock = 0.0

    def now(self) -> float:
        return self.clock


class Wire:
    """Stands for a neighbour's sockets: keeps what the neighbour has been told."""

    def __init__(self, context: Context, families: frozenset[Family]) -> None:
        self.established = self.writable = True
        self.counters: Counter[str] = Counter()
        self.held: dict[tuple[Family, bytes], tuple[Any, PathAttributes]] = {}
        self.ended: set[Family] = set()
        self._context = context
        self._families = families

    def send(self, data: bytes) -> None:
        """Take whole messages, and check that each makes sense to who hears it."""
        for type_, body in Framer().feed(data):
            if type_ != UPDATE_TYPE:
                continue
            update = decode_update(body, self._context, self._families, AttributeStore())
            assert not update.faults, update.faults
            assert not update.skipped
            assert not update.ignored
            if update.end_of_rib is not None:
                self.ended.add(update.end_of_rib)
            for gone in update.unreach:
                for route in gone.routes:
                    assert (gone.family, route.key) in self.held, "withdrawn, never announced"
                    del self.held[gone.family, route.key]
            for news in update.reach:
                for route in news.routes:
                    self.held[news.family, route.key] = (route, news.attributes)


def neighbor_config(name: str, number: int, peer_as: int, **values: Any) -> NeighborConfig:
    """The configuration of a neighbour of ours."""
    session = SessionConfig(
        name=name, local_as=64512, peer_as=peer_as, router_id=OWN.router_id, families=FAMILIES
    )
    return NeighborConfig(peer=PeerConfig(session=session, address=f"10.0.0.{number}"), **values)


CONFIGS = [
    neighbor_config("client-1", 11, 64512),
    neighbor_config("client-2", 12, 64512),
    neighbor_config("reflector", 13, 64512, reflector=True),
    neighbor_config(
        "gateway", 14, 64513, encapsulations=((INET_VPN, (b"\3\x0c" + bytes(5) + b"\r",)),)
    ),
    neighbor_config("cluster", 15, 64514, control_node=True, private_as="remove", loop_count=1),
]


class CoreWorld:
    """One RIB with instances, agents and neighbours."""

    def __init__(self, rib: Rib) -> None:
        self.rib = rib
        self.instances = Instances(rib)
        self.peers = Quiet(rib, self.instances, BgpDefaults())
        self.peers.own = OWN
        self.peers._wishes.identify(OWN.asn, OWN.router_id)
        self.agents = [
            Source(f"agent-{n}", Protocol.XMPP, bytes((192, 0, 2, n)), bytes((192, 0, 2, n)))
            for n in (1, 2)
        ]
        self.neighbors = [Neighbor(self.peers, config) for config in CONFIGS]
        self.wires: dict[Neighbor, Wire] = {}
        for neighbor in self.neighbors:
            self.peers.neighbors[neighbor.config.peer.address] = neighbor
            self.peers._by_source[neighbor.source] = neighbor

    # --- what happens

    def up(self, number: int, families: frozenset[Family], wide: bool) -> None:
        """A neighbour's session is established, if it is not already."""
        neighbor = self.neighbors[number]
        if neighbor in self.wires:
            return
        session = neighbor.config.peer.session
        context = Context(session.internal, wide)
        wire = self.wires[neighbor] = Wire(context, families)
        neighbor.peer = cast(Peer, wire)
        router_id = bytes((10, 0, 0, 11 + number))
        neighbor.up(neighbor.peer, negotiated(session.peer_as, router_id, families, context))

    def down(self, number: int, keep: frozenset[Family]) -> None:
        """It is lost, and some of its routes are kept for a while."""
        neighbor = self.neighbors[number]
        wire = self.wires.pop(neighbor, None)
        if wire is not None and neighbor.peer is not None:
            wire.established = False
            neighbor.down(neighbor.peer, Down("lost", None, None, keep, 60.0))
            neighbor.peer = None

    def update(self, number: int, bodies: list[bytes]) -> str:
        """It sends messages; what went wrong, if something did, closes the session."""
        neighbor = self.neighbors[number]
        if neighbor not in self.wires or neighbor.peer is None:
            return ""
        try:
            self._take(neighbor, bodies)
        except ProtocolError as error:
            self.down(number, frozenset())
            return f"{error} {error.data.hex()}"
        return ""

    def _take(self, neighbor: Neighbor, bodies: list[bytes]) -> None:
        assert neighbor.peer is not None
        wire = self.wires[neighbor]
        if self.rib.find_run is not None:
            run = b"".join(frame(UPDATE_TYPE, body) for body in bodies)
            assert neighbor.find_run(run, 0) == len(run)
            error = neighbor.updates(neighbor.peer, run)
            if error is not None:
                raise error
            return
        for body in bodies:
            update = decode_update(body, wire._context, neighbor.families, ATTRIBUTES)
            neighbor.received(neighbor.peer, update)

    def refresh(self, number: int, family: Family) -> None:
        """It wants to hear a family again."""
        neighbor = self.neighbors[number]
        if neighbor in self.wires and neighbor.peer is not None:
            neighbor.received(neighbor.peer, RouteRefresh(family))

    def listen(self, number: int, writable: bool) -> None:
        """It begins to read slowly, or has caught up."""
        wire = self.wires.get(self.neighbors[number])
        if wire is not None:
            wire.writable = writable

    def put(self, config: InstanceConfig) -> None:
        """An instance is made or changed."""
        self.instances.put(config)

    def delete(self, name: str) -> None:
        """An instance is deleted."""
        self.instances.delete(name)

    def say(self, agent: int, name: str, what: int, attributes: PathAttributes, label: int) -> None:
        """An agent publishes a route."""
        key, family, rd = agent_route(what, agent)
        instance = self.instances.get(name)
        if instance is not None:
            path = Path(self.agents[agent], ATTRIBUTES.intern(attributes), label, rd=rd)
            instance.tables[family].add(key, path)

    def unsay(self, agent: int, name: str, what: int) -> None:
        """An agent takes a route back."""
        key, family, _ = agent_route(what, agent)
        instance = self.instances.get(name)
        if instance is not None:
            instance.tables[family].withdraw(key, self.agents[agent])

    def contribute(self, name: str, what: int, contributing: bool) -> None:
        """A route begins to make up an aggregate, or no longer does."""
        key, family, _ = agent_route(what, 0)
        instance = self.instances.get(name)
        if instance is not None:
            instance.tables[family].set_contributing(key, contributing)

    def check(self, check: bool) -> None:
        """Copies begin to wait for hosts of the fabric, or no longer do."""
        self.instances.replication.set_reachability_check(check)

    def lose(self, agent: int, how: str) -> int:
        """An agent is lost, its stale routes are swept, or all of it goes."""
        return int(getattr(self.rib, how)(self.agents[agent]))

    def work(self, limit: int | None) -> None:
        """A slice of work, or all there is."""
        if limit is not None:
            self.rib.process(limit)
            self.peers.flush()
            return
        while not self.rib.is_settled:
            self.rib.process()
        while self.peers.flush():
            pass

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.peers.clock += seconds
        for neighbor in self.neighbors:
            neighbor.tick(self.peers.clock)

    # --- what came of it

    def tables(self) -> dict[str, dict[str, list[Any]]]:
        """All that tables hold, paths in order of preference."""
        return {
            name: {
                f"{nlri_text(table.family, route.nlri)}": [path_value(path) for path in route.paths]
                for route in table.routes()
            }
            for name, table in self.rib.tables.items()
            if len(table)
        }

    def contributing(self) -> dict[str, set[bytes]]:
        """Keys of the routes that only make up aggregates."""
        return {name: set(table.contributing) for name, table in self.rib.tables.items()}

    def copies(self) -> dict[str, set[Any]]:
        """Where replication has put copies of each route."""
        return {
            f"{name} {route.key.hex()}": {
                (where[0].name, where[1], where[2][0].name, where[2][1], where[2][2])
                for where in route.replicas
            }
            for name, table in self.rib.tables.items()
            for route in table.routes()
        }

    def told(self) -> dict[str, Any]:
        """What each neighbour holds, has counted, and has been told the end of.

        What one that reads slowly was told before depends on how work was cut into slices.
        """
        return {
            neighbor.name: (wire.held, wire.ended, self.counts(neighbor), neighbor.route_count)
            for neighbor, wire in self.wires.items()
            if wire.writable
        }

    def counts(self, neighbor: Neighbor) -> dict[str, int]:
        """What was counted, but for how many messages it took to say something."""
        counted = dict(neighbor.counters)
        counted.pop("updates sent", None)
        return counted

    def holdings(self) -> list[Any]:
        """What rib-outs think their members hold."""
        return [
            (neighbor.name, str(out.family), out.count(neighbor), out.is_behind(neighbor))
            for neighbor, outs in self.peers._joined.items()
            for out in outs
            if neighbor.is_ready(out.family)
        ]

    def spoken(self) -> list[Any]:
        """How much each source says."""
        sources = [*self.agents, *(neighbor.source for neighbor in self.neighbors)]
        return [
            (
                source.name,
                self.rib.path_count(source),
                sorted((route.table.name, route.key) for route in self.rib.spoken(source)),
            )
            for source in sources
        ]


def negotiated(
    peer_as: int, router_id: bytes, families: frozenset[Family], context: Context
) -> Negotiated:
    """What a session came to."""
    restart = GracefulRestart(60, ((INET_VPN, True), (EVPN, True)))
    return Negotiated(peer_as, router_id, families, 90, context, True, restart)


def path_value(path: Path) -> tuple[Any, ...]:
    """All of a path but its time."""
    return (
        path.source.name,
        path.origin,
        path.attributes,
        path.original,
        path.label,
        path.label2,
        path.rd,
        path.path_id,
        path.flags,
        path.sub_protocol,
        path.esi,
    )


def agent_route(what: int, agent: int) -> tuple[bytes, Family, bytes]:
    """Key, family and distinguisher of an agent's route."""
    address = bytes((192, 0, 2, agent + 1))
    rd = b"\0\1" + address + b"\0\3"
    match what % 4:
        case 0 | 1:
            return prefix_from_text(f"10.0.{what % 4}.0/24"), INET, rd
        case 2:
            return MacIp(bytes(8), 0, bytes(5) + b"\1", b"\x0a\0\0\1").key, EVPN, rd
        case _:
            return InclusiveMulticast(rd, 0, address).key, EVPN, rd


__all__ = ["CONFIGS", "FAMILIES", "INET6", "CoreWorld"]
