"""Live structures to show: a control node's and an agent's, with a few routes in them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tests.unit.agent.agent_samples import World

from tungsten.agent.agent import Agent, Settings
from tungsten.agent.channel import Controls
from tungsten.agent.introspect import AgentView
from tungsten.agent.kernel import Kernel
from tungsten.agent.oper import Device
from tungsten.agent.ports import PortStore
from tungsten.agent.settings import Endpoint
from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import EVPN, INET
from tungsten.bgp.nlri import MacIp, pack_prefix
from tungsten.control.instances import InstanceConfig, Instances
from tungsten.control.paths import ATTRIBUTES, PathFlag, Protocol, Source
from tungsten.control.paths import Path as RoutePath
from tungsten.control.tables import Rib
from tungsten.introspect import IntrospectServer
from tungsten.introspect.request import AnyRequest
from tungsten.xmpp.routes import EnetItem, InetItem, NextHop

VN1 = "default-domain:admin:vn1"
RI1 = f"{VN1}:vn1"
RI2 = "default-domain:admin:vn2:vn2"
TARGET1 = communities.route_target(64512, 8000004)
TARGET2 = communities.route_target(64512, 8000005)
WHEN = 1556373799.075046


def control_rib() -> tuple[Rib, Instances]:
    """Three inet routes and an EVPN route of ``node1`` in one network, leaked into another."""
    rib = Rib()
    instances = Instances(rib)
    both = frozenset({TARGET1, TARGET2})
    instances.apply(
        [
            InstanceConfig(RI1, frozenset({TARGET1}), frozenset({TARGET1}), VN1, 4),
            InstanceConfig(RI2, both, frozenset({TARGET2}), "default-domain:admin:vn2", 5),
        ]
    )
    node = socket.inet_aton("10.0.0.5")
    agent = Source("node1", Protocol.XMPP, node, node)
    rd = b"\0\1" + node + b"\0\1"
    for last in range(1, 4):
        attributes = PathAttributes(
            next_hop=node,
            local_preference=200,
            med=100,
            extended_communities=(
                communities.encapsulation("gre"),
                communities.encapsulation("udp"),
                communities.security_group(64512, 8000001),
            ),
        )
        path = RoutePath(
            agent,
            ATTRIBUTES.intern(attributes),
            label=20 + last,
            rd=rd,
            sub_protocol="interface",
            modified=WHEN,
        )
        key = pack_prefix(socket.inet_aton(f"192.168.100.{last}"), 32)
        rib.vrf_table(RI1, INET).add(key, path)
    mac = bytes.fromhex("02844fc3402b")
    rib.vrf_table(RI1, EVPN).add(
        MacIp(bytes(8), 0, mac, socket.inet_aton("192.168.100.3")).key,
        RoutePath(
            agent,
            ATTRIBUTES.intern(PathAttributes(next_hop=node)),
            label=18,
            rd=rd,
            flags=PathFlag.STALE,
            modified=WHEN,
        ),
    )
    rib.process()
    return rib, instances


class MemoryTable(dict[Any, Any]):
    """A datapath table in memory."""

    def put(self, entries: Any) -> None:
        self.update(entries)

    def discard(self, key: Any) -> bool:
        return self.pop(key, None) is not None

    def dump(self) -> dict[Any, Any]:
        return dict(self)


class MemoryDatapath:
    """What an agent writes to, without a kernel behind it."""

    def __init__(self) -> None:
        self.vifs, self.nexthops, self.labels = MemoryTable(), MemoryTable(), MemoryTable()
        self.vnis, self.routes, self.bridge = MemoryTable(), MemoryTable(), MemoryTable()
        self.sources: set[Any] = set()
        self.tunnel_sources: set[Any] = set()

    def attach_vif(self, vif: Any) -> None:
        self.vifs[vif.id] = vif

    attach_fabric = attach_pkt0 = attach_vif

    def detach(self, vif_id: int) -> bool:
        return self.vifs.discard(vif_id)

    def attached(self) -> dict[int, int]:
        return {}

    def clear_vif_stats(self, vif_id: int) -> None: ...


def agent_view(directory: Path) -> AgentView:
    """An agent with two interfaces of one network, and routes that a control sent for it.

    To be called in an event loop.
    """
    world = World()
    vrf = world.network("blue", "10.1.1.0/24")
    world.interface("blue", "10.1.1.3")
    world.interface("blue", "10.1.1.4")
    kernel = Kernel(lambda: None)
    kernel.devices = {
        **world.devices(),
        "eth0": Device("eth0", 2, "02:aa:00:00:00:01", 1500, True, "veth"),
        "pkt0": Device("pkt0", 3, "02:aa:00:00:00:02", 9000, True, "tun"),
    }
    settings = Settings(
        name="compute1",
        state_dir=directory,
        fabric="eth0",
        address=IPv4Address("172.30.1.2"),
        encapsulations=("MPLSoUDP", "MPLSoGRE", "VXLAN"),
        stale_port_seconds=60,
        config_quiet_seconds=15,
        end_of_rib_seconds=60,
    )
    agent = Agent(settings, MemoryDatapath(), kernel, PortStore(directory / "ports"), 1)
    agent.pkt0 = "pkt0"
    agent.ports.add(world.ports)
    agent.graph = world.graph()
    agent.session_up(0)
    hop = NextHop(address="172.30.2.2", label=40, encapsulations=("gre", "udp"))
    network = "default-domain:demo:blue"
    agent.rib.update(
        0,
        InetItem(prefix="10.1.1.9/32").family,
        vrf,
        (
            InetItem(
                prefix="10.1.1.9/32",
                next_hops=(hop,),
                virtual_network=network,
                security_groups=(8000001,),
                local_preference=200,
                sequence=3,
            ),
        ),
    )
    mac = EnetItem(
        mac="02:00:00:00:00:99",
        address="10.1.1.9/32",
        next_hops=(hop,),
        virtual_network=network,
        local_preference=200,
    )
    flood = EnetItem(mac="ff:ff:ff:ff:ff:ff", olist=(hop,), virtual_network=network)
    agent.rib.update(0, mac.family, vrf, (mac, flood))
    agent.reconcile()
    controls = Controls(
        (Endpoint("172.30.0.2", 5269),),
        "compute1",
        agent,
        source_address="",
        hold_seconds=90,
        on_wanted=lambda: agent.wanted,
    )
    return AgentView("compute1", agent, controls)


@contextmanager
def serving(module: str, make: Callable[[], Sequence[AnyRequest]]) -> Iterator[int]:
    """A server in a thread of its own, for callers that block; answers its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="introspect server", daemon=True)
    thread.start()

    async def begin() -> IntrospectServer:
        server = IntrospectServer("127.0.0.1:0", module, make())
        await server.start()
        return server

    try:
        server = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
        yield server.port
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
