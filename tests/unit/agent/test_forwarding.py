import random
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.unit.agent.agent_samples import World, node

from tungsten.agent.derive import compile_oper
from tungsten.agent.forwarding import (
    BROADCAST_MAC,
    ROUTER_MAC,
    Context,
    Discard,
    Ecmp,
    Encapsulation,
    Flood,
    L2Receive,
    Local,
    Member,
    Service,
    Tunnel,
    VrfRoutes,
    VrfTables,
    choose_encapsulation,
    compile_vrf,
    supported_order,
)
from tungsten.agent.oper import Oper
from tungsten.model.addressing import AllowedAddressPair, AllowedAddressPairs, SubnetType
from tungsten.model.networks import VirtualNetworkType
from tungsten.model.routes import RouteTableType, RouteType
from tungsten.model.routing import InterfaceRouteTable
from tungsten.xmpp.routes import EnetItem, InetItem, Item, NextHop
from tungsten.xmpp.stanzas import ConfigLink, ConfigNode, ConfigOperation

ME = IPv4Address("172.30.1.2")
PEER = IPv4Address("172.30.2.2")
OTHER = IPv4Address("172.30.3.2")
BLUE = "default-domain:demo:blue:blue"
VN = "default-domain:demo:blue"
MPLS = (Encapsulation.MPLS_UDP, Encapsulation.MPLS_GRE, Encapsulation.VXLAN)


def hop(address: IPv4Address, label: int, *encapsulations: str) -> NextHop:
    return NextHop(
        address=str(address), label=label, encapsulations=encapsulations or ("gre", "udp")
    )


def inet(prefix: str, *hops: NextHop, network: str = VN) -> InetItem:
    return InetItem(prefix=prefix, next_hops=hops, virtual_network=network)


def evpn(mac: str, ip: str | None, *hops: NextHop) -> EnetItem:
    return EnetItem(mac=mac, address=f"{ip or '0.0.0.0'}/32", next_hops=hops)


def routes(*items: Item) -> VrfRoutes:
    return VrfRoutes(
        {i.id: i for i in items if isinstance(i, InetItem)},
        {i.id: i for i in items if isinstance(i, EnetItem)},
    )


@pytest.fixture
def world() -> World:
    world = World()
    world.network("blue", "10.0.1.0/24")
    world.interface("blue", "10.0.1.3")
    world.interface("blue", "10.0.1.4")
    return world


def oper_of(world: World) -> Oper:
    return compile_oper(world.graph(), tuple(world.ports), world.devices(), ("MPLSoUDP",))


def compiled(
    world: World,
    *items: Item,
    labels: dict[int, str] | None = None,
    order: tuple[Encapsulation, ...] = MPLS,
) -> VrfTables:
    oper = oper_of(world)
    context = Context(ME, order, (labels or {}).get)
    return compile_vrf(oper.vrfs[BLUE], oper.interfaces.values(), routes(*items), context)


def net(text: str) -> IPv4Network:
    return IPv4Network(text)


def test_local_interfaces_bridge_and_route_and_have_labels(world: World) -> None:
    first = world.ports[0].vmi
    tables = compiled(world)
    route = tables.routes[net("10.0.1.3/32")]
    assert route.nexthop == Local(first, layer2=False)
    assert (route.proxy, route.flood, route.mac) == (True, False, "02:00:00:00:00:01")
    assert tables.bridge["02:00:00:00:00:01"].nexthop == Local(first, layer2=True)
    assert tables.labels[f"l3:{first}"] == Local(first, layer2=False)
    assert tables.labels[f"l2:{first}"] == Local(first, layer2=True)
    assert tables.bridge[ROUTER_MAC].nexthop == L2Receive(BLUE)


def test_gateway_and_service_are_proxied_and_unknown_hosts_flooded(world: World) -> None:
    tables = compiled(world)
    for address in ("10.0.1.1/32", "10.0.1.2/32"):
        assert tables.routes[net(address)].nexthop == Service(BLUE)
        assert tables.routes[net(address)].proxy
    subnet = tables.routes[net("10.0.1.0/24")]
    assert (subnet.nexthop, subnet.proxy, subnet.flood) == (Discard(), False, True)


