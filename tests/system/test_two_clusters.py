"""Two clusters, each with its own store, controller and host, joined by BGP.

Their fabrics are joined by one link, between namespaces that the labs made. Networks are joined by
route target: two that differ, for routing, and one that both clusters have, for bridging. Which AS
the clusters are in decides whether the session is internal or external.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Any

import pytest

from tests.system.waiting import wait_for
from tungsten import model
from tungsten.client import Client
from tungsten.lab.intent import DOMAIN, FABRIC_INSTANCE, ref
from tungsten.lab.lab import Lab
from tungsten.lab.netns import veth
from tungsten.lab.spec import Host, LabSpec, Network, Role, Workload
from tungsten.model.bgp import AddressFamilies, BgpPeeringAttributes, BgpRouterParams

GLOBAL = ["default-global-system-config"]
#: Route targets that both clusters know, by network.
TARGETS = {"left": "target:64512:101", "right": "target:64512:102", "wide": "target:64512:103"}


def cluster(number: int, network: str, wide: str) -> LabSpec:
    """A controller and a host, a network of its own and a part of the one that both have."""
    return LabSpec(
        hosts={
            f"ctl{number}": Host(Role.CONTROLLER, f"172.3{number}.0.2/24"),
            f"cmp{number}": Host(Role.COMPUTE, f"172.3{number}.1.2/24"),
        },
        networks={network: Network(f"10.0.{number}.0/24"), "wide": Network(wide)},
        workloads={
            f"own{number}": Workload(f"cmp{number}", network),
            f"wide{number}": Workload(f"cmp{number}", "wide"),
        },
    )


def join_fabrics(one: Lab, two: Lab) -> None:
    """A link between the routers of two fabrics, and a route each way."""
    here, there = one.namespace("fabric"), two.namespace("fabric")
    veth(here, "between", there, "between", mtu=1500)
    here.ip("addr", "add", "172.29.0.1/30", "dev", "between")
    there.ip("addr", "add", "172.29.0.2/30", "dev", "between")
    here.ip("route", "add", "172.32.0.0/16", "via", "172.29.0.2")
    there.ip("route", "add", "172.31.0.0/16", "via", "172.29.0.1")


async def configure(lab: Lab, number: int, asn: int, other_asn: int) -> None:
    """What an operator writes: the AS, the other controller, the targets to import and export."""
    own, other, address = f"ctl{number}", f"ctl{3 - number}", f"172.3{3 - number}.0.2"
    families = AddressFamilies(family=["route-target", "inet-vpn", "inet6-vpn", "e-vpn"])
    parameters = BgpRouterParams(
        router_type="external-control-node",
        vendor="tungsten",
        autonomous_system=other_asn,
        identifier=address,
        address=address,
        port=179,
        address_families=families,
    )
    async with Client(lab.api_url) as client:
        system = await client.id_of("global-system-config", GLOBAL)
        await client.update("global-system-config", system, {"autonomous_system": asn})
        mine = await client.id_of("bgp-router", [*FABRIC_INSTANCE, own])
        read = await client.read("bgp-router", mine)
        assert isinstance(read, model.BgpRouter)
        held = read.bgp_router_parameters
        assert held is not None
        held.autonomous_system = asn
        await client.update("bgp-router", mine, {"bgp_router_parameters": held})
        await client.create(
            model.BgpRouter(
                fq_name=[*FABRIC_INSTANCE, other],
                parent_type="routing-instance",
                bgp_router_parameters=parameters,
                bgp_router_refs=[ref([*FABRIC_INSTANCE, own], BgpPeeringAttributes())],
            )
        )
        for name in lab.spec.networks:
            uuid = await client.id_of("virtual-network", [DOMAIN, "demo", name])
            exported = [TARGETS[name]]
            imported = exported if name == "wide" else list(TARGETS.values())[:2]
            await client.update(
                "virtual-network",
                uuid,
                {
                    "export_route_target_list": {"route_target": exported},
                    "import_route_target_list": {"route_target": imported},
                },
            )


def answers(lab: Lab, source: str, target: str, *options: str) -> bool:
    """Whether a ping is answered."""
    argv = ("ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", *options, target)
    return lab.namespace(source).call(*argv, timeout=20).returncode == 0


def link_local(lab: Lab, workload: str) -> str:
    """An IPv6 address that a workload's interface has by its MAC, so that it is only bridged."""
    namespace = lab.namespace(workload)
    octets = bytes.fromhex(lab.state.workloads[workload].mac.replace(":", ""))
    address = IPv6Address(
        b"\xfe\x80" + bytes(6) + bytes((octets[0] ^ 2,)) + octets[1:3] + b"\xff\xfe" + octets[3:]
    )
    namespace.sysctl("net.ipv6.conf.eth0.disable_ipv6", 0)
    namespace.ip("-6", "addr", "replace", f"{address}/64", "dev", "eth0", "nodad")
    return str(address)


@pytest.mark.parametrize(("first", "second"), [(64512, 64513), (64512, 64512)])
def test_clusters_are_joined_by_bgp(
    make_lab: Callable[[LabSpec], Lab], first: int, second: int
) -> None:
    one = make_lab(cluster(1, "left", "10.0.8.0/25"))
    two = make_lab(cluster(2, "right", "10.0.8.128/25"))
    join_fabrics(one, two)
    asyncio.run(configure(one, 1, first, second))
    asyncio.run(configure(two, 2, second, first))
    right = two.state.workloads["own2"].address
    left = one.state.workloads["own1"].address
    wait_for(lambda: answers(one, "own1", right), "routing from left to right")
    assert answers(two, "own2", left)
    for lab, own, other in ((one, "own1", two), (two, "own2", one)):
        for wide in (name for name in other.state.workloads if name.startswith("wide")):
            assert not answers(lab, own, other.state.workloads[wide].address), "not imported"
    near, far = link_local(one, "wide1"), link_local(two, "wide2")
    wait_for(lambda: answers(one, "wide1", far, "-6", "-I", "eth0"), "bridging, floods included")
    assert answers(two, "wide2", near, "-6", "-I", "eth0")
    two.restart("ctl2")
    wait_for(lambda: answers(one, "own1", right), "routing after a controller's restart")
    if first == second:
        # Their networks' own targets are numbered alike, so these two would still be joined.
        return
    asyncio.run(_forget(one))
    wait_for(lambda: not answers(one, "own1", right), "routes go with the target")
    assert answers(one, "wide1", far, "-6", "-I", "eth0")


async def _forget(lab: Lab) -> None:
    async with Client(lab.api_url) as client:
        uuid = await client.id_of("virtual-network", [DOMAIN, "demo", "left"])
        nothing: dict[str, Any] = {"import_route_target_list": None}
        await client.update("virtual-network", uuid, nothing)
