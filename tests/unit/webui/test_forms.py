"""What the web UI's calls do to each type, with all that goes along."""

from __future__ import annotations

from typing import Any

from tests.unit.api.api_server import PROJECT, network_body
from tests.unit.webui.web import CONFIG, Bed, Web

VMI = "virtual-machine-interface"


async def count(bed: Bed, type_: str) -> int:
    return int((await bed.api.get(f"/{type_}s?count=true"))[f"{type_}s"]["count"])


async def revision(bed: Bed) -> int:
    return int((await bed.api.get("/healthz"))["revision"])


def inline_port(network: str = "vn1", **more: Any) -> dict[str, Any]:
    return {
        "parent_type": "project",
        "fq_name": PROJECT,
        "virtual_network_refs": [{"to": [*PROJECT, network]}],
        **more,
    }


def fixed(ip: str = "", **more: Any) -> dict[str, Any]:
    return {"instance_ip_address": [{"fixedIp": ip}], **more}


async def addresses(bed: Bed, port: str) -> set[str]:
    shown = await bed.api.get(f"/instance-ips?back_ref_id={port}&fields=instance_ip_address")
    return {one["instance_ip_address"] for one in shown["instance-ips"]}


async def test_what_was_read_is_put_back_and_nothing_changes(bed: Bed, web: Web) -> None:
    uuid = await web.create(
        "virtual-network", ip_fabric_forwarding=True, **network_body("a", "10.0.0.0/24")
    )
    before = await web.show("virtual-network", uuid)
    then = await revision(bed)
    await web.update("virtual-network", **before)
    assert await revision(bed) == then
    await web.update(
        "virtual-network", **before, display_name_of_a_form=1, flood_unknown_unicast=True
    )
    after = await web.show("virtual-network", uuid)
    assert (before.get("flood_unknown_unicast"), after["flood_unknown_unicast"]) == (None, True)


async def test_tags_of_a_body_are_set(bed: Bed, web: Web) -> None:
    for kind, value in (("tier", "web"), ("tier", "db"), ("label", "a"), ("label", "b")):
        await web.create("tag", fq_name=["x"], tag_type_name=kind, tag_value=value)
    fields = network_body("a", "10.0.0.0/24")
    uuid = await web.create(
        "virtual-network", tag_refs=[{"to": ["tier=web"]}, {"to": ["label=a"]}], **fields
    )

    async def tags() -> set[str]:
        shown = await web.show("virtual-network", uuid)
        return {one["to"][-1] for one in shown.get("tag_refs", [])}

    assert await tags() == {"tier=web", "label=a"}
    refs = [{"to": [name]} for name in ("tier=db", "label=a", "label=b")]
    await web.update("virtual-network", uuid=uuid, tag_refs=refs)
    assert await tags() == {"tier=db", "label=a", "label=b"}
    await web.update("virtual-network", uuid=uuid, tag_refs=[])
    assert await tags() == set()


async def test_a_port_comes_changes_and_goes_with_its_addresses(bed: Bed, web: Web) -> None:
    await bed.api.network()
    uuid = await web.create(VMI, **inline_port(instance_ip_back_refs=[fixed("10.0.1.9"), fixed()]))
    assert await addresses(bed, uuid) == {"10.0.1.9", "10.0.1.252"}
    await web.update(VMI, **await web.show(VMI, uuid))
    assert await addresses(bed, uuid) == {"10.0.1.9", "10.0.1.252"}
    await web.update(VMI, uuid=uuid, instance_ip_back_refs=[fixed("10.0.1.9"), fixed("10.0.1.8")])
    assert await addresses(bed, uuid) == {"10.0.1.9", "10.0.1.8"}
    vm = await web.create("virtual-machine", fq_name=["vm1"])
    await web.update(VMI, uuid=uuid, virtual_machine_refs=[{"to": ["vm1"]}])
    assert (await bed.api.show("virtual-machine", vm))["virtual_machine_interface_back_refs"]
    assert (await web.delete(VMI, uuid)).status == 200
    assert [await count(bed, one) for one in (VMI, "instance-ip", "virtual-machine")] == [0, 0, 0]


