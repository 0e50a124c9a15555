"""What configuration an agent is told, and in which order (FakeHost checks the order)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from tests.unit.control.control_world import (
    GLOBAL,
    PROJECT,
    World,
    basics,
    instance,
    instance_name,
    network,
    port,
    put,
    record,
    ref,
    remove,
    target,
    until,
    uuid_of,
)

from tungsten.model import Project, SecurityGroup, VirtualMachineInterface, VirtualRouter
from tungsten.model.ifmap import attr_name, from_ifmap
from tungsten.store import Store
from tungsten.xmpp.stanzas import EndOfConfig


async def cloud(world: World) -> None:
    await world.put(*basics("c1", "c2"), network("a", 4), network("b", 5))
    await world.put(target(8000001), target(8000002))
    await world.put(instance("a", t8000001="both"), instance("b", t8000002="both"))
    await world.put(*port("p1", "m1", "a"), *port("p2", "m2", "b"))


async def test_agent_gets_its_router_then_what_its_machines_need(world: World) -> None:
    await cloud(world)
    host = await world.host("c1", "192.0.2.1")
    host.watch()
    await until(lambda: EndOfConfig() in host.heard)
    assert set(host.nodes) == {
        ("virtual-router", f"{GLOBAL}:c1"),
        ("global-system-config", GLOBAL),
    }
    host.plug("m1")
    await until(lambda: ("routing-instance", instance_name("a")) in host.nodes)
    assert set(host.nodes) == {
        ("virtual-router", f"{GLOBAL}:c1"),
        ("global-system-config", GLOBAL),
        ("virtual-machine", "m1"),
        ("virtual-machine-interface", f"{PROJECT}:p1"),
        (
            "virtual-machine-interface-routing-instance",
            attr_name(f"{PROJECT}:p1", instance_name("a")),
        ),
        ("virtual-network", f"{PROJECT}:a"),
        ("routing-instance", instance_name("a")),
        ("project", PROJECT),
    }
    metadata = {link.metadata for link in host.links}
    assert metadata == {
        "global-system-config-virtual-router",
        "virtual-router-virtual-machine",
        "virtual-machine-interface-virtual-machine",
        "virtual-machine-interface-virtual-network",
        "virtual-machine-interface-routing-instance",
        "virtual-network-routing-instance",
        "project-virtual-machine-interface",
        "project-virtual-network",
    }


async def test_nodes_read_back_as_resources_with_their_uuid(world: World) -> None:
    await cloud(world)
    host = await world.host("c1", "192.0.2.1")
    host.watch()
    host.plug("m1")
    key = ("virtual-machine-interface", f"{PROJECT}:p1")
    await until(lambda: key in host.nodes)
    element = host.nodes[key].element
    assert element is not None
    assert from_ifmap(key[0], element).uuid == uuid_of(*key)


async def test_machine_can_be_asked_for_before_it_exists(world: World) -> None:
    await world.put(*basics("c1"), network("a", 4), target(8000001))
    await world.put(instance("a", t8000001="both"))
    host = await world.host("c1", "192.0.2.1")
    host.watch()
    host.plug(uuid_of("virtual-machine", "m1"))
    await until(lambda: EndOfConfig() in host.heard)
    await world.put(*port("p1", "m1", "a"))
    await until(lambda: ("virtual-network", f"{PROJECT}:a") in host.nodes)


async def test_unplugged_machine_takes_its_part_away(world: World) -> None:
    await cloud(world)
    host = await world.host("c1", "192.0.2.1")
    host.watch()
    host.plug("m1")
    host.plug("m2")
    await until(lambda: ("routing-instance", instance_name("b")) in host.nodes)
    host.unplug("m1")
    await until(lambda: ("virtual-network", f"{PROJECT}:a") not in host.nodes)
    assert ("virtual-network", f"{PROJECT}:b") in host.nodes
    assert ("project", PROJECT) in host.nodes


async def test_deleted_port_goes_and_the_rest_stays(world: World) -> None:
    await cloud(world)
    host = await world.host("c1", "192.0.2.1")
    host.watch()
    host.plug("m1")
    await until(lambda: ("routing-instance", instance_name("a")) in host.nodes)
    _, interface = port("p1", "m1", "a")
    await world.remove(interface)
    await until(lambda: ("virtual-network", f"{PROJECT}:a") not in host.nodes)
    assert set(host.nodes) == {
        ("virtual-router", f"{GLOBAL}:c1"),
        ("global-system-config", GLOBAL),
        ("virtual-machine", "m1"),
    }


async def test_changed_object_is_sent_whole_to_those_who_have_it(world: World) -> None:
    await cloud(world)
    one = await world.host("c1", "192.0.2.1")
    two = await world.host("c2", "192.0.2.2")
    for host, machine in ((one, "m1"), (two, "m2")):
        host.watch()
        host.plug(machine)
        await until(partial(host.has_links, 9))
    told = len(two.heard)
    changed = network("a", 9)
    await world.put(changed)

    def index() -> str | None:
        element = one.nodes["virtual-network", f"{PROJECT}:a"].element
        return element.findtext("virtual-network-network-id") if element is not None else None

    await until(lambda: index() == "9")
    await world.put(record(Project(display_name="Demo"), "domain", PROJECT))
    await until(lambda: len(two.heard) > told)
    assert len(two.heard) == told + 1, "only the project is news to the second"


async def test_new_reference_brings_what_is_behind_it(world: World) -> None:
    await cloud(world)
    host = await world.host("c1", "192.0.2.1")
    host.watch()
    host.plug("m1")
    await until(lambda: ("project", PROJECT) in host.nodes)
    group = record(SecurityGroup(), "project", f"{PROJECT}:web")
    await world.put(group)
    interface = VirtualMachineInterface(
        virtual_machine_refs=[ref("virtual-machine", "m1")],
        virtual_network_refs=[ref("virtual-network", f"{PROJECT}:a")],
        security_group_refs=[ref("security-group", f"{PROJECT}:web")],
    )
    await world.put(record(interface, "project", f"{PROJECT}:p1"))
    await until(lambda: ("security-group", f"{PROJECT}:web") in host.nodes)
    assert (
        "virtual-machine-interface-routing-instance",
        attr_name(f"{PROJECT}:p1", instance_name("a")),
    ) not in host.nodes


async def test_router_that_comes_late_and_again_is_served(world: World) -> None:
    await world.put(*basics("c9"))
    host = await world.host("c1", "192.0.2.1")
    host.watch()
    await until(lambda: EndOfConfig() in host.heard)
    assert not host.nodes
    router = record(VirtualRouter(), "global-system-config", f"{GLOBAL}:c1")
    await world.put(router)
    await until(lambda: ("virtual-router", f"{GLOBAL}:c1") in host.nodes)
    await world.remove(router)
    await until(lambda: not host.nodes and not host.links)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
async def test_order_of_agent_and_configuration_does_not_matter(
    make_world: Callable[..., Awaitable[World]], store: Store, order: tuple[int, ...]
) -> None:
    base = [*basics("c1"), network("a", 4), target(8000001)]
    world = await make_world()
    await world.put(*base)
    host = await world.host("c1", "192.0.2.1")

    async def step(number: int) -> None:
        if number == 0:
            host.watch()
        elif number == 1:
            await until(lambda: world.service.exporter.clients) if 0 in done else host.watch()
            host.plug("m1")
        elif number == 2:
            await store.transact(put(instance("a", t8000001="both")))
        else:
            machine, interface = port("p1", "m1", "a")
            if 2 not in done:
                await store.transact(put(instance("a", t8000001="both")))
            await store.transact(put(machine, interface))

    done: list[int] = []
    for number in order:
        await step(number)
        done.append(number)
    await until(lambda: len(host.nodes) == 8, "whole closure")
    machine, interface = port("p1", "m1", "a")
    await store.transact(remove(interface, machine))
    await until(lambda: len(host.nodes) == 2, "router and global config are left")
