"""X-12, X-20: agents join and publish only what the configuration gives their host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from tests.unit.control.control_world import (
    GLOBAL,
    PROJECT,
    FakeHost,
    World,
    basics,
    instance,
    instance_name,
    network,
    port,
    record,
    ref,
    target,
    until,
    uuid_of,
)

from tungsten.model import (
    FloatingIp,
    FloatingIpPool,
    InstanceIp,
    InterfaceRouteTable,
    LogicalRouter,
    Ref,
    VirtualRouter,
)
from tungsten.model.addresses import AliasIp, AliasIpPool, Subnet
from tungsten.model.addressing import (
    AllowedAddressPair,
    AllowedAddressPairs,
    MacAddressesType,
    SubnetType,
)
from tungsten.model.common import KeyValuePair, KeyValuePairs
from tungsten.model.routes import RouteTableType, RouteType
from tungsten.store.base import Record
from tungsten.xmpp.stanzas import (
    ConfigSubscribe,
    EndOfConfig,
    EnetItem,
    Item,
    NextHop,
    Publish,
    Subscribe,
)

MakeWorld = Callable[..., Awaitable[World]]
MAC = "02:00:00:00:00:03"


def bound(host: str, **more: str) -> KeyValuePairs:
    pairs = {"host_id": host, **more}
    return KeyValuePairs(
        key_value_pair=[KeyValuePair(key=key, value=value) for key, value in pairs.items()]
    )


def placed(name: str, host: str, net: str = "a", **values: object) -> list[Record]:
    """A machine with a port whose bindings name a host."""
    macs = MacAddressesType(mac_address=[MAC])
    return port(
        name,
        f"m-{name}",
        net,
        virtual_machine_interface_bindings=bound(host),
        virtual_machine_interface_mac_addresses=macs,
        **values,
    )


def vmi(name: str) -> list[Ref[None]]:
    return [ref("virtual-machine-interface", f"{PROJECT}:{name}")]


def address(name: str, ip: str) -> Record:
    refs = vmi(name)
    return record(
        InstanceIp(instance_ip_address=ip, virtual_machine_interface_refs=refs), "", f"ip-{ip}"
    )


def via(host: FakeHost, prefix: str) -> list[str]:
    """Where a route in network a leads to."""
    route = host.route("a", prefix)
    return [hop.address for hop in route.next_hops] if route is not None else []


def mac_item(mac: str, ip: str, host: str) -> EnetItem:
    return EnetItem(
        mac=mac, address=ip, next_hops=(NextHop(address=host, label=30, encapsulations=("udp",)),)
    )


async def prepared(make_world: MakeWorld) -> tuple[World, FakeHost, FakeHost]:
    """One host with a port in network a, and one that has none anywhere."""
    world = await make_world(verify_ownership=True)
    await world.put(*basics("c1", "evil"), network("a", 4), target(8000001))
    await world.put(instance("a", t8000001="both"), *placed("p1", "c1"), address("p1", "10.1.1.3"))
    one = await world.host("c1", "192.0.2.1")
    evil = await world.host("evil", "192.0.2.66")
    one.join("a", 3)
    one.publish("a", "10.1.1.3/32")
    await until(lambda: one.prefixes("a") == {"10.1.1.3/32"})
    return world, one, evil


async def test_host_without_interface_hears_nothing_and_is_not_heard(make_world: MakeWorld) -> None:
    world, one, evil = await prepared(make_world)
    evil.join("a", 9)
    evil.publish("a", "10.1.1.3/32", local_preference=0xFFFFFFFF)
    evil.publish("a", "10.1.1.4/32")
    evil.flood("a")
    agent = world.service.peers.agents["evil"]
    await until(lambda: agent.received["Publish"] == 3)
    told = len(one.heard)
    one.publish("a", "10.1.1.3/32", label=21)
    await until(lambda: len(one.heard) > told)
    assert one.prefixes("a") == {"10.1.1.3/32"}
    assert via(one, "10.1.1.3/32") == ["192.0.2.1"]
    assert evil.prefixes("a") == set()
    assert evil.closed == []
    assert agent.refused["not-a-member"] == world.service.peers.refused["not-a-member"] == 1


async def test_host_reads_the_configuration_of_its_own_machines(make_world: MakeWorld) -> None:
    """Neither by asking for another's machine, nor as another virtual-router."""
    world, one, evil = await prepared(make_world)
    network_of_one = ("virtual-network", f"{PROJECT}:a")
    port_of_one = ("virtual-machine-interface", f"{PROJECT}:p1")
    for host in (one, evil):
        host.watch()
        host.plug("m-p1")
    await until(lambda: port_of_one in one.nodes)
    await until(lambda: EndOfConfig() in evil.heard)
    assert ("virtual-router", f"{GLOBAL}:evil") in evil.nodes
    assert not {port_of_one, network_of_one, ("virtual-machine", "m-p1")} & evil.nodes.keys()
    # It moves to the other host: what that asked for is told, and the first forgets.
    await world.put(*placed("p1", "evil"))
    await until(lambda: port_of_one in evil.nodes and port_of_one not in one.nodes)
    assert network_of_one in evil.nodes
    await world.put(*placed("p1", "c1"))
    await until(lambda: port_of_one in one.nodes and port_of_one not in evil.nodes)
    spy = await world.host("spy", "192.0.2.67")
    spy.client.send(ConfigSubscribe("virtual-router", f"{GLOBAL}:c1"))
    agent = world.service.peers.agents["spy"]
    await until(lambda: agent.refused["config-owner"] == 1)
    assert not spy.nodes
    assert not spy.closed