async def test_a_router_makes_keeps_and_deletes_its_interfaces(bed: Bed, web: Web) -> None:
    await bed.api.network()
    await bed.api.network("vn2", "10.0.2.0/24")
    uuid = await web.create(
        "logical-router",
        fq_name=[*PROJECT, "lr"],
        parent_type="project",
        virtual_machine_interface_refs=[inline_port(), inline_port("vn2")],
    )
    first = await web.show("logical-router", uuid)
    ports = {one["uuid"] for one in first["virtual_machine_interface_refs"]}
    assert len(ports) == 2
    for port in ports:
        shown = await bed.api.show(VMI, port)
        assert shown["virtual_machine_interface_device_owner"] == "network:router_interface"
        assert len(shown["instance_ip_back_refs"]) == 1
    again = {**first, "virtual_machine_interface_refs": [inline_port(), inline_port("vn2")]}
    await web.update("logical-router", **again)
    second = await web.show("logical-router", uuid)
    assert {one["uuid"] for one in second["virtual_machine_interface_refs"]} == ports
    await web.update(
        "logical-router", uuid=uuid, virtual_machine_interface_refs=[inline_port("vn2")]
    )
    assert [await count(bed, one) for one in (VMI, "instance-ip")] == [1, 1]
    assert (await web.delete("logical-router", uuid)).status == 200
    left = [await count(bed, one) for one in (VMI, "instance-ip", "logical-router")]
    assert left == [0, 0, 0]


async def test_a_refused_part_leaves_nothing_of_the_whole(bed: Bed, web: Web) -> None:
    await bed.api.network()
    then = await revision(bed)
    body = {
        "fq_name": [*PROJECT, "lr"],
        "parent_type": "project",
        "virtual_machine_interface_refs": [inline_port(), inline_port("no-such-network")],
    }
    answer = await web.ask(CONFIG + "create-config-object", {"logical-router": body})
    assert (answer.status, "virtual_machine_interface_refs[1]" in answer.text) == (400, True)
    many = {
        "data": [
            {"data": {"network-policy": {"fq_name": [*PROJECT, name], "parent_type": "project"}}}
            for name in ("a", "a")
        ]
    }
    answer = await web.ask(CONFIG + "create-config-objects", many)
    assert (answer.status, answer.text[:7]) == (409, "data[1]")
    answer = await web.ask(CONFIG + "delete", [{"type": "network-policy", "deleteIDs": ["a"]}])
    assert answer.status == 404
    assert await revision(bed) == then


async def test_a_service_instance_comes_changes_and_goes_with_its_tuples(
    bed: Bed, web: Web
) -> None:
    await bed.api.network()
    left, right = [await bed.api.port_of(name=name) for name in ("left", "right")]
    await web.create("service-template", fq_name=["default-domain", "t"], parent_type="domain")
    vmis = [{"uuid": left, "interfaceType": "left"}, {"uuid": right, "interfaceType": "right"}]
    body = {
        "fq_name": [*PROJECT, "si"],
        "parent_type": "project",
        "service_template_refs": [{"to": ["default-domain", "t"]}],
        "port_tuples": [{"to": [*PROJECT, "si", "pt"], "vmis": vmis}],
    }
    made = await web.config("service-instances", {"service-instance": body})
    uuid = made["service-instance"]["uuid"]
    shown = await web.show("service-instance", uuid)
    assert shown["port_tuples"][0]["href"]
    port = await bed.api.show(VMI, left)
    assert port["virtual_machine_interface_properties"]["service_interface_type"] == "left"
    tuple_ = await bed.api.show("port-tuple", shown["port_tuples"][0]["uuid"])
    assert len(tuple_["virtual_machine_interface_back_refs"]) == 2
    path = f"service-instances/{uuid}"
    then = await revision(bed)
    await web.config(path, {"service-instance": shown}, "PUT")
    assert await revision(bed) == then
    shorter = {**body, "port_tuples": [{"to": [*PROJECT, "si", "pt"], "vmis": vmis[:1]}]}
    await web.config(path, {"service-instance": shorter}, "PUT")
    port = await bed.api.show(VMI, right)
    assert "port_tuple_refs" not in port
    assert (await web.delete("service-instance", uuid)).status == 200
    assert [await count(bed, one) for one in ("service-instance", "port-tuple")] == [0, 0]
    port = await bed.api.show(VMI, left)
    assert "service_interface_type" not in (port.get("virtual_machine_interface_properties") or {})


