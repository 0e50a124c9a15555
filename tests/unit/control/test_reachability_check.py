"""Copies from VPN tables wait for a host route to their next hop, if so configured."""

from __future__ import annotations

from itertools import permutations

import pytest
from tests.unit.control.control_world import (
    GLOBAL,
    World,
    basics,
    instance,
    instance_name,
    network,
    target,
    until,
)
from tests.unit.control.control_world import record as record_of
from tests.unit.control.cores import both_cores
from tests.unit.control.test_replication import (
    PREFIX,
    RD,
    VPN,
    Cloud,
    attributes,
    dump,
    fabric,
    rt,
    two_networks,
)

from tungsten.bgp import communities
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import EVPN, INET, INET6
from tungsten.bgp.nlri import IpPrefix, prefix_from_text
from tungsten.control.introspect_routes import show_path
from tungsten.control.paths import ATTRIBUTES, Path, PathFlag, Protocol, Source
from tungsten.control.tables import MASTER
from tungsten.model import GlobalSystemConfig
from tungsten.model.system import FastConvergenceParametersType

pytestmark = both_cores
HOST, OTHER = "192.0.2.1/32", "192.0.2.9/32"


def checked() -> Cloud:
    cloud = two_networks()
    cloud.instances.replication.set_reachability_check(True)
    cloud.rib.process()
    return cloud


def flags(cloud: Cloud, name: str = "a") -> list[PathFlag]:
    cloud.rib.process()
    return [path.flags for path in cloud.paths(name)]


def test_copy_is_unresolved_until_its_next_hop_is_a_host_of_the_fabric() -> None:
    cloud = checked()
    cloud.say(VPN, RD + PREFIX, rt(1))
    assert flags(cloud) == flags(cloud, "b") == [PathFlag.RESOLVE_NEXT_HOP]
    route = cloud.table("a").get(PREFIX)
    assert route is not None
    assert route.best is None
    assert "ResolveNexthop" in show_path(route, route.paths[0], cloud.instances, 64512).flags
    fabric(cloud, "192.0.2.0/24", True)
    fabric(cloud, OTHER, True)
    assert flags(cloud) == [PathFlag.RESOLVE_NEXT_HOP], "that is not the host's own"
    fabric(cloud, HOST, True)
    assert flags(cloud) == flags(cloud, "b") == [PathFlag.NONE]
    fabric(cloud, HOST, False)
    assert flags(cloud) == [PathFlag.RESOLVE_NEXT_HOP]


def test_without_the_check_nothing_waits() -> None:
    cloud = checked()
    cloud.say(VPN, RD + PREFIX, rt(1))
    cloud.instances.replication.set_reachability_check(False)
    assert flags(cloud) == [PathFlag.NONE]
    fabric(cloud, HOST, True)
    cloud.rib.process()
    cloud.instances.replication.set_reachability_check(True)
    assert flags(cloud) == [PathFlag.NONE], "the host was there before the check"


def test_unusable_host_route_is_none() -> None:
    cloud = checked()
    cloud.say(VPN, RD + PREFIX, rt(1))
    table, key = cloud.rib.vrf_table(MASTER, INET), prefix_from_text(HOST)
    table.add(key, Path(cloud.router, attributes(), 0, flags=PathFlag.AS_PATH_LOOPED))
    assert flags(cloud) == [PathFlag.RESOLVE_NEXT_HOP]
    table.add(key, Path(cloud.agent, attributes(), 0))
    assert flags(cloud) == [PathFlag.NONE]


def test_routes_between_instances_and_of_agents_do_not_wait() -> None:
    cloud = checked()
    cloud.say("a", PREFIX)
    assert flags(cloud) == flags(cloud, "b") == [PathFlag.NONE]
    (vpn,) = cloud.paths(VPN, RD + PREFIX)
    assert vpn.is_feasible


def test_next_hops_of_ipv6_and_routes_of_evpn_are_checked_alike() -> None:
    cloud = checked()
    hop = prefix_from_text("2001:db8::1/128")
    said = ATTRIBUTES.intern(PathAttributes(next_hop=hop[1:], extended_communities=(rt(1),)))
    key = IpPrefix(RD, 0, PREFIX, 5).key
    cloud.rib.tables["bgp.evpn.0"].add(key, Path(cloud.router, said, 5))
    cloud.rib.process()
    table = cloud.rib.vrf_table("a", EVPN)
    assert [r.paths[0].flags for r in table.routes()] == [PathFlag.RESOLVE_NEXT_HOP]
    cloud.rib.vrf_table(MASTER, INET6).add(hop, Path(cloud.router, attributes(), 0))
    cloud.rib.process()
    assert [r.paths[0].flags for r in table.routes()] == [PathFlag.NONE]


@pytest.mark.parametrize("order", list(permutations(["check", "host", "other", "vpn", "flap"])))
def test_order_does_not_matter(order: tuple[str, ...]) -> None:
    cloud, settled = happened(order, False), happened(order, True)
    assert flags(cloud) == [PathFlag.NONE]
    assert dump(cloud) == dump(settled)
    for each in (cloud, settled):
        fabric(each, HOST, False)
        assert flags(each) == [PathFlag.RESOLVE_NEXT_HOP]


def happened(order: tuple[str, ...], settle: bool) -> Cloud:
    """These events in this order, dealt with one by one or all together."""
    cloud = two_networks()
    for what in order:
        match what:
            case "check":
                cloud.instances.replication.set_reachability_check(True)
            case "host":
                fabric(cloud, HOST, True)
            case "other":
                fabric(cloud, OTHER, True)
            case "vpn":
                cloud.rib.tables[VPN].add(RD + PREFIX, Path(cloud.router, attributes(rt(1)), 30))
            case "flap":
                fabric(cloud, OTHER, False)
                cloud.rib.tables[VPN].withdraw(RD + PREFIX, cloud.router)
                cloud.rib.process()
                if "vpn" in order[: order.index("flap")]:
                    cloud.rib.tables[VPN].add(
                        RD + PREFIX, Path(cloud.router, attributes(rt(1)), 30)
                    )
        if settle:
            cloud.rib.process()
    fabric(cloud, OTHER, True)
    cloud.rib.process()
    return cloud


async def test_check_follows_the_configuration(world: World) -> None:
    rib = world.service.rib
    await world.put(*basics(), network("a", 4), target(8000001))
    await world.put(instance("a", t8000001="import"))
    await until(lambda: f"{instance_name('a')}.inet.0" in rib.tables)
    said = attributes(communities.route_target(64512, 8000001))
    rib.tables[VPN].add(RD + PREFIX, Path(Source("r", Protocol.BGP), said, 30))
    table = rib.tables[f"{instance_name('a')}.inet.0"]

    def waits() -> bool | None:
        route = table.get(PREFIX)
        return None if route is None else not route.paths[0].is_feasible

    await until(lambda: waits() is False)
    for enable, check in ((True, True), (False, True), (True, True), (True, False)):
        fast = FastConvergenceParametersType(enable=enable, nh_reachability_check=check)
        resource = GlobalSystemConfig(autonomous_system=64512, fast_convergence_parameters=fast)
        await world.put(record_of(resource, "", GLOBAL))
        await until(lambda wanted=enable and check: waits() is wanted)  # type: ignore[misc]