async def test_member_takes_no_address_of_another(make_world: MakeWorld) -> None:
    """Prefixes, MACs, the default route, and an address within one's own range."""
    world, one, evil = await prepared(make_world)
    pairs = AllowedAddressPairs(
        allowed_address_pair=[AllowedAddressPair(ip=SubnetType("10.1.1.0", 24), mac=MAC)]
    )
    await world.put(*placed("p2", "evil", virtual_machine_interface_allowed_address_pairs=pairs))
    await world.put(address("p2", "10.1.1.66"))
    evil.join("a", 9)
    evil.publish("a", "10.1.1.66/32")
    await until(lambda: "10.1.1.66/32" in one.prefixes("a"))
    agent = world.service.peers.agents["evil"]
    name = instance_name("a")
    forged: list[Item] = [
        evil.item("10.1.1.3/32"),
        evil.item("0.0.0.0/0"),
        evil.item("10.0.0.0/8"),
        mac_item("02:00:00:00:00:99", "0.0.0.0/32", evil.address),
        mac_item(MAC, "10.1.1.3/32", evil.address),
        mac_item("00:00:00:00:00:00", "0.0.0.0/0", evil.address),
    ]
    for item in forged:
        evil.client.send(Publish(name, item))
    evil.publish("a", "10.1.1.0/24")
    evil.client.send(Publish(name, mac_item(MAC, "10.1.1.66/32", evil.address)))
    await until(lambda: "10.1.1.0/24" in one.prefixes("a") and len(one.prefixes("a")) == 4)
    assert agent.refused["route-owner"] == len(forged)
    assert evil.closed == []
    assert via(one, "10.1.1.3/32") == ["192.0.2.1"]


async def test_order_of_configuration_and_agent_does_not_matter(make_world: MakeWorld) -> None:
    world, one, evil = await prepared(make_world)
    evil.join("a", 9)
    evil.publish("a", "10.1.1.66/32")
    agent = world.service.peers.agents["evil"]
    await until(lambda: agent.refused["not-a-member"])
    await world.put(*placed("p2", "evil"))
    await until(lambda: evil.prefixes("a") == {"10.1.1.3/32"})
    await until(lambda: agent.refused["route-owner"] == 1)
    await world.put(address("p2", "10.1.1.66"))
    await until(lambda: one.prefixes("a") == {"10.1.1.3/32", "10.1.1.66/32"})
    await world.remove(address("p2", "10.1.1.66"))
    await until(lambda: one.prefixes("a") == {"10.1.1.3/32"})
    await world.put(address("p2", "10.1.1.66"))
    await until(lambda: one.prefixes("a") == {"10.1.1.3/32", "10.1.1.66/32"})
    await world.put(*placed("p2", "elsewhere"))
    await until(lambda: one.prefixes("a") == {"10.1.1.3/32"})
    await until(lambda: evil.prefixes("a") == set())
    assert evil.closed == []


