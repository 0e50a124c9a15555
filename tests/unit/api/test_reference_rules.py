"""Rules of single types that are about several objects: networks, routers, services, systems."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.api_server import IPAM, PROJECT, Api, network_body

from tungsten.api.claims import Due, due
from tungsten.store.base import Snapshot
from tungsten.store.records import from_record

VN = [*PROJECT, "vn1"]
CONFIG = ["default-global-system-config"]


async def uuid_of(api: Api, type_: str, fq_name: list[str]) -> str:
    answer = await api.post("/fqname-to-id", {"type": type_, "fq_name": fq_name})
    return str(answer.json["uuid"])


# -- references (section: one object) -------------------------------------------------------


async def test_references_whose_link_says_something_need_attr(api: Api) -> None:
    body = {**network_body("vn1", "10.0.1.0/24"), "network_ipam_refs": [{"to": IPAM}]}
    answer = await api.post("/virtual-networks", {"virtual-network": body})
    assert answer.status == 400
    assert answer.text.startswith(
        "Bad reference in create: Error validating reference network_ipam_refs value"
    )
    uuid = await api.network()
    answer = await api.put("virtual-network", uuid, network_policy_refs=[{"to": [*PROJECT, "x"]}])
    assert answer.status == 400
    assert answer.text.startswith("Bad reference in http_put: Error validating reference")
    body["network_ipam_refs"] = [{"to": IPAM, "attr": None}]
    body["fq_name"] = [*PROJECT, "other"]
    assert (await api.post("/virtual-networks", {"virtual-network": body})).status == 200
    # Documents to apply may leave it out.
    body["network_ipam_refs"] = [{"to": IPAM}]
    assert (await api.post("/apply", {"apply": [{"virtual-network": body}]})).status == 200


# -- virtual-network ------------------------------------------------------------------------


async def test_what_makes_a_network_a_provider_is_whole_and_stays(api: Api) -> None:
    uuid = await api.network()
    vlan = {"segmentation_id": 5, "physical_network": "physnet1"}
    for missing, words in (
        ("segmentation_id", "Segmenation ID must be configured to"),
        ("physical_network", "Physical Network must be configured to"),
    ):
        partial = {key: value for key, value in vlan.items() if key != missing}
        answer = await api.put("virtual-network", uuid, provider_properties=partial)
        assert (answer.status, answer.text) == (409, f"{words} update")
        body = {**network_body("new", "10.0.9.0/24"), "provider_properties": partial}
        answer = await api.post("/virtual-networks", {"virtual-network": body})
        assert (answer.status, answer.text) == (400, f"{words} create")
    changed = await api.put("virtual-network", uuid, provider_properties=vlan)
    assert changed.status == 200
    assert (await api.put("virtual-network", uuid, is_provider_network=True)).status == 200
    other = {**vlan, "segmentation_id": 6}
    answer = await api.put("virtual-network", uuid, provider_properties=other)
    assert answer.status == 409


async def test_vpns_of_a_network_carry_what_it_forwards(api: Api) -> None:
    for kind in ("l2", "l3"):
        name = {"fq_name": [*PROJECT, kind], "parent_type": "project"}
        await api.create("bgpvpn", **name, bgpvpn_type=kind)
    uuid = await api.network()
    for mode, vpn, status in (
        ("l2_l3", "l2", 200),
        ("l2_l3", "l3", 200),
        ("l3", "l2", 400),
        ("l2", "l3", 400),
    ):
        answer = await api.put(
            "virtual-network",
            uuid,
            virtual_network_properties={"forwarding_mode": mode},
            bgpvpn_refs=[{"to": [*PROJECT, vpn]}],
        )
        assert answer.status == status, answer.text


async def test_a_network_and_its_router_do_not_both_have_vpns(api: Api) -> None:
    vpn = {"fq_name": [*PROJECT, "vpn"], "parent_type": "project"}
    await api.create("bgpvpn", **vpn)
    refs = [{"to": vpn["fq_name"]}]
    network = await api.network()
    await api.port_of()
    router = await api.create(
        "logical-router",
        fq_name=[*PROJECT, "lr"],
        parent_type="project",
        virtual_machine_interface_refs=[{"to": [*PROJECT, "port1"]}],
    )
    assert (await api.put("logical-router", router, bgpvpn_refs=refs)).status == 200
    assert (await api.put("virtual-network", network, bgpvpn_refs=refs)).status == 400
    await api.put("logical-router", router, bgpvpn_refs=[])
    assert (await api.put("virtual-network", network, bgpvpn_refs=refs)).status == 200
    assert (await api.put("logical-router", router, bgpvpn_refs=refs)).status == 400


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"routed_interface_ip_address": None}, "needs routed_interface_ip_address"),
        ({"physical_router_uuid": ""}, "needs physical_router_uuid"),
        ({"routed_interface_ip_address": "10.0.9.1"}, "is not in subnets ['10.0.1.0/24']"),
        ({"bgp_params": {"peer_ip_address": "fd00::1"}}, "is no IPv4 address"),
        ({"pim_params": {"mode": "sparse"}}, "PIM mode sparse is not sparse-dense"),
        ({"ospf_params": {"area_id": "0.0.0.0", "area_type": "stub"}}, "is of type backbone"),
        ({"ospf_params": {"area_id": "0.0.0.0", "area_type": "backbone"}}, ""),
        ({"bgp_params": {"peer_ip_address": "10.0.1.7"}}, ""),
    ],
)
async def test_what_physical_routers_do_in_a_routed_network(
    api: Api, said: dict[str, Any], text: str
) -> None:
    part = {
        "physical_router_uuid": "00000000-0000-4000-8000-000000000001",
        "logical_router_uuid": "00000000-0000-4000-8000-000000000002",
        "routed_interface_ip_address": "10.0.1.5",
        **said,
    }
    body = {
        **network_body("vn1", "10.0.1.0/24"),
        "virtual_network_category": "routed",
        "virtual_network_routed_properties": {"routed_properties": [part]},
    }
    answer = await api.post("/virtual-networks", {"virtual-network": body})
    assert answer.status in ((409, 400) if text else (200,)), answer.text
    assert text in answer.text


# -- instance-ip ----------------------------------------------------------------------------


async def test_an_address_for_a_subscriber_comes_with_its_block(api: Api) -> None:
    body = network_body("vn1", "10.0.1.0/24", subscriber_tag="gold", alloc_unit=4)
    subnets = body["network_ipam_refs"][0]["attr"]["ipam_subnets"]
    subnets.insert(0, {"subnet": {"ip_prefix": "10.0.2.0", "ip_prefix_len": 24}})
    await api.create("virtual-network", **body)
    uuid, address = await api.address("tagged", instance_ip_subscriber_tag="gold")
    assert address.startswith("10.0.1.")
    block = {"ip_prefix": address, "ip_prefix_len": 30}
    assert (await api.show("instance-ip", uuid))["instance_ip_subnet"] == block
    other = {"ip_prefix": "10.0.0.0", "ip_prefix_len": 8}
    assert (await api.put("instance-ip", uuid, instance_ip_subnet=other)).status == 200
    assert (await api.show("instance-ip", uuid))["instance_ip_subnet"] == block
    _, plain = await api.address("plain")
    assert plain.startswith("10.0.2.")
    answer = await api.try_address("unknown", instance_ip_subscriber_tag="silver")
    assert (answer.status, "has no defined subnets" in answer.text) == (400, True)


async def test_an_alias_holds_its_address(api: Api) -> None:
    await api.network()
    pool = {"fq_name": [*VN, "pool"], "parent_type": "virtual-network"}
    await api.create("alias-ip-pool", **pool)
    name = {"fq_name": [*VN, "pool", "a"], "parent_type": "alias-ip-pool"}
    uuid = await api.create("alias-ip", **name)

    def claims(snapshot: Snapshot) -> tuple[list[Due], list[tuple[str, str]]]:
        record = snapshot.get(uuid)
        assert record is not None
        return due(snapshot, from_record(record)), snapshot.owned_claims(uuid)

    wanted, held = await api.store.read(claims)
    assert [one.what for one in wanted] == ["address 10.0.1.252 of 10.0.1.0/24"]
    assert {(one.space, one.key) for one in wanted} <= set(held)


# -- global-system-config -------------------------------------------------------------------


async def test_the_ports_for_bgp_as_a_service_only_grow_once_there_is_one(api: Api) -> None:
    uuid = await uuid_of(api, "global-system-config", CONFIG)

    async def ports(start: int, end: int) -> Any:
        said = {"port_start": start, "port_end": end}
        return await api.put("global-system-config", uuid, bgpaas_parameters=said)

    assert (await ports(50_100, 50_200)).status == 200
    assert (await ports(50_200, 50_100)).text == "Invalid Port range specified"
    body = {"fq_name": [*PROJECT, "b"], "parent_type": "project", "autonomous_system": 65001}
    await api.create("bgp-as-a-service", **body)
    answer = await ports(50_150, 50_200)
    assert (answer.status, answer.text) == (400, "BGP Port range cannot be shrunk")
    assert (await ports(50_000, 50_300)).status == 200


# -- logical-router -------------------------------------------------------------------------


async def test_a_router_of_vxlans_has_a_network_of_its_own(api: Api) -> None:
    router = await api.create(
        "logical-router",
        fq_name=[*PROJECT, "lr"],
        parent_type="project",
        logical_router_type="vxlan-routing",
        vxlan_network_identifier="7000",
        configured_route_target_list={"route_target": ["target:64999:1"]},
    )
    name = [*PROJECT, f"__contrail_lr_internal_vn_{router}__"]
    network = await uuid_of(api, "virtual-network", name)
    shown = await api.show("virtual-network", network)
    assert shown["display_name"] == "LR::lr"
    assert shown["id_perms"]["user_visible"] is False
    assert shown["virtual_network_properties"] == {
        "forwarding_mode": "l3",
        "vxlan_network_identifier": 7000,
    }
    assert shown["route_target_list"] == {"route_target": ["target:64999:1"]}
    (ref,) = (await api.show("logical-router", router))["virtual_network_refs"]
    assert (ref["uuid"], ref["attr"]) == (
        network,
        {"logical_router_virtual_network_type": "InternalVirtualNetwork"},
    )
    taken = await api.post(
        "/virtual-networks",
        {
            "virtual-network": {
                **network_body("vn1", "10.0.1.0/24"),
                "virtual_network_properties": {"vxlan_network_identifier": 7000},
            }
        },
    )
    assert taken.text == "Cannot set VXLAN_ID: 7000, it has already been set"
    # It follows the router, which does not lose it.
    changed = {"vxlan_network_identifier": "7001", "virtual_network_refs": []}
    assert (await api.put("logical-router", router, **changed)).status == 200
    shown = await api.show("virtual-network", network)
    assert shown["virtual_network_properties"]["vxlan_network_identifier"] == 7001
    assert len((await api.show("logical-router", router))["virtual_network_refs"]) == 1
    assert (await api.post("/db-check", {})).json == {"results": []}
    assert (await api.delete("virtual-network", network)).status == 409
    assert (await api.delete("logical-router", router)).status == 200
    assert (await api.ask("GET", f"/virtual-network/{network}")).status == 404


# -- service-instance -----------------------------------------------------------------------


async def test_a_service_on_a_device_gets_a_unit_for_either_side(api: Api) -> None:
    await api.create(
        "service-template",
        fq_name=["default-domain", "pnf"],
        parent_type="domain",
        service_template_properties={"service_virtualization_type": "physical-device"},
    )
    body: dict[str, Any] = {
        "fq_name": [*PROJECT, "si"],
        "parent_type": "project",
        "service_template_refs": [{"to": ["default-domain", "pnf"]}],
    }
    answer = await api.post("/service-instances", {"service-instance": body})
    assert answer.status == 400
    assert "left-svc-vlan, right-svc-vlan, left-svc-asns, right-svc-asns" in answer.text
    said = {
        "left-svc-vlan": "10",
        "right-svc-vlan": "20",
        "left-svc-asns": "1,2",
        "right-svc-asns": "3,4",
    }
    pairs = [{"key": key, "value": value} for key, value in said.items()]
    body["annotations"] = {"key_value_pair": pairs}
    uuid = await api.create("service-instance", **body)

    async def annotations() -> dict[str, str]:
        shown = (await api.show("service-instance", uuid))["annotations"]["key_value_pair"]
        return {one["key"]: one["value"] for one in shown}

    assert await annotations() == {**said, "left-svc-unit": "5", "right-svc-unit": "6"}
    await api.put("service-instance", uuid, annotations={"key_value_pair": pairs[:1]})
    assert (await annotations())["right-svc-unit"] == "6"
    assert (await api.post("/db-check", {})).json == {"results": []}
    await api.delete("service-instance", uuid)
    network = await api.network()
    assert (await api.show("virtual-network", network))["virtual_network_network_id"] == 5
