"""A control node peering with FRR: agents' routes to it, its routes to agents, field by field."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.interop.frr import Frr, until
from tests.unit.control.bgp_world import Node, fabric, router
from tests.unit.control.control_world import (
    World,
    basics,
    instance,
    network,
    put,
    target,
)

from tungsten.bgp.messages import NOTIFICATION_TYPE, OPEN_TYPE, Framer
from tungsten.store.sqlite import SqliteStore
from tungsten.xmpp.stanzas import InetItem

FAMILIES = ["inet-vpn", "e-vpn"]


@dataclass
class Site:
    """A control node with a network, and an FRR that is configured as its neighbour."""

    node: Node
    frr: Frr
    world: World

    async def up(self) -> None:
        self.frr.start()
        await until(lambda: self.node.is_up("gateway"), what="session with FRR")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    store = SqliteStore.open(tmp_path / "config.db")
    node = Node("control-a")
    frr = Frr(node.address, node.port)
    frr.families = {"ipv4 vpn": [], "l2vpn evpn": []}
    gateway = router(
        "gateway",
        frr.address,
        frr.port,
        families=FAMILIES,
        vendor="frr",
        router_type="router",
    )
    records = [*basics("c1", "c2"), *fabric(), network("a", 4), target(8000001)]
    records += [instance("a", t8000001="both"), gateway, node.record("gateway", families=FAMILIES)]
    await store.transact(put(*records))
    world = await node.start(store)
    yield Site(node, frr, world)
    await node.stop()
    await store.close()
    frr.stop()


async def test_agents_route_is_shown_by_frr_field_by_field(site: Site) -> None:
    await site.up()
    host = await site.world.host("c1", "192.0.2.1")
    host.join("a", 3)
    host.publish("a", "10.1.1.3/32", 27, security_groups=(8000001,), local_preference=200)
    shown = await until(lambda: site.frr.vpn_route("192.0.2.1:3", "10.1.1.3/32"))
    (path,) = shown["paths"]
    assert path["remoteLabel"] == 27
    assert path["nexthops"][0]["ip"] == "192.0.2.1"
    assert path["locPrf"] == 200
    assert path["origin"] == "IGP"
    assert path["aspath"]["string"] == "Local"
    assert path["peer"]["routerId"] == site.node.address
    words = path["extendedCommunity"]["string"].split()
    assert "RT:64512:8000001" in words
    assert "ET:13" in words
    assert "ET:2" in words
    assert path["extendedCommunity"]["string"].count("UNK:128") == 2

    host.publish("a", "10.1.1.3/32", 28, local_preference=200)

    async def relabeled() -> bool:
        answer: dict[str, Any] = await site.frr.vpn_route("192.0.2.1:3", "10.1.1.3/32")
        return bool(answer) and answer["paths"][0]["remoteLabel"] == 28

    await until(relabeled)
    host.withdraw("a", "10.1.1.3/32")

    async def gone() -> bool:
        return not await site.frr.vpn_route("192.0.2.1:3", "10.1.1.3/32")

    await until(gone)


async def test_frrs_route_reaches_agents_and_goes_again(site: Site) -> None:
    site.frr.global_lines = [
        "route-map export permit 10",
        " set extcommunity rt 64512:8000001",
        " set local-preference 140",
        " set community 64512:77",
        "exit",
    ]
    site.frr.families["ipv4 vpn"] = ["network 10.9.0.0/24 rd 64512:9 label 900 route-map export"]
    await site.up()
    host = await site.world.host("c1", "192.0.2.1")
    host.join("a", 3)
    await until(lambda: host.prefixes("a") == {"10.9.0.0/24"}, what="route at the agent")
    item = host.route("a", "10.9.0.0/24")
    assert isinstance(item, InetItem)
    (hop,) = item.next_hops
    assert (hop.address, hop.label) == (site.frr.address, 900)
    assert item.local_preference == 140
    assert item.communities == ("64512:77",)
    assert item.virtual_network == "default-domain:demo:a"
    assert site.node.routes("bgp.l3vpn.0") == {"64512:9:10.9.0.0/24": ["gateway"]}
    no_longer = "no network 10.9.0.0/24 rd 64512:9 label 900"
    await site.frr.configure("router bgp 64512", "address-family ipv4 vpn", no_longer)
    await until(lambda: not host.prefixes("a"), what="withdrawal at the agent")
    assert site.node.routes("bgp.l3vpn.0") == {}


async def test_frr_that_dies_loses_its_routes_and_returns(site: Site) -> None:
    site.frr.global_lines = ["route-map export permit 10", " set extcommunity rt 64512:8000001"]
    site.frr.global_lines.append("exit")
    site.frr.families["ipv4 vpn"] = ["network 10.9.0.0/24 rd 64512:9 label 900 route-map export"]
    await site.up()
    host = await site.world.host("c1", "192.0.2.1")
    host.join("a", 3)
    host.publish("a", "10.1.1.3/32", 27)
    both = {"10.9.0.0/24", "10.1.1.3/32"}
    await until(lambda: host.prefixes("a") == both)
    site.frr.kill()
    await until(lambda: host.prefixes("a") == {"10.1.1.3/32"}, what="its route is gone")
    await site.up()
    await until(lambda: host.prefixes("a") == both, what="its route is back")
    assert await until(lambda: site.frr.vpn_route("192.0.2.1:3", "10.1.1.3/32"))


async def test_evpn_members_reach_frr(site: Site) -> None:
    await site.up()
    host = await site.world.host("c1", "192.0.2.1")
    host.join("a", 3)
    host.flood("a")

    async def shown() -> bool:
        answer = await site.frr.json("show bgp l2vpn evpn json")
        return "[3]:[0]:[32]:[192.0.2.1]" in str(answer)

    await until(shown)


async def test_garbage_from_a_neighbours_address_leaves_its_session_alone(site: Site) -> None:
    await site.up()
    neighbor = site.node.neighbor("gateway")
    assert neighbor is not None
    peer = neighbor.peer
    assert peer is not None
    for rubbish in (b"\0" * 19, b"\xff" * 16 + b"\0\x13\x09", b"GET / HTTP/1.1\r\n\r\n" * 3):
        with socket.socket() as sock:
            sock.bind((site.frr.address, 0))
            sock.settimeout(5)
            sock.connect((site.node.address, site.node.port))
            sock.sendall(rubbish)
            answer = await asyncio.to_thread(sock.makefile("rb").read)
        assert [type_ for type_, _ in Framer().feed(answer)] == [OPEN_TYPE, NOTIFICATION_TYPE]
    assert peer.counters["established"] == 1
    assert neighbor.flaps == 0
    assert site.node.is_up("gateway")
