"""Addresses of the parts of an IPAM that are set apart for a host."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, Answer, Api

CONFIG = "default-global-system-config"
IPAM = [*PROJECT, "flat"]


def pool(start: str, end: str, *, own: bool = True) -> dict[str, Any]:
    return {"start": start, "end": end, "vrouter_specific_pool": own}


FIRST = pool("10.9.0.16", "10.9.0.17")
SECOND = pool("10.9.0.32", "10.9.0.33")
SHARED = pool("10.9.0.100", "10.9.0.200", own=False)


@pytest.fixture
async def ipam(api: Api) -> str:
    """A flat-subnet IPAM with two pools for hosts and one for everybody."""
    subnet = {
        "subnet": {"ip_prefix": "10.9.0.0", "ip_prefix_len": 24},
        "allocation_pools": [FIRST, SECOND, SHARED],
    }
    return await api.create(
        "network-ipam",
        fq_name=IPAM,
        parent_type="project",
        ipam_subnet_method="flat-subnet",
        ipam_subnets={"subnets": [subnet]},
    )


async def try_router(api: Api, name: str, *pools: dict[str, Any]) -> Answer:
    body = {
        "fq_name": [CONFIG, name],
        "parent_type": "global-system-config",
        "virtual_router_ip_address": "192.0.2.1",
        "network_ipam_refs": [{"to": IPAM, "attr": {"allocation_pools": list(pools)}}],
    }
    return await api.post("/virtual-routers", {"virtual-router": body})


async def router(api: Api, name: str, *pools: dict[str, Any]) -> str:
    answer = await try_router(api, name, *pools)
    assert answer.status == 200, answer.text
    return str(answer.json["virtual-router"]["uuid"])


async def try_address(api: Api, name: str, host: str = "h1", **fields: Any) -> Answer:
    body = {"fq_name": [name], "virtual_router_refs": [{"to": [CONFIG, host]}], **fields}
    return await api.post("/instance-ips", {"instance-ip": body})


async def address(api: Api, name: str, host: str = "h1", **fields: Any) -> str:
    answer = await try_address(api, name, host, **fields)
    assert answer.status == 200, answer.text
    shown = await api.show("instance-ip", answer.json["instance-ip"]["uuid"])
    return str(shown["instance_ip_address"])


async def test_a_host_has_addresses_of_its_own(api: Api, ipam: str) -> None:
    await router(api, "h1", FIRST)
    await router(api, "h2", SECOND)
    assert [await address(api, "a"), await address(api, "b")] == ["10.9.0.17", "10.9.0.16"]
    full = await try_address(api, "c")
    text = f"Virtual-Router(['{CONFIG}', 'h1']) has exhausted subnet(['10.9.0.0/24'])"
    assert (full.status, full.text) == (400, text)
    assert await address(api, "d", "h2", instance_ip_address="10.9.0.32") == "10.9.0.32"
    assert (await try_address(api, "e", "h2", instance_ip_address="10.9.0.16")).status == 400
    assert (await try_address(api, "e", "h2", instance_ip_address="10.9.0.32")).status == 409


async def test_others_get_no_address_of_a_host(api: Api, ipam: str) -> None:
    await router(api, "h1", FIRST)
    body = {"fq_name": ["x"], "network_ipam_refs": [{"to": IPAM}]}
    uuid = await api.create("instance-ip", **body)
    assert (await api.show("instance-ip", uuid))["instance_ip_address"] == "10.9.0.200"


async def test_pools_of_a_host_are_declared_and_of_one_host(api: Api, ipam: str) -> None:
    await router(api, "h1", FIRST)
    for pools, reason in (
        ((), "No allocation-pools for this vrouter"),
        ((FIRST,), "is used in other vrouter"),
        ((SHARED,), "not in ipam"),
        ((pool("10.9.0.18", "10.9.0.19"),), "not in ipam"),
        ((pool("x", "y"),), "not in ipam"),
    ):
        refused = await try_router(api, "h2", *pools)
        assert refused.status == 400
        assert reason in refused.text


async def test_only_flat_ipams_have_pools_of_hosts(api: Api) -> None:
    await api.create("network-ipam", fq_name=IPAM, parent_type="project")
    refused = await try_router(api, "h1", FIRST)
    assert (refused.status, refused.text) == (
        400,
        "Only flat-subnet ipam can be attached to vrouter",
    )


async def test_a_pool_stays_while_it_is_used(api: Api, ipam: str) -> None:
    host = await router(api, "h1", FIRST)
    used = await address(api, "a")
    refused = await api.put("virtual-router", host, network_ipam_refs=[])
    assert (refused.status, refused.text) == (
        400,
        f"Cannot Delete allocation pool, {used} in use",
    )
    (listed,) = (await api.get("/instance-ips"))["instance-ips"]
    await api.delete("instance-ip", listed["uuid"])
    assert (await api.put("virtual-router", host, network_ipam_refs=[])).status == 200


async def test_subnets_of_a_flat_ipam_do_not_overlap_those_of_its_networks(
    api: Api, ipam: str
) -> None:
    own = {"subnet": {"ip_prefix": "10.8.0.0", "ip_prefix_len": 24}}
    await api.create(
        "virtual-network",
        fq_name=[*PROJECT, "vn"],
        parent_type="project",
        virtual_network_properties={"forwarding_mode": "l3"},
        network_ipam_refs=[
            {"to": IPAM, "attr": {"ipam_subnets": []}},
            {
                "to": ["default-domain", "default-project", "default-network-ipam"],
                "attr": {"ipam_subnets": [own]},
            },
        ],
    )
    subnets = (await api.show("network-ipam", ipam))["ipam_subnets"]["subnets"]
    refused = await api.put("network-ipam", ipam, ipam_subnets={"subnets": [*subnets, own]})
    assert (refused.status, refused.text[:11]) == (400, "Overlapping")
