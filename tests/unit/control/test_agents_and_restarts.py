"""Agents that come and go, and what they may not do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.unit.control.control_world import (
    GLOBAL,
    FakeHost,
    World,
    basics,
    instance,
    instance_name,
    network,
    record,
    target,
    until,
)
from tests.unit.control.cores import both_cores
from tests.unit.xmpp.certificates import Authority

from tungsten.control.paths import PathFlag
from tungsten.model import VirtualRouter
from tungsten.store.base import Record
from tungsten.xmpp.stanzas import (
    EndOfRib,
    EnetItem,
    InetItem,
    NextHop,
    Publish,
    Stanza,
    Subscribe,
    Unsubscribe,
    Withdraw,
)
from tungsten.xmpp.transport import TransportOptions, XmppClient

pytestmark = both_cores


MakeWorld = Callable[..., Awaitable[World]]


async def prepared(make_world: MakeWorld, **settings: object) -> tuple[World, FakeHost, FakeHost]:
    """Two hosts in one network."""
    world = await make_world(**settings)
    await world.put(*basics("c1", "c2"), network("a", 4), target(8000001))
    await world.put(instance("a", t8000001="both"))
    one = await world.host("c1", "192.0.2.1")
    two = await world.host("c2", "192.0.2.2")
    one.join("a", 3)
    two.join("a", 7)
    return world, one, two


def stale(world: World, prefix_hex: str = "200a010103") -> bool:
    table = world.service.rib.tables[f"{instance_name('a')}.inet.0"]
    route = table.get(bytes.fromhex(prefix_hex))
    return route is not None and bool(route.paths[0].flags & PathFlag.STALE)


async def test_routes_of_a_lost_agent_stay_and_what_it_does_not_repeat_is_swept(
    make_world: MakeWorld,
) -> None:
    world, one, two = await prepared(make_world)
    one.publish("a", "10.1.1.3/32")
    one.publish("a", "10.1.1.4/32")
    both = {"10.1.1.3/32", "10.1.1.4/32"}
    await until(lambda: two.prefixes("a") == both)
    told = len(two.heard)
    await one.stop()
    await until(lambda: stale(world))
    assert len(world.service.rib.tables["bgp.l3vpn.0"]) == 2

    again = await world.host("c1", "192.0.2.1")
    again.join("a", 3)
    again.publish("a", "10.1.1.3/32")
    await until(lambda: not stale(world))
    assert two.prefixes("a") == both
    assert len(two.heard) == told, "a route that came back unchanged is no news"
    again.client.send(EndOfRib())
    await until(lambda: two.prefixes("a") == {"10.1.1.3/32"})
    assert len(two.heard) == told + 1


async def test_agent_that_does_not_come_back_in_time_is_forgotten(make_world: MakeWorld) -> None:
    world, one, two = await prepared(make_world, restart_time=0.2)
    one.publish("a", "10.1.1.3/32")
    await until(lambda: two.prefixes("a"))
    await one.stop()
    await until(lambda: not two.prefixes("a"))
    assert "c1" not in world.service.peers.agents


async def test_routes_outlast_the_restart_time_as_a_last_resort(make_world: MakeWorld) -> None:
    """T-C10: stale, then long-lived stale and worse than any other, then gone."""
    world, one, two = await prepared(make_world, restart_time=0.5, long_lived_time=3)
    three = await world.host("c3", "192.0.2.3")
    three.join("a", 9)
    one.publish("a", "10.1.1.3/32", local_preference=200)
    one.publish("a", "10.1.1.4/32", communities=("no-llgr",))
    three.publish("a", "10.1.1.3/32", local_preference=100)
    await until(lambda: hops(two, "10.1.1.3/32") == ["192.0.2.1"] and len(two.prefixes("a")) == 2)
    await one.stop()
    await until(lambda: stale(world))
    assert hops(two, "10.1.1.3/32") == ["192.0.2.1"]
    three.withdraw("a", "10.1.1.3/32")
    await until(lambda: world.service.peers.agents["c1"].is_long_lived)
    await until(lambda: two.prefixes("a") == {"10.1.1.3/32"})
    assert hops(two, "10.1.1.3/32") == ["192.0.2.1"]
    # As good as the other in all else, it would have been used beside it.
    three.publish("a", "10.1.1.3/32", local_preference=200)
    await until(lambda: hops(two, "10.1.1.3/32") == ["192.0.2.3"])
    assert "c1" in world.service.peers.agents
    await until(lambda: "c1" not in world.service.peers.agents)
    assert hops(two, "10.1.1.3/32") == ["192.0.2.3"]


def hops(host: FakeHost, prefix: str) -> list[str]:
    route = host.route("a", prefix)
    return [hop.address for hop in route.next_hops] if route is not None else []


async def test_agent_that_never_says_it_is_done_is_swept_by_time(make_world: MakeWorld) -> None:
    _, one, two = await prepared(make_world, end_of_rib_time=1.0)
    one.publish("a", "10.1.1.3/32")
    await until(lambda: two.prefixes("a"))
    one.client.disconnect()
    await until(lambda: one.closed)
    await until(lambda: one.client.is_established)
    one.join("a", 3)
    assert two.prefixes("a")
    await until(lambda: not two.prefixes("a"))


async def test_without_graceful_restart_routes_go_with_the_session(make_world: MakeWorld) -> None:
    _, one, two = await prepared(make_world, graceful_restart=False)
    one.publish("a", "10.1.1.3/32")
    await until(lambda: two.prefixes("a"))
    await one.stop()
    await until(lambda: not two.prefixes("a"))


async def test_membership_not_repeated_is_swept_too(make_world: MakeWorld) -> None:
    world, one, _ = await prepared(make_world)
    agent = world.service.peers.agents["c1"]
    await until(lambda: agent.subscriptions)
    await one.stop()
    again = await world.host("c1", "192.0.2.1")
    assert agent.subscriptions
    again.client.send(EndOfRib())
    await until(lambda: not agent.subscriptions)


async def test_end_of_rib_comes_after_start_up_when_all_is_told(make_world: MakeWorld) -> None:
    _, one, two = await prepared(make_world, startup_time=1.5, idle_time=0.2)
    one.publish("a", "10.1.1.3/32")
    await until(lambda: two.prefixes("a"))
    assert EndOfRib() not in two.heard
    await until(lambda: EndOfRib() in two.heard)


async def test_end_of_rib_does_not_wait_for_start_up_when_all_hosts_have_reported(
    make_world: MakeWorld,
) -> None:
    """T-C10: what waits is only what could be missing."""
    _, one, two = await prepared(make_world, startup_time=60, idle_time=0.1)
    one.publish("a", "10.1.1.3/32")
    one.client.send(EndOfRib())
    await until(lambda: two.prefixes("a"))
    await asyncio.sleep(1.2)
    assert EndOfRib() not in one.heard
    two.client.send(EndOfRib())
    await until(lambda: EndOfRib() in one.heard and EndOfRib() in two.heard)


async def test_newer_session_of_the_same_host_replaces_the_old(make_world: MakeWorld) -> None:
    world, one, two = await prepared(make_world)
    one.publish("a", "10.1.1.3/32")
    await until(lambda: two.prefixes("a"))
    newer = await world.host("c1", "192.0.2.1")
    await until(lambda: one.closed)
    assert one.closed[0] == "conflict: replaced by a newer session of c1"
    await one.stop()
    await until(lambda: world.service.peers.agents["c1"].is_established)
    assert two.prefixes("a"), "its routes wait for it"
    await newer.stop()


HOP = NextHop(address="192.0.2.1", label=20, encapsulations=("udp",))
GOOD = InetItem(prefix="10.1.1.9/32", next_hops=(HOP,))


@pytest.mark.parametrize(
    ("stanza", "reason", "text"),
    [
        (Publish("default-domain:demo:b:b", GOOD), "not-subscribed", "which is not subscribed"),
        (Withdraw("default-domain:demo:b:b", GOOD), "not-subscribed", "which is not subscribed"),
        (Subscribe(instance_name("a"), 3), "duplicate-subscribe", "is subscribed already"),
        (Unsubscribe("x:y"), "spurious-unsubscribe", "x:y is not subscribed"),
    ],
)
async def test_breach_closes_that_session_alone_and_says_why(
    make_world: MakeWorld, stanza: Stanza, reason: str, text: str
) -> None:
    world, one, two = await prepared(make_world)
    two.publish("a", "10.1.1.7/32")
    await until(lambda: one.prefixes("a"))
    one.client.send(stanza)
    await until(lambda: one.closed)
    assert one.closed[0].startswith("policy-violation: ")
    assert text in one.closed[0]
    assert world.service.peers.refused[reason] == 1
    two.publish("a", "10.1.1.8/32")
    await until(lambda: "10.1.1.8/32" in two.prefixes("a"))
    assert not two.closed


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (InetItem(prefix="10.1.1.3/32"), "next-hops"),
        (InetItem(prefix="10.1.1.3/32", next_hops=(HOP, HOP)), "next-hops"),
        (InetItem(prefix="10.1.1.3/32", next_hops=(NextHop(address="0.0.0.0"),)), "next-hop"),
        (InetItem(prefix="10.1.1.3/32", next_hops=(NextHop(address="::1", label=3),)), "next-hop"),
        (InetItem(prefix="10.1.1.3/32", next_hops=(NextHop(address="1.2.3.4"),)), "label"),
        (
            InetItem(prefix="10.1.1.3/32", next_hops=(NextHop(address="1.2.3.4", label=1 << 24),)),
            "label",
        ),
        (InetItem(prefix="10.1.1.3/32", next_hops=(HOP,), communities=("x",)), "community"),
        (EnetItem(mac="02:00:00:00:00:01", address="10.1.1.0/24", next_hops=(HOP,)), "address"),
        (
            EnetItem(mac="01:00:5e:00:00:01", group="225.0.0.1", next_hops=(HOP,)),
            "evpn-type",
        ),
    ],
)
async def test_route_that_cannot_be_taken_is_refused_alone(
    make_world: MakeWorld, item: InetItem | EnetItem, reason: str
) -> None:
    world, one, two = await prepared(make_world)
    one.client.send(Publish(instance_name("a"), item))
    one.client.send(Publish(instance_name("a"), GOOD))
    await until(lambda: two.prefixes("a") == {"10.1.1.9/32"})
    agent = world.service.peers.agents["c1"]
    assert agent.refused == {reason: 1}
    assert agent.route_count == 1
    assert not one.closed


def router(address: str) -> Record:
    return record(
        VirtualRouter(virtual_router_ip_address=address),
        "global-system-config",
        f"{GLOBAL}:c1",
    )


async def test_route_that_leads_to_another_host_is_refused(make_world: MakeWorld) -> None:
    world, one, two = await prepared(make_world)
    await world.put(router("127.0.0.1"))
    await until(lambda: world.service.peers.address_of("c1") == "127.0.0.1")
    one.publish("a", "10.1.1.3/32")
    one.address = "127.0.0.1"
    one.publish("a", "10.1.1.4/32")
    await until(lambda: two.prefixes("a") == {"10.1.1.4/32"})
    assert world.service.peers.refused == {"next-hop-owner": 1}


async def test_session_from_another_address_than_the_hosts_is_refused(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    await world.put(*basics("c1"), router("192.0.2.1"))
    await until(lambda: world.service.peers.address_of("c1") == "192.0.2.1")
    heard: list[str] = []
    client = XmppClient(
        "127.0.0.1",
        world.service.xmpp_port,
        "c1",
        on_established=lambda: None,
        on_stanza=lambda _: None,
        on_closed=heard.append,
        source_address="127.0.0.2",
    )
    await client.start()
    await until(lambda: heard)
    await client.stop()
    assert heard[0] == "conflict: the virtual-router c1 is at 192.0.2.1, not at 127.0.0.2"
    assert world.service.peers.refused["address"] >= 1


async def test_refused_replacement_takes_the_former_route_away(make_world: MakeWorld) -> None:
    _, one, two = await prepared(make_world)
    one.publish("a", "10.1.1.3/32", 20)
    await until(lambda: two.prefixes("a"))
    one.publish("a", "10.1.1.3/32", 0)
    await until(lambda: not two.prefixes("a"))


async def test_limits_hold_for_each_agent(make_world: MakeWorld) -> None:
    world, one, two = await prepared(
        make_world, max_routes_per_agent=5, max_subscriptions_per_agent=2
    )
    for number in range(8):
        one.publish("a", f"10.1.1.{number}/32")
    await until(lambda: world.service.peers.agents["c1"].refused["too-many-routes"] == 3)
    await until(lambda: len(two.prefixes("a")) == 5)
    one.withdraw("a", "10.1.1.0/32")
    one.publish("a", "10.1.1.7/32")
    await until(lambda: "10.1.1.7/32" in two.prefixes("a"))
    one.join("b", 4)
    one.join("c", 5)
    await until(lambda: one.closed)
    assert "one more than 2" in one.closed[0]


async def test_unsubscribe_takes_the_agents_routes_along(make_world: MakeWorld) -> None:
    world, one, two = await prepared(make_world)
    one.publish("a", "10.1.1.3/32")
    one.flood("a")
    two.flood("a")
    await until(lambda: two.flood_list("a") == ["192.0.2.1"] and len(two.prefixes("a")) == 2)
    one.client.send(Unsubscribe(instance_name("a")))
    await until(lambda: not two.prefixes("a"))
    assert world.service.peers.agents["c1"].route_count == 0


async def test_flooding_comes_back_with_a_restarted_agent(make_world: MakeWorld) -> None:
    world, one, two = await prepared(make_world)
    one.flood("a", 100)
    two.flood("a", 200)
    await until(lambda: one.flood_list("a") == ["192.0.2.2"] and two.flood_list("a"))
    await one.stop()
    await until(lambda: not world.service.peers.agents["c1"].is_established)
    assert two.flood_list("a") == ["192.0.2.1"]
    again = await world.host("c1", "192.0.2.1")
    again.join("a", 3)
    again.flood("a", 100)
    await until(lambda: again.flood_list("a") == ["192.0.2.2"])


async def test_evpn_routes_stay_in_their_network(make_world: MakeWorld) -> None:
    world, one, two = await prepared(make_world)
    await world.put(network("b", 5), target(8000002))
    await world.put(instance("b", t8000002="both", t8000001="import"))
    two.join("b", 9)
    item = EnetItem(mac="02:00:00:00:01:03", address="10.1.1.3/32", next_hops=(HOP,))
    prefix = EnetItem(mac="00:00:00:00:00:00", address="10.9.0.0/24", next_hops=(HOP,))
    one.client.send(Publish(instance_name("a"), item))
    one.client.send(Publish(instance_name("a"), prefix))
    await until(lambda: len(two.prefixes("a")) == 2)
    await until(lambda: two.prefixes("b") == {"00:00:00:00:00:00,10.9.0.0/24"})


async def test_slow_reader_does_not_delay_others_and_gets_the_newest(
    make_world: MakeWorld,
) -> None:
    world, one, two = await prepared(make_world)
    connection = world.service.peers.agents["c2"].connection
    assert connection is not None
    await until(lambda: instance_name("a") in world.service.peers.agents["c2"].subscriptions)
    connection.writable = False
    one.publish("a", "10.1.1.3/32", 20)
    await until(lambda: one.prefixes("a"))
    one.publish("a", "10.1.1.3/32", 21)
    one.publish("a", "10.1.1.4/32", 22)
    await until(lambda: len(one.prefixes("a")) == 2)
    one.withdraw("a", "10.1.1.4/32")
    await until(lambda: len(one.prefixes("a")) == 1)
    await asyncio.sleep(0.05)
    assert not two.prefixes("a")
    heard = len(two.heard)
    connection.writable = True
    world.service.peers.writable(connection)
    await until(lambda: two.prefixes("a") == {"10.1.1.3/32"})
    item = two.route("a", "10.1.1.3/32")
    assert isinstance(item, InetItem)
    assert item.next_hops[0].label == 21
    assert len(two.heard) == heard + 1


async def test_newer_session_that_proves_its_name_replaces_one_from_elsewhere(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    """X-10: the host has moved, or somebody got in while names were not proven."""
    authority = Authority(tmp_path / "ca")
    files = authority.server()
    world = await make_world(
        xmpp_tls=True,
        xmpp_certificate=files.certificate,
        xmpp_key=files.key,
        xmpp_ca=files.authority,
        xmpp_demand_certificate=False,
    )
    options = TransportOptions(tls=authority.client("c1"))
    sessions = world.service.peers.agents
    ups: list[str] = []

    async def connect(address: str) -> XmppClient:
        client = XmppClient(
            "127.0.0.1",
            world.service.xmpp_port,
            "c1",
            on_established=lambda: ups.append(address),
            on_stanza=lambda _: None,
            on_closed=lambda _: None,
            source_address=address,
            options=options,
        )
        await client.start()
        await until(lambda: "c1" in sessions and sessions["c1"].address == address)
        return client

    one = await connect("127.0.0.1")
    two = await connect("127.0.0.2")
    await one.stop()
    await until(lambda: sessions["c1"].is_established and sessions["c1"].address == "127.0.0.2")
    await two.stop()
    assert ups[:2] == ["127.0.0.1", "127.0.0.2"]
