import random
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.unit.agent.agent_samples import World

from tungsten.agent.derive import compile_oper
from tungsten.agent.oper import Oper
from tungsten.model.interfaces import VirtualMachineInterface
from tungsten.xmpp.stanzas import ConfigMessage, ConfigNode, ConfigOperation

ORDER = ("MPLSoUDP", "VXLAN")


def oper_of(world: World) -> Oper:
    return compile_oper(world.graph(), tuple(world.ports), world.devices(), ORDER)


@pytest.fixture
def world() -> World:
    world = World()
    world.network("blue", "10.0.1.0/24")
    world.network("red", "10.0.2.0/24")
    world.interface("blue", "10.0.1.3")
    world.interface("blue", "10.0.1.4")
    world.interface("red", "10.0.2.3")
    return world


def test_an_interface_is_what_configuration_port_and_device_say(world: World) -> None:
    oper = oper_of(world)
    interface = oper.interfaces[world.ports[0].vmi]
    assert interface.vrf == "default-domain:demo:blue:blue"
    assert interface.mac == "02:00:00:00:00:01"
    assert interface.ip == IPv4Address("10.0.1.3")
    assert interface.l2_active
    assert interface.l3_active
    vrf = oper.vrfs[interface.vrf]
    assert (vrf.network, vrf.vni) == ("default-domain:demo:blue", 10)
    (subnet,) = vrf.subnets
    assert subnet.prefix == IPv4Network("10.0.1.0/24")
    assert (subnet.gateway, subnet.service) == (
        IPv4Address("10.0.1.1"),
        IPv4Address("10.0.1.2"),
    )
    assert oper.encapsulations == ORDER


@pytest.mark.parametrize("seed", range(20))
def test_order_and_repetition_of_arrival_do_not_matter(world: World, seed: int) -> None:
    expected = oper_of(world)
    shuffled = world.operations + world.operations[:10]
    random.Random(seed).shuffle(shuffled)
    graph = world.graph(shuffled)
    assert compile_oper(graph, tuple(world.ports), world.devices(), ORDER) == expected


def test_any_missing_piece_takes_down_only_what_needs_it(world: World) -> None:
    whole = oper_of(world)
    for at in range(len(world.operations)):
        graph = world.graph(world.operations[:at] + world.operations[at + 1 :])
        oper = compile_oper(graph, tuple(world.ports), world.devices(), ORDER)
        assert set(oper.interfaces) | set(oper.waiting) == set(whole.interfaces)
        for vmi, interface in oper.interfaces.items():
            assert interface.vrf == whole.interfaces[vmi].vrf
            assert set(interface.addresses) <= set(whole.interfaces[vmi].addresses)


def test_a_device_that_is_away_or_down_makes_the_interface_inactive(world: World) -> None:
    devices = world.devices()
    del devices["tap1"]
    oper = compile_oper(world.graph(), tuple(world.ports), devices, ORDER)
    interface = oper.interfaces[world.ports[0].vmi]
    assert not interface.l2_active
    assert not interface.l3_active


def test_what_is_not_sent_again_goes_with_the_sweep_and_not_before(world: World) -> None:
    graph = world.graph()
    graph.begin()
    kept = world.operations[: len(world.operations) // 2]
    graph.apply(ConfigMessage(tuple(kept)))
    ports, devices = tuple(world.ports), world.devices()
    assert compile_oper(graph, ports, devices, ORDER) == oper_of(world)
    assert graph.sweep() > 0
    assert compile_oper(graph, ports, devices, ORDER) == compile_oper(
        world.graph(kept), ports, devices, ORDER
    )


def test_what_was_received_can_be_sent_again(world: World) -> None:
    graph = world.graph()
    again = world.graph(graph.operations())
    assert compile_oper(again, tuple(world.ports), world.devices(), ORDER) == oper_of(world)


def test_a_node_that_does_not_decode_is_alone_in_that(world: World) -> None:
    vmi = next(
        o
        for o in world.operations
        if isinstance(o.object, ConfigNode) and o.object.type == "virtual-machine-interface"
    )
    assert isinstance(vmi.object, ConfigNode)
    assert vmi.object.element is not None
    broken = type(vmi.object.element)("node", {"type": "virtual-machine-interface"})
    permissions = type(broken)("id-perms")
    uuid = type(broken)("uuid")
    half = type(broken)("uuid-mslong")
    half.text = "not a number"
    uuid.append(half)
    permissions.append(uuid)
    broken.append(permissions)
    graph = world.graph()
    node = ConfigNode(vmi.object.type, vmi.object.name, element=broken)
    graph.apply(ConfigMessage((ConfigOperation(node),)))
    assert list(graph.rejected) == [(vmi.object.type, vmi.object.name)]
    assert graph.resource(VirtualMachineInterface, vmi.object.name) is None
    oper = compile_oper(graph, tuple(world.ports), world.devices(), ORDER)
    assert len(oper.interfaces) == 2
