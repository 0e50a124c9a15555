"""Configuration objects of BGP speakers, and control nodes that peer on loopback addresses."""

from __future__ import annotations

import random
import socket
from typing import Any

from tests.unit.control.control_world import World, record, ref

from tungsten.bgp.nlri import nlri_text
from tungsten.control.bgp_peers import Neighbor
from tungsten.control.tables import MASTER
from tungsten.model import (
    BgpRouter,
    Project,
    RoutingInstance,
    VirtualNetwork,
)
from tungsten.model.bgp import (
    AddressFamilies,
    BgpPeeringAttributes,
    BgpRouterParams,
    BgpSession,
    BgpSessionAttributes,
)
from tungsten.store import Store
from tungsten.store.base import Record

FAMILIES = ["route-target", "inet-vpn", "inet6-vpn", "e-vpn"]


def loopback_address() -> str:
    """An address of 127/8 that no other test is likely to use."""
    draw = random.SystemRandom()
    return f"127.{draw.randint(10, 250)}.{draw.randint(0, 255)}.{draw.randint(2, 250)}"


def free_port(address: str) -> int:
    """A TCP port that is free at an address."""
    with socket.socket() as sock:
        sock.bind((address, 0))
        port: int = sock.getsockname()[1]
        return port


def fabric() -> list[Record]:
    """The master instance and what is above it, up to the domain."""
    return [
        record(Project(), "domain", "default-domain:default-project"),
        record(VirtualNetwork(), "project", "default-domain:default-project:ip-fabric"),
        record(RoutingInstance(), "virtual-network", MASTER),
    ]


def session(**values: Any) -> BgpPeeringAttributes:
    """A peering whose one session has these settings for both ends."""
    block = BgpSessionAttributes(**values)
    return BgpPeeringAttributes(session=[BgpSession(attributes=[block])])


def router(
    name: str,
    address: str,
    port: int,
    *peers: str,
    families: list[str] | None = None,
    peering: BgpPeeringAttributes | None = None,
    asn: int = 64512,
    **params: Any,
) -> Record:
    """A bgp-router that peers with others by name."""
    values = {
        "vendor": "contrail",
        "router_type": "control-node",
        "autonomous_system": asn,
        "identifier": address,
        "address": address,
        "port": port,
        "address_families": AddressFamilies(family=families or FAMILIES),
        **params,
    }
    attr = peering or BgpPeeringAttributes()
    resource = BgpRouter(
        bgp_router_parameters=BgpRouterParams(**values),
        bgp_router_refs=[ref("bgp-router", f"{MASTER}:{peer}", attr) for peer in peers],
    )
    return record(resource, "routing-instance", f"{MASTER}:{name}")


class Node:
    """A control node that listens for BGP on an address and port of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = loopback_address()
        self.port = free_port(self.address)
        self.world: World | None = None

    async def start(self, store: Store, **settings: Any) -> World:
        """Run it on a store."""
        self.world = await World.start(
            store,
            hostname=self.name,
            bgp_listen=f"{self.address}:{self.port}",
            **{"startup_time": 0.0, **settings},
        )
        return self.world

    async def stop(self) -> None:
        """End it."""
        if self.world is not None:
            await self.world.stop()
            self.world = None

    def record(self, *peers: str, **values: Any) -> Record:
        """Its bgp-router."""
        return router(self.name, self.address, self.port, *peers, **values)

    def neighbor(self, name: str) -> Neighbor | None:
        """One of its neighbours."""
        if self.world is None:
            return None
        found = self.world.service.bgp.neighbors.values()
        return next((each for each in found if each.name == name), None)

    def is_up(self, name: str) -> bool:
        """Whether the session with a neighbour is established."""
        neighbor = self.neighbor(name)
        return neighbor is not None and neighbor.peer is not None and neighbor.peer.established

    def routes(self, table: str) -> dict[str, list[str]]:
        """Sources of the paths of every route in a table, best first."""
        assert self.world is not None
        found = self.world.service.rib.tables.get(table)
        if found is None:
            return {}
        return {
            nlri_text(found.family, route.nlri): [path.source.name for path in route.paths]
            for route in found.routes()
        }

    def flags(self, table: str) -> set[str]:
        """Flags of all paths in a table."""
        assert self.world is not None
        found = self.world.service.rib.tables[table]
        return {str(path.flags.name) for route in found.routes() for path in route.paths}


def key_of(world: World, table: str, text: str) -> bytes:
    """Key of a route by its text."""
    found = world.service.rib.tables[table]
    return next(r.key for r in found.routes() if nlri_text(found.family, r.nlri) == text)