async def test_a_load_balancer_comes_and_goes_with_all_it_needs(bed: Bed, web: Web) -> None:
    network = await bed.api.network()
    ipam = (await bed.api.show("virtual-network", network))["network_ipam_refs"][0]
    subnet = ipam["attr"]["ipam_subnets"][0]["subnet_uuid"]

    def named(name: str, **more: Any) -> dict[str, Any]:
        return {"fq_name": [*PROJECT, name], "parent_type": "project", **more}

    port = {
        "instance_ip_back_refs": [fixed(subnet_uuid=subnet)],
        "parent_type": "project",
        "virtual_machine_interface_device_owner": "neutron:LOADBALANCER",
        "virtual_network_refs": [{"to": [*PROJECT, "vn1"]}],
    }
    properties = {"admin_state": True, "vip_subnet_id": subnet}
    monitor = {
        "admin_state": True,
        "delay": 5,
        "timeout": 5,
        "max_retries": 3,
        "monitor_type": "TCP",
    }
    body = {
        "loadbalancer": named(
            "lb", loadbalancer_properties=properties, virtual_machine_interface_refs=port
        ),
        "loadbalancer-healthmonitor": named("m", loadbalancer_healthmonitor_properties=monitor),
        "loadbalancer-listener": named("l"),
        "loadbalancer-pool": named("p"),
        "loadbalancer-member": [named("one"), named("two")],
    }
    made = await web.config("lbaas/load-balancer", body)
    uuid = made["configData"]["loadbalancer"]["uuid"]
    assert len(made["otherData"]) == 5
    shown = await web.show("loadbalancer", uuid)
    assert shown["loadbalancer_properties"]["vip_address"] == "10.0.1.252"
    pool = (await bed.api.get("/loadbalancer-pools?detail=true"))["loadbalancer-pools"][0][
        "loadbalancer-pool"
    ]
    assert pool["loadbalancer_listener_refs"]
    assert pool["loadbalancer_healthmonitor_refs"]
    await web.config("lbaas/load-balancer/delete", {"uuids": [uuid]})
    kinds = [*body, VMI, "instance-ip"]
    assert [await count(bed, one) for one in kinds] == [0] * len(kinds)


async def test_deletes_take_along_and_let_go(bed: Bed, web: Web) -> None:
    network = await bed.api.network()
    pool = {"fq_name": [*PROJECT, "vn1", "pool"], "parent_type": "virtual-network"}
    await web.create("floating-ip-pool", **pool)
    policy = await web.create("network-policy", fq_name=[*PROJECT, "np"], parent_type="project")
    refs = [
        {"uuid": policy, "to": [*PROJECT, "np"], "attr": {"sequence": {"major": 0, "minor": 0}}}
    ]
    await web.update("virtual-network", uuid=network, network_policy_refs=refs)
    assert (await web.delete("network-policy", policy)).status == 200
    assert "network_policy_refs" not in await web.show("virtual-network", network)
    assert (await web.delete("virtual-network", network)).status == 200
    assert await count(bed, "floating-ip-pool") == 0


async def test_lists_answer_in_the_order_asked(bed: Bed, web: Web) -> None:
    uuid = await bed.api.network()
    body = {
        "data": [
            {
                "type": "virtual-networks",
                "fq_name": ":".join([*PROJECT, "vn1"]),
                "detail_fields": ["network_ipam_refs"],
            },
            {
                "type": "projects",
                "fields": ["display_name"],
                "obj_uuids": ["00000000-0000-4000-8000-000000000000"],
            },
        ]
    }
    plain = await web.config("get-config-list", body)
    assert [one["uuid"] for one in plain[0]["virtual-networks"]] == [uuid]
    assert plain[1] == {"projects": []}
    detailed = await web.config("get-config-details", body)
    (network,) = detailed[0]["virtual-networks"]
    embedded = network["virtual-network"]["detail_fields"]["network_ipam_refs"]
    assert embedded[0]["network-ipam"]["name"] == "default-network-ipam"
