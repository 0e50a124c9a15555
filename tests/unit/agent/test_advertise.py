from ipaddress import IPv4Address

import pytest
from tests.unit.agent.agent_samples import World

from tungsten.agent.advertise import Advertisement, Origin, advertise
from tungsten.agent.derive import compile_oper
from tungsten.agent.forwarding import BROADCAST_MAC, Encapsulation
from tungsten.agent.oper import Oper
from tungsten.model.addressing import AllowedAddressPair, AllowedAddressPairs, SubnetType
from tungsten.xmpp.routes import EVPN, INET, EnetItem, InetItem

BLUE = "default-domain:demo:blue:blue"
LABELS: dict[str, int] = {}


def origin(*order: Encapsulation) -> Origin:
    return Origin(
        address=IPv4Address("172.30.1.2"),
        mac="02:aa:00:00:00:01",
        order=order,
        vrf_id=lambda _: 7,
        label=lambda key: LABELS.setdefault(key, 100 + len(LABELS)),
    )


def oper_of(world: World, **absent: bool) -> Oper:
    devices = {} if absent.get("devices") else world.devices()
    return compile_oper(world.graph(), tuple(world.ports), devices, ())


def enet(told: Advertisement, mac: str, ip: str = "0.0.0.0") -> EnetItem:
    item = next(
        i
        for i in told.routes.values()
        if isinstance(i, EnetItem) and i.mac == mac and i.address == f"{ip}/32"
    )
    assert isinstance(item, EnetItem)
    return item


@pytest.fixture
def world() -> World:
    world = World()
    world.network("blue", "10.0.1.0/24")
    world.interface("blue", "10.0.1.3")
    return world


def test_an_active_interface_is_told_by_address_mac_and_both(world: World) -> None:
    told = advertise(oper_of(world), origin(Encapsulation.MPLS_UDP, Encapsulation.MPLS_GRE))
    assert told.instances == {BLUE: 7}
    vmi = world.ports[0].vmi
    route = told.routes[BLUE, INET, "10.0.1.3/32"]
    assert isinstance(route, InetItem)
    (hop,) = route.next_hops
    assert (hop.address, hop.label, hop.encapsulations) == (
        "172.30.1.2",
        LABELS[f"l3:{vmi}"],
        ("gre", "udp"),
    )
    assert (route.local_preference, route.sub_protocol) == (200, "interface")
    for ip in ("0.0.0.0", "10.0.1.3"):
        item = enet(told, "02:00:00:00:00:01", ip)
        assert item.next_hops[0].label == LABELS[f"l2:{vmi}"]
        assert item.tag == 0
    flood = enet(told, BROADCAST_MAC)
    assert flood.next_hops[0].label == LABELS[f"flood:top:0:{BLUE}"]
    assert flood.local_preference == 100
    assert flood.edge_replication_not_supported
    assert len(told.routes) == 4


def test_frames_come_by_vxlan_where_it_is_first(world: World) -> None:
    told = advertise(oper_of(world), origin(Encapsulation.VXLAN, Encapsulation.MPLS_UDP))
    for item in told.routes.values():
        hop = item.next_hops[0]
        if isinstance(item, EnetItem):
            assert (item.tag, hop.label, hop.encapsulations) == (10, 10, ("vxlan",))
        else:
            assert hop.encapsulations == ("udp",)


def test_an_inactive_interface_keeps_its_vrf_and_tells_nothing(world: World) -> None:
    told = advertise(oper_of(world, devices=True), origin(Encapsulation.MPLS_UDP))
    assert set(told.instances) == {BLUE}
    assert told.routes == {}


def test_an_interface_without_address_is_told_by_mac_alone() -> None:
    world = World()
    world.network("blue", "10.0.1.0/24")
    world.interface("blue", None)
    told = advertise(oper_of(world), origin(Encapsulation.MPLS_UDP))
    assert {key[1] for key in told.routes} == {EVPN}
    assert {key[2] for key in told.routes} == {
        "02:00:00:00:00:01,0.0.0.0/32",
        "ff:ff:ff:ff:ff:ff,0.0.0.0/32",
    }


def test_an_address_of_several_interfaces_is_told_once_with_a_label_of_its_own() -> None:
    pairs = AllowedAddressPairs(
        allowed_address_pair=[
            AllowedAddressPair(
                ip=SubnetType(ip_prefix="10.0.1.50", ip_prefix_len=32),
                address_mode="active-active",
            )
        ]
    )
    world = World()
    world.network("blue", "10.0.1.0/24")
    for ip in ("10.0.1.3", "10.0.1.4"):
        world.interface("blue", ip, virtual_machine_interface_allowed_address_pairs=pairs)
    told = advertise(oper_of(world), origin(Encapsulation.MPLS_UDP))
    shared = told.routes[BLUE, INET, "10.0.1.50/32"]
    assert shared.next_hops[0].label == LABELS[f"local-ecmp:10.0.1.50/32:{BLUE}"]
    own = told.routes[BLUE, INET, "10.0.1.3/32"]
    assert own.next_hops[0].label == LABELS[f"l3:{world.ports[0].vmi}"]