async def test_everything_an_interface_can_have(make_world: MakeWorld) -> None:
    """Allowed pairs, static routes, subnets, floating and alias addresses, a router's instance."""
    world, one, _ = await prepared(make_world)
    pair = AllowedAddressPair(ip=SubnetType("10.9.0.0", 24), mac="02:00:00:00:00:AA")
    pairs = AllowedAddressPairs(allowed_address_pair=[pair])
    table = f"{PROJECT}:static"
    rows = placed("p1", "c1", virtual_machine_interface_allowed_address_pairs=pairs)
    routes = RouteTableType(route=[RouteType(prefix="172.16.0.0/12")])
    interface_table = record(InterfaceRouteTable(interface_route_table_routes=routes),
                             "project", table)  # fmt: skip
    await world.put(*rows, interface_table)
    rows = placed(
        "p1",
        "c1",
        virtual_machine_interface_allowed_address_pairs=pairs,
        interface_route_table_refs=[ref("interface-route-table", table)],
    )
    await world.put(*rows, network("out", 5), instance("out"), network("lr", 6), instance("lr"))
    subnet = Subnet(
        subnet_ip_prefix=SubnetType("10.8.0.0", 16), virtual_machine_interface_refs=vmi("p1")
    )
    floating = FloatingIp(
        floating_ip_address="203.0.113.5", virtual_machine_interface_refs=vmi("p1")
    )
    alias = AliasIp(alias_ip_address="203.0.113.6", virtual_machine_interface_refs=vmi("p1"))
    router = LogicalRouter(
        virtual_machine_interface_refs=vmi("rp"),
        virtual_network_refs=[ref("virtual-network", f"{PROJECT}:lr")],
    )
    await world.put(
        record(subnet, "", "behind"),
        record(FloatingIpPool(), "virtual-network", f"{PROJECT}:out:pool"),
        record(floating, "floating-ip-pool", f"{PROJECT}:out:pool:f"),
        record(AliasIpPool(), "virtual-network", f"{PROJECT}:out:apool"),
        record(alias, "alias-ip-pool", f"{PROJECT}:out:apool:f"),
        *port("rp", "router", "a"),
        record(router, "project", f"{PROJECT}:router"),
    )
    one.join("out", 4)
    one.join("lr", 5)
    inside = {"10.1.1.3/32", "10.9.0.0/24", "172.16.0.0/12", "10.8.0.0/16"}
    for prefix in sorted(inside):
        one.publish("a", prefix)
        one.publish("lr", prefix)
    one.publish("out", "203.0.113.5/32")
    one.publish("out", "203.0.113.6/32")
    one.publish("out", "10.1.1.3/32")
    one.client.send(
        Publish(instance_name("a"), mac_item("02:00:00:00:00:aa", "0.0.0.0/32", one.address))
    )
    await until(lambda: one.prefixes("a") > inside)
    await until(lambda: one.prefixes("lr") == inside)
    await until(lambda: one.prefixes("out") == {"203.0.113.5/32", "203.0.113.6/32"})
    assert world.service.peers.agents["c1"].refused["route-owner"] == 1


async def test_machine_placed_by_nobody_is_for_the_first_who_asks(make_world: MakeWorld) -> None:
    world, one, evil = await prepared(make_world)
    await world.put(*port("p3", "m3", "a"), address("p3", "10.1.1.7"))
    one.plug("m3")
    one.publish("a", "10.1.1.7/32")
    await until(lambda: "10.1.1.7/32" in one.prefixes("a"))
    evil.plug(uuid_of("virtual-machine", "m3"))
    evil.join("a", 9)
    evil.publish("a", "10.1.1.7/32")
    agent = world.service.peers.agents["evil"]
    await until(lambda: agent.received["Publish"])
    assert evil.prefixes("a") == set()
    one.withdraw("a", "10.1.1.7/32")
    one.unplug("m3")
    await until(lambda: evil.prefixes("a") == {"10.1.1.3/32", "10.1.1.7/32"})
    assert via(evil, "10.1.1.7/32") == [evil.address]


