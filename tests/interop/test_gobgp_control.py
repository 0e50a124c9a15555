"""A control node peering with GoBGP: routes of agents there, its routes to agents, and limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.bgp_harness import SAMPLES
from tests.interop.frr import until
from tests.interop.gobgp import GoBgp
from tests.unit.control.bgp_world import Node, fabric, router, session
from tests.unit.control.control_world import World, basics, instance, network, put, target

from tungsten.model.bgp import BgpFamilyAttributes, BgpPrefixLimit
from tungsten.store.sqlite import SqliteStore
from tungsten.xmpp.stanzas import InetItem

FAMILIES = ["inet-vpn", "e-vpn"]
VPN = SAMPLES["inet-vpn"]


@dataclass
class Site:
    """A control node with network a, which uses the target of the samples, and a GoBGP."""

    node: Node
    gobgp: GoBgp
    world: World

    async def tell(self, *words: str) -> str:
        """A command of gobgp."""
        return await asyncio.to_thread(self.gobgp.ask, *words)


@pytest.fixture(params=[64512, 64999], ids=["inside", "outside"])
async def site(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    store = SqliteStore.open(tmp_path / "config.db")
    node = Node("control-a")
    gobgp = GoBgp([node.address], asn=request.param)
    gobgp.takes = frozenset({"inet-vpn", "evpn-2"})
    limit = BgpFamilyAttributes(
        address_family="inet-vpn", prefix_limit=BgpPrefixLimit(maximum=2, idle_timeout=60)
    )
    gateway = router(
        "gateway",
        gobgp.address,
        gobgp.port,
        families=FAMILIES,
        asn=request.param,
        vendor="gobgp",
        router_type="router",
    )
    records = [*basics("c1"), *fabric(), network("a", 4), target(8000003)]
    records += [instance("a", t8000003="both"), gateway]
    peering = session(family_attributes=[limit])
    records.append(node.record("gateway", families=FAMILIES, peering=peering))
    await store.transact(put(*records))
    await gobgp.start()
    world = await node.start(store)
    yield Site(node, gobgp, world)
    await node.stop()
    await store.close()
    gobgp.stop()


async def test_routes_cross_and_a_limit_holds(site: Site) -> None:
    """B-14: two routes are agreed on; with the third the session ends and rests."""
    await until(lambda: site.node.is_up("gateway"), what="session")
    host = await site.world.host("c1", "192.0.2.1")
    host.join("a", 3)
    host.publish("a", "10.2.2.3/32", 27, security_groups=(8000001,))

    async def there() -> bool:
        said = json.loads(await site.tell("global", "rib", "-a", "vpnv4", "-j") or "{}")
        return "192.0.2.1:3:10.2.2.3/32" in said

    await until(there, what="the agent's route there")
    await asyncio.to_thread(site.gobgp.announce, VPN)
    await until(lambda: "10.1.1.0/24" in host.prefixes("a"), what="its route at the agent")
    item = host.route("a", "10.1.1.0/24")
    assert isinstance(item, InetItem)
    (hop,) = item.next_hops
    assert hop.label == 27
    if site.gobgp.asn == 64512:
        assert hop.address == "192.0.2.7"
        assert item.local_preference == 150
    assert item.communities == ("64512:5",)
    words = ["label", "30", "rd", "64512:9", "rt", "64512:8000003", "nexthop", "192.0.2.7"]
    neighbor = site.node.neighbor("gateway")
    assert neighbor is not None
    await site.tell("global", "rib", "add", "-a", "vpnv4", "10.3.0.0/24", *words)
    await until(lambda: "10.3.0.0/24" in host.prefixes("a"), what="the second route")
    assert neighbor.flaps == 0
    await site.tell("global", "rib", "add", "-a", "vpnv4", "10.4.0.0/24", *words)
    await until(lambda: neighbor.flaps == 1, what="the session is closed")
    await until(lambda: host.prefixes("a") == {"10.2.2.3/32"}, what="its routes are gone")
    assert not site.node.is_up("gateway")