def test_a_remote_workload_is_routed_by_label_and_stitched_to_its_mac(world: World) -> None:
    tables = compiled(
        world,
        inet("10.0.1.9/32", hop(PEER, 31)),
        evpn("02:00:00:00:00:99", "10.0.1.9", hop(PEER, 32)),
    )
    route = tables.routes[net("10.0.1.9/32")]
    tunnel = Tunnel(Encapsulation.MPLS_UDP, PEER)
    assert (route.nexthop, route.label, route.mac) == (tunnel, 31, "02:00:00:00:00:99")
    assert route.proxy
    entry = tables.bridge["02:00:00:00:00:99"]
    assert (entry.nexthop, entry.label) == (tunnel, 32)


def test_a_remote_host_without_mac_route_is_flooded_for(world: World) -> None:
    route = compiled(world, inet("10.0.1.9/32", hop(PEER, 31))).routes[net("10.0.1.9/32")]
    assert (route.proxy, route.flood, route.mac) == (False, True, None)


def test_a_route_of_another_network_is_proxied_never_flooded(world: World) -> None:
    item = inet("10.0.2.9/32", hop(PEER, 31), network="default-domain:demo:red")
    route = compiled(world, item).routes[net("10.0.2.9/32")]
    assert (route.proxy, route.flood) == (True, False)


def test_several_paths_make_one_composite_whatever_their_order(world: World) -> None:
    hops = [hop(PEER, 31), hop(OTHER, 17), hop(ME, 50)]
    labels = {50: f"l3:{world.ports[1].vmi}"}
    results = set()
    for seed in range(6):
        random.Random(seed).shuffle(hops)
        table = compiled(world, inet("10.0.1.9/32", *hops), labels=labels)
        results.add(table.routes[net("10.0.1.9/32")])
    (route,) = results
    assert isinstance(route.nexthop, Ecmp)
    assert set(route.nexthop.members) == {
        Member(Tunnel(Encapsulation.MPLS_UDP, PEER), 31),
        Member(Tunnel(Encapsulation.MPLS_UDP, OTHER), 17),
        Member(Local(world.ports[1].vmi, layer2=False)),
    }
    assert route.label is None


def test_the_echo_of_an_own_route_changes_nothing(world: World) -> None:
    first = world.ports[0].vmi
    labels = {40: f"l3:{first}", 41: f"l2:{first}"}
    items = (
        inet("10.0.1.3/32", hop(ME, 40)),
        evpn("02:00:00:00:00:01", "10.0.1.3", hop(ME, 41)),
    )
    assert compiled(world, *items, labels=labels) == compiled(world)


def test_an_own_label_of_nobody_leads_nowhere(world: World) -> None:
    table = compiled(world, inet("10.0.1.9/32", hop(ME, 40)), labels={40: "l3:gone"})
    assert net("10.0.1.9/32") not in table.routes


@pytest.mark.parametrize("label", [0, 3, 15, 1 << 20])
def test_reserved_labels_are_not_used(world: World, label: int) -> None:
    table = compiled(world, inet("10.0.1.9/32", hop(PEER, label)))
    assert net("10.0.1.9/32") not in table.routes


def test_floods_reach_local_interfaces_and_every_other_host(world: World) -> None:
    broadcast = EnetItem(
        mac=BROADCAST_MAC, olist=(hop(PEER, 60), hop(OTHER, 61), hop(ME, 62), hop(PEER, 60))
    )
    tables = compiled(world, broadcast)
    flood = tables.bridge[BROADCAST_MAC].nexthop
    assert isinstance(flood, Flood)
    interfaces, remote = flood.parts
    assert {leg.nexthop for leg in interfaces.members} == {
        Local(port.vmi, layer2=True) for port in world.ports
    }
    assert [leg.label for leg in remote.members] == [60, 61]
    assert tables.labels[flood.key] == flood


def test_a_flood_larger_than_a_composite_has_several_parts(world: World) -> None:
    hops = tuple(hop(IPv4Address(n), 100) for n in range(0x0A000001, 0x0A000001 + 300))
    flood = compiled(world, EnetItem(mac=BROADCAST_MAC, olist=hops)).bridge[BROADCAST_MAC].nexthop
    assert isinstance(flood, Flood)
    assert [len(part.members) for part in flood.parts] == [2, 128, 128, 44]
    assert len({part.key for part in flood.parts}) == 4


def test_a_network_without_layer_2_has_no_bridge_table() -> None:
    world = World()
    properties = VirtualNetworkType(forwarding_mode="l3")
    world.network("blue", "10.0.1.0/24", virtual_network_properties=properties)
    world.interface("blue", "10.0.1.3")
    tables = compiled(world, inet("10.0.1.9/32", hop(PEER, 31)))
    assert tables.bridge == {}
    assert all(not r.flood for p, r in tables.routes.items() if p.prefixlen == 32)
    assert tables.routes[net("10.0.1.3/32")].mac is None