async def test_a_claim_does_not_win_over_a_placement(make_world: MakeWorld) -> None:
    world, one, evil = await prepared(make_world)
    evil.plug("m-p1")
    await world.put(*port("p4", "m4", "a"), address("p4", "10.1.1.8"))
    router = VirtualRouter(virtual_machine_refs=[ref("virtual-machine", "m4")])
    evil.plug("m4")
    evil.join("a", 9)
    await until(lambda: evil.prefixes("a"))
    await world.put(record(router, "global-system-config", f"{GLOBAL}:c1"))
    await until(lambda: not evil.prefixes("a"))
    one.publish("a", "10.1.1.8/32")
    await until(lambda: "10.1.1.8/32" in one.prefixes("a"))


async def test_migration_lets_both_hosts_speak(make_world: MakeWorld) -> None:
    world, one, evil = await prepared(make_world)
    bindings = bound("c1", profile='{"migrating_to": "evil"}')
    rows = port("p1", "m-p1", "a", virtual_machine_interface_bindings=bindings)
    await world.put(*rows)
    evil.join("a", 9)
    evil.publish("a", "10.1.1.3/32", local_preference=200)
    await until(
        lambda: (
            (route := one.route("a", "10.1.1.3/32")) and route.next_hops[0].address == "192.0.2.66"
        )
    )


async def test_gateways_are_not_checked(make_world: MakeWorld) -> None:
    world = await make_world(verify_ownership=True, gateway_agents=["gw"])
    await world.put(*basics("gw", "tsn"), network("a", 4), instance("a"))
    await world.put(
        record(
            VirtualRouter(virtual_router_type="tor-service-node"),
            "global-system-config",
            f"{GLOBAL}:tsn",
        )
    )
    for number, name in enumerate(("gw", "tsn"), 1):
        host = await world.host(name, f"192.0.2.{number}")
        host.join("a", 3)
        host.publish("a", f"10.{number}.0.0/16")
    await until(lambda: world.hosts[1].prefixes("a") == {"10.1.0.0/16", "10.2.0.0/16"})


@pytest.mark.parametrize("text", ["default-domain:demo:b:b", "no:such:thing"])
async def test_instance_that_comes_later_is_no_way_in(make_world: MakeWorld, text: str) -> None:
    world, _, evil = await prepared(make_world)
    evil.client.send(Subscribe(text, 4))
    evil.client.send(Publish(text, evil.item("10.1.1.3/32")))
    agent = world.service.peers.agents["evil"]
    await until(lambda: agent.received["Publish"])
    await world.put(network("b", 5), instance("b", t8000001="both"))
    await until(lambda: world.service.instances.get("default-domain:demo:b:b"))
    assert len(world.service.rib.tables["bgp.l3vpn.0"]) == 1


async def test_refusals_can_be_seen(make_world: MakeWorld) -> None:
    """I9: in introspect route by route, in metrics by reason."""
    world, one, evil = await prepared(make_world)
    one.publish("a", "10.1.1.9/32")
    evil.join("a", 9)
    agents = world.service.peers.agents
    await until(lambda: agents["c1"].refused and agents["evil"].refused)
    base = f"http://127.0.0.1:{world.service.introspect_port}"
    async with aiohttp.ClientSession() as http:
        page = await (await http.get(f"{base}/Snh_ShowAgentReq")).text()
        metrics = await (await http.get(f"{base}/metrics")).text()
    assert f"no interface of the host has 10.1.1.9/32 in {instance_name('a')}" in page
    assert "not-a-member: 1" in page
    assert ">pending<" in page
    assert 'tungsten_control_refused_total{reason="route-owner"} 1.0' in metrics
    assert 'tungsten_control_refused_total{reason="not-a-member"} 1.0' in metrics
    assert 'tungsten_control_agents{state="established"} 2.0' in metrics
