"""Routes between agents through a control node: real store, real sockets."""

from __future__ import annotations

from tests.unit.control.control_world import (
    World,
    basics,
    instance,
    instance_name,
    network,
    target,
    until,
)
from tests.unit.control.cores import both_cores

from tungsten.xmpp.stanzas import InetItem, RouteRetract

pytestmark = both_cores


async def two_hosts_in_one_network(world: World) -> None:
    await world.put(*basics("c1", "c2"), network("a", 4), target(8000001))
    await world.put(instance("a", t8000001="both"))


async def test_published_route_reaches_all_subscribers_and_its_publisher(world: World) -> None:
    await two_hosts_in_one_network(world)
    one = await world.host("c1", "192.0.2.1")
    two = await world.host("c2", "192.0.2.2")
    one.join("a", 3)
    two.join("a", 7)
    one.publish("a", "10.1.1.3/32", 27, security_groups=(8000001,))
    await until(lambda: one.prefixes("a") == two.prefixes("a") == {"10.1.1.3/32"})
    item = two.route("a", "10.1.1.3/32")
    assert isinstance(item, InetItem)
    assert [(hop.address, hop.label) for hop in item.next_hops] == [("192.0.2.1", 27)]
    assert item.next_hops[0].encapsulations == ("gre", "udp")
    assert item.virtual_network == "default-domain:demo:a"
    assert item.security_groups == (8000001,)
    assert item.med == 200
    one.withdraw("a", "10.1.1.3/32")
    await until(lambda: not one.prefixes("a") and not two.prefixes("a"))


async def test_route_target_carries_routes_between_networks(world: World) -> None:
    await world.put(*basics("c1", "c2"), network("a", 4), network("b", 5), network("x", 6))
    await world.put(target(8000001), target(8000002), target(8000003))
    await world.put(
        instance("a", t8000001="both", t8000002="import"),
        instance("b", t8000002="both", t8000001="import"),
        instance("x", t8000003="both"),
    )
    one = await world.host("c1", "192.0.2.1")
    two = await world.host("c2", "192.0.2.2")
    one.join("a")
    two.join("b", 2)
    two.join("x", 3)
    one.publish("a", "10.1.1.3/32", 27)
    two.publish("b", "10.2.2.3/32", 28)
    both = {"10.1.1.3/32", "10.2.2.3/32"}
    await until(lambda: one.prefixes("a") == two.prefixes("b") == both)
    assert two.prefixes("x") == set()
    item = two.route("b", "10.1.1.3/32")
    assert isinstance(item, InetItem)
    assert item.virtual_network == "default-domain:demo:a"
    assert len(world.service.rib.tables["bgp.l3vpn.0"]) == 2

    await world.put(instance("b", t8000002="both"))
    await until(lambda: two.prefixes("b") == {"10.2.2.3/32"}, "import ends")
    assert one.prefixes("a") == both
    await world.put(instance("a", t8000001="import", t8000002="import"))
    await until(lambda: len(world.service.rib.tables["bgp.l3vpn.0"]) == 1, "export ends")


async def test_withdraw_reaches_only_members_that_had_the_route(world: World) -> None:
    await two_hosts_in_one_network(world)
    one = await world.host("c1", "192.0.2.1")
    one.join("a")
    one.publish("a", "10.1.1.3/32")
    await until(lambda: one.prefixes("a"))
    one.withdraw("a", "10.1.1.3/32")
    await until(lambda: not one.prefixes("a"))
    two = await world.host("c2", "192.0.2.2")
    two.join("a")
    one.publish("a", "10.1.1.9/32")
    await until(lambda: two.prefixes("a"))
    assert not [s for s in two.heard if isinstance(s, RouteRetract)]


async def test_same_prefix_of_two_hosts_is_one_route_with_two_next_hops(world: World) -> None:
    await two_hosts_in_one_network(world)
    one = await world.host("c1", "192.0.2.1")
    two = await world.host("c2", "192.0.2.2")
    one.join("a")
    two.join("a")
    one.publish("a", "10.1.1.3/32", 27)
    two.publish("a", "10.1.1.3/32", 28)

    def hops() -> set[str]:
        item = one.route("a", "10.1.1.3/32")
        return {hop.address for hop in item.next_hops} if isinstance(item, InetItem) else set()

    await until(lambda: hops() == {"192.0.2.1", "192.0.2.2"})
    two.publish("a", "10.1.1.3/32", 28, local_preference=200)
    await until(lambda: hops() == {"192.0.2.2"})
    two.withdraw("a", "10.1.1.3/32")
    await until(lambda: hops() == {"192.0.2.1"})


async def test_flooding_list_is_every_other_member(world: World) -> None:
    await two_hosts_in_one_network(world)
    hosts = [await world.host(f"c{n}", f"192.0.2.{n}") for n in (1, 2, 3)]
    for host in hosts:
        host.join("a")
        host.flood("a")
    await until(lambda: hosts[0].flood_list("a") == ["192.0.2.2", "192.0.2.3"])
    await until(lambda: hosts[2].flood_list("a") == ["192.0.2.1", "192.0.2.2"])
    assert len(world.service.rib.tables["bgp.evpn.0"]) == 3


async def test_subscription_waits_for_its_instance_and_survives_its_return(world: World) -> None:
    await world.put(*basics("c1"), network("a", 4), target(8000001))
    one = await world.host("c1", "192.0.2.1")
    one.join("a")
    one.publish("a", "10.1.1.3/32")
    await until(lambda: "c1" in world.service.peers.agents)
    assert world.service.instances.get(instance_name("a")) is None
    made = instance("a", t8000001="both")
    await world.put(made)
    await until(lambda: one.prefixes("a") == {"10.1.1.3/32"})
    await world.remove(made)
    await until(lambda: not one.prefixes("a"))
    assert world.rib() == {}
    await world.put(made)
    await until(lambda: one.prefixes("a") == {"10.1.1.3/32"})