def test_the_first_of_our_encapsulations_that_is_offered_is_used() -> None:
    udp_first = (Encapsulation.MPLS_UDP, Encapsulation.VXLAN)
    assert choose_encapsulation(udp_first, ("gre", "udp")) is Encapsulation.MPLS_UDP
    assert choose_encapsulation(udp_first, ("vxlan",)) is Encapsulation.VXLAN
    assert choose_encapsulation(udp_first, ("gre", "native")) is None
    oper = Oper(encapsulations=("VXLAN", "Native", "MPLSoUDP"))
    assert supported_order(oper, MPLS) == (Encapsulation.VXLAN, Encapsulation.MPLS_UDP)


@pytest.mark.parametrize("seed", range(10))
def test_tables_do_not_depend_on_the_order_of_routes(world: World, seed: int) -> None:
    items: list[Item] = [
        inet("0.0.0.0/0", hop(PEER, 20), network="default-domain:demo:public"),
        EnetItem(mac=BROADCAST_MAC, olist=(hop(PEER, 60), hop(OTHER, 61))),
    ]
    for n in range(5, 12):
        mac = f"02:00:00:00:01:{n:02x}"
        items.append(inet(f"10.0.1.{n}/32", hop(PEER, 20 + n), hop(OTHER, 40 + n)))
        items.append(evpn(mac, f"10.0.1.{n}", hop(PEER, 60 + n)))
        items.append(evpn(mac, None, hop(PEER, 80 + n)))
    expected = compiled(world, *items)
    random.Random(seed).shuffle(items)
    assert compiled(world, *items) == expected


def with_address_mode(mode: str) -> World:
    """Both interfaces have 10.0.1.50, in ``mode``."""
    shared = AllowedAddressPairs(
        allowed_address_pair=[
            AllowedAddressPair(
                ip=SubnetType(ip_prefix="10.0.1.50", ip_prefix_len=32), address_mode=mode
            )
        ]
    )
    world = World()
    world.network("blue", "10.0.1.0/24")
    for ip in ("10.0.1.3", "10.0.1.4"):
        world.interface("blue", ip, virtual_machine_interface_allowed_address_pairs=shared)
    return world


def test_an_address_of_several_interfaces_is_spread_over_them_and_the_other_hosts() -> None:
    world = with_address_mode("active-active")
    key = f"local-ecmp:10.0.1.50/32:{BLUE}"
    local = {Member(Local(port.vmi, layer2=False)) for port in world.ports}
    tables = compiled(world)
    label = tables.labels[key]
    assert isinstance(label, Ecmp)
    assert set(label.members) == local
    assert tables.routes[net("10.0.1.50/32")].nexthop == label
    item = inet("10.0.1.50/32", hop(ME, 70), hop(PEER, 31))
    route = compiled(world, item, labels={70: key}).routes[net("10.0.1.50/32")]
    assert isinstance(route.nexthop, Ecmp)
    assert set(route.nexthop.members) == {
        *local,
        Member(Tunnel(Encapsulation.MPLS_UDP, PEER), 31),
    }
    assert (route.proxy, route.mac) == (True, None)


def test_an_address_that_is_only_allowed_is_not_originated() -> None:
    tables = compiled(with_address_mode("active-standby"))
    assert net("10.0.1.50/32") not in tables.routes
    assert not [key for key in tables.labels if key.startswith("local-ecmp")]


def test_a_prefix_behind_an_interface_is_routed_to_it_unstitched(world: World) -> None:
    table = InterfaceRouteTable(
        fq_name=["default-domain", "demo", "behind"],
        interface_route_table_routes=RouteTableType(
            route=[RouteType(prefix="192.0.2.0/24"), RouteType(prefix="bad")]
        ),
    )
    vmi = next(
        o.object
        for o in world.operations
        if isinstance(o.object, ConfigNode) and o.object.type == "virtual-machine-interface"
    )
    metadata = "virtual-machine-interface-route-table"
    ends = ((vmi.type, vmi.name), ("interface-route-table", ":".join(table.fq_name)))
    world.operations += [node(table), ConfigOperation(ConfigLink(*ends, metadata))]
    route = compiled(world).routes[net("192.0.2.0/24")]
    assert route.nexthop == Local(world.ports[0].vmi, layer2=False)
    assert (route.proxy, route.flood, route.mac) == (True, False, None)
