"""No value in the configuration stops a host: what it spoils is left out, the rest works."""

import copy
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.agent.agent_samples import World
from tests.unit.agent.test_writer import FABRIC, ME, PKT0, WatchedDatapath

from tungsten.agent.advertise import Origin, advertise
from tungsten.agent.config import ConfigGraph
from tungsten.agent.derive import compile_oper
from tungsten.agent.forwarding import Context, Encapsulation, VrfRoutes, compile_vrf
from tungsten.agent.ids import Ids
from tungsten.agent.leases import lease_for
from tungsten.agent.oper import Oper
from tungsten.agent.program import Host, id_spaces, number
from tungsten.agent.services.dhcp import DhcpError, Message, encode, respond
from tungsten.agent.writer import Writer
from tungsten.model.addressing import (
    AllowedAddressPair,
    AllowedAddressPairs,
    DhcpOptionsListType,
    DhcpOptionType,
    SubnetType,
)
from tungsten.model.interfaces import VirtualMachineInterfacePropertiesType
from tungsten.model.networks import VirtualNetworkType
from tungsten.model.routes import RouteTableType, RouteType
from tungsten.xmpp.stanzas import ConfigMessage, ConfigNode, ConfigOperation

ORDER = (Encapsulation.MPLS_UDP, Encapsulation.VXLAN)


def rich_world() -> World:
    """Two networks; every kind of value an agent reads is said somewhere."""
    world = World()
    world.network(
        "blue",
        "10.0.1.0/24",
        virtual_network_properties=VirtualNetworkType(forwarding_mode="l2_l3", mtu=1400),
        flood_unknown_unicast=True,
    )
    world.network("red", "10.0.2.0/24")
    pair = AllowedAddressPair(
        ip=SubnetType(ip_prefix="10.0.1.50", ip_prefix_len=32),
        mac="02:00:00:00:00:50",
        address_mode="active-active",
    )
    world.interface(
        "blue",
        "10.0.1.3",
        virtual_machine_interface_allowed_address_pairs=AllowedAddressPairs(
            allowed_address_pair=[pair]
        ),
        virtual_machine_interface_dhcp_option_list=DhcpOptionsListType(
            dhcp_option=[DhcpOptionType(dhcp_option_name="42", dhcp_option_value="10.0.0.1")]
        ),
        virtual_machine_interface_host_routes=RouteTableType(
            route=[RouteType(prefix="192.0.2.0/24", next_hop="10.0.1.9")]
        ),
        virtual_machine_interface_properties=VirtualMachineInterfacePropertiesType(
            local_preference=200
        ),
    )
    world.interface("red", "10.0.2.3")
    return world


def leaves(element: Element) -> Iterator[Element]:
    for child in element:
        if len(child):
            yield from leaves(child)
        elif child.tag not in ("uuid-mslong", "uuid-lslong"):
            yield child


def whole_way(world: World, graph: ConfigGraph, directory: Path) -> Oper:
    """From the graph to written tables, advertisements and leases."""
    oper = compile_oper(graph, tuple(world.ports), world.devices(), ("MPLSoUDP", "VXLAN"))
    ids = Ids(directory / "ids.json", id_spaces())
    context = Context(ME, ORDER, ids["label"].key_of)
    tables = {}
    for name, vrf in oper.vrfs.items():
        members = [i for i in oper.interfaces.values() if i.vrf == name]
        tables[name] = compile_vrf(vrf, members, VrfRoutes(), context)
    wanted = number(ids, oper, tables, Host(FABRIC, ME, PKT0))
    Writer(WatchedDatapath()).apply(wanted, complete=True)
    for vif in wanted.vifs.values():
        vif.pack()
    for nexthop in wanted.nexthops.values():
        nexthop.pack()
    advertise(
        oper,
        Origin(
            ME,
            FABRIC.mac,
            ORDER,
            lambda name: ids.allocate("vrf", name),
            lambda key: ids.allocate("label", key),
        ),
    )
    for interface in oper.interfaces.values():
        lease = lease_for(interface, oper.vrfs[interface.vrf], 1500)
        if lease is not None:
            request = Message(op=1, xid=1, chaddr=b"\2" * 6, options={53: b"\1"})
            try:
                answer = respond(request, lease)
                assert answer is not None
                encode(answer)
            except DhcpError:
                continue
    return oper


VALUES = st.one_of(
    st.text(max_size=40),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        [
            "",
            "true",
            "0",
            "255.255.255.255/33",
            "::1",
            "::/0",
            "0.0.0.0",
            "10.0.1.1",
            "224.0.0.1",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
            "00:00:5e:00:01:00",
            "02:00:00:00:00:100",
            "l3",
            "l2",
            "1" * 5000,
        ]
    ),
)


@pytest.fixture(scope="module")
def world() -> World:
    return rich_world()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_value_in_any_field_leaves_the_other_network_alone(
    world: World, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    graph = world.graph()
    nodes = [
        o.object
        for o in world.operations
        if isinstance(o.object, ConfigNode) and "red" not in o.object.name
    ]
    node = data.draw(st.sampled_from(nodes))
    assert node.element is not None
    element = copy.deepcopy(node.element)
    found = list(leaves(element))
    if not found:
        return
    data.draw(st.sampled_from(found)).text = data.draw(VALUES)
    graph.apply(
        ConfigMessage((ConfigOperation(ConfigNode(node.type, node.name, element=element)),))
    )
    oper = whole_way(world, graph, tmp_path_factory.mktemp("ids"))
    red = oper.interfaces.get(world.ports[1].vmi)
    if "port2" not in node.name and node.type not in ("network-ipam", "virtual-machine"):
        assert red is not None
        if node.type != "instance-ip":
            assert red.ip == IPv4Address("10.0.2.3")


def test_the_whole_way_works_without_poison(world: World, tmp_path: Path) -> None:
    oper = whole_way(world, world.graph(), tmp_path)
    assert len(oper.interfaces) == 2
    assert oper.interfaces[world.ports[0].vmi].local_preference == 200
