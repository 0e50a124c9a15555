"""The rules of single resource types, and the places where they are asked."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.api_server import PROJECT, Api, network_body

from tungsten.api.errors import ApiFault
from tungsten.api.resources.interfaces import check_mac, mac_of_uuid
from tungsten.api.resources.route_targets import normalise
from tungsten.api.resources.security import check_protocol

VN = [*PROJECT, "vn1"]
PORT = "virtual-machine-interface"


def rule(**fields: Any) -> dict[str, Any]:
    """A rule of a security group."""
    return {
        "direction": ">",
        "protocol": "any",
        "ethertype": "IPv4",
        "src_addresses": [{"subnet": {"ip_prefix": "0.0.0.0", "ip_prefix_len": 0}}],
        "dst_addresses": [{"security_group": "local"}],
        "src_ports": [{"start_port": 0, "end_port": 65535}],
        "dst_ports": [{"start_port": 0, "end_port": 65535}],
        **fields,
    }


async def group(api: Api, *rules: dict[str, Any]) -> Any:
    body = {
        "fq_name": [*PROJECT, "sg"],
        "parent_type": "project",
        "security_group_entries": {"policy_rule": [*rules]},
    }
    return await api.post("/security-groups", {"security-group": body})


# -- networks -------------------------------------------------------------------------------


async def test_sharing_is_said_in_two_ways_that_agree(api: Api) -> None:
    uuid = await api.create("virtual-network", **network_body("vn1", "10.0.1.0/24"), is_shared=True)

    async def access() -> tuple[Any, Any, Any]:
        shown = await api.show("virtual-network", uuid)
        return (
            shown.get("is_shared"),
            shown.get("router_external"),
            shown["perms2"]["global_access"],
        )

    assert await access() == (True, None, 7)
    await api.put("virtual-network", uuid, is_shared=False)
    assert await access() == (False, None, 0)
    await api.put("virtual-network", uuid, router_external=True)
    assert await access() == (False, True, 5)
    await api.put("virtual-network", uuid, perms2={"owner": "cloud-admin", "global_access": 7})
    assert await access() == (True, False, 7)
    both = {"is_shared": False, "perms2": {"owner": "cloud-admin", "global_access": 0}}
    assert (await api.put("virtual-network", uuid, **both)).status == 200
    both = {"is_shared": True, "perms2": {"owner": "cloud-admin", "global_access": 5}}
    answer = await api.put("virtual-network", uuid, **both)
    assert answer.text == "Inconsistent is_shared (True) and global_access (5)"
    answer = await api.put("virtual-network", uuid, perms2={"global_access": 7})
    assert answer.text == "owner in perms2 must be present"


async def test_subnets_of_a_network_may_not_overlap(api: Api) -> None:
    body = network_body("vn1", "10.0.1.0/24")
    subnets = body["network_ipam_refs"][0]["attr"]["ipam_subnets"]
    subnets.append({"subnet": {"ip_prefix": "10.0.1.128", "ip_prefix_len": 25}})
    answer = await api.post("/virtual-networks", {"virtual-network": body})
    expected = "Overlapping addresses: [IPNetwork('10.0.1.0/24'), IPNetwork('10.0.1.128/25')]"
    assert (answer.status, answer.text) == (400, expected)
    subnets[1] = subnets[0]
    answer = await api.post("/virtual-networks", {"virtual-network": body})
    assert (answer.status, "Overlapping addresses" in answer.text) == (400, True)


async def test_a_subnet_keeps_its_label_and_may_get_a_sister(api: Api) -> None:
    uuid = await api.network()
    first = (await api.show("virtual-network", uuid))["network_ipam_refs"][0]["attr"]
    body = network_body("vn1", "10.0.1.7/24")["network_ipam_refs"]
    six = {"subnet": {"ip_prefix": "fd00::", "ip_prefix_len": 64}}
    body[0]["attr"]["ipam_subnets"].append(six)
    assert (await api.put("virtual-network", uuid, network_ipam_refs=body)).status == 200
    four, six = (await api.show("virtual-network", uuid))["network_ipam_refs"][0]["attr"][
        "ipam_subnets"
    ]
    assert four == first["ipam_subnets"][0]
    assert six["default_gateway"] == "fd00::ffff:ffff:ffff:fffe"
    assert (await api.address("a", instance_ip_family="v6"))[1] == "fd00::ffff:ffff:ffff:fffc"
    assert (await api.address("b"))[1] == "10.0.1.252"
    assert (await api.address("c", subnet_uuid=six["subnet_uuid"]))[1][:4] == "fd00"


async def test_a_new_service_address_must_be_free(api: Api) -> None:
    uuid = await api.network()
    await api.address("a")
    body = network_body("vn1", "10.0.1.0/24", dns_server_address="10.0.1.252")["network_ipam_refs"]
    answer = await api.put("virtual-network", uuid, network_ipam_refs=body)
    assert (answer.status, "10.0.1.252" in answer.text) == (409, True)
    body = network_body("vn1", "10.0.1.0/24", dns_server_address="10.0.1.251")["network_ipam_refs"]
    assert (await api.put("virtual-network", uuid, network_ipam_refs=body)).status == 200
    assert (await api.address("b"))[1] == "10.0.1.253"
    assert (await api.address("c"))[1] == "10.0.1.250"


async def test_the_networks_of_the_underlay_stay(api: Api) -> None:
    for name in ("ip-fabric", "__link_local__"):
        asked = {
            "type": "virtual-network",
            "fq_name": ["default-domain", "default-project", name],
        }
        uuid = (await api.post("/fqname-to-id", asked)).json["uuid"]
        answer = await api.delete("virtual-network", uuid)
        expected = f"Can not delete system created default virtual-network {uuid}"
        assert (answer.status, answer.text) == (409, expected)


async def test_addresses_of_the_underlay_are_stored_as_sent(api: Api) -> None:
    refs = [{"to": ["default-domain", "default-project", "ip-fabric"]}]
    fields: dict[str, Any] = {"virtual_network_refs": refs, "instance_ip_address": "192.0.2.7"}
    assert (await api.address("a", **fields))[1] == "192.0.2.7"
    assert (await api.address("b", **fields))[1] == "192.0.2.7"


async def test_a_network_joins_one_provider_network(api: Api) -> None:
    await api.network("other", "10.0.2.0/24")
    body = network_body("vn1", "10.0.1.0/24")
    body["virtual_network_refs"] = [{"to": [*PROJECT, "other"]}]
    answer = await api.post("/virtual-networks", {"virtual-network": body})
    assert (answer.status, "can connect to one provider VN" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("target:64512:7999999", "target:64512:7999999"),
        ("target:64512:24777217", "target:64512:24777217"),
        ("target:64513:8000001", "target:64513:8000001"),
        ("target:00064513:0001", "target:64513:1"),
        ("target:70000L:5", None),
        ("target:192.0.2.1:5", "target:192.0.2.1:5"),
        ("target:64512:8000000", None),
        ("target:64512:20000000", None),
        ("target:192.0.2.1:70000", None),
        ("target:0:1", None),
        ("target:1:4294967296", None),
        ("targets:1:1", None),
        ("target:1:-1", None),
        ("target:1:\u0661", None),
        ("", None),
    ],
)
def test_configured_route_targets_stay_out_of_the_automatic_range(
    text: str, stored: str | None
) -> None:
    if stored is not None:
        assert normalise(text, 64512, False) == stored
        return
    with pytest.raises(ApiFault) as caught:
        normalise(text, 64512, False)
    assert caught.value.status == 400


async def test_another_asn_must_leave_configured_targets_valid(api: Api) -> None:
    body = network_body("vn1", "10.0.1.0/24")
    body["route_target_list"] = {"route_target": ["target:65000:8000009"]}
    await api.create("virtual-network", **body)
    asked = {"type": "global-system-config", "fq_name": ["default-global-system-config"]}
    uuid = (await api.post("/fqname-to-id", asked)).json["uuid"]
    answer = await api.put("global-system-config", uuid, autonomous_system=65000)
    assert (answer.status, "default-domain:p1:vn1" in answer.text) == (400, True)
    assert (await api.put("global-system-config", uuid, autonomous_system=65001)).status == 200


# -- ports ----------------------------------------------------------------------------------


def test_the_mac_of_a_uuid_is_local_and_unicast() -> None:
    assert mac_of_uuid("1a2b3c4d-5e6f-4000-8000-000000000001") == "02:1a:2b:3c:4d:5e"
    assert mac_of_uuid("ffffffff-ffff-4fff-8fff-ffffffffffff") == "02:ff:ff:ff:ff:ff"


def test_macs_are_stored_with_colons() -> None:
    assert check_mac("00-11-22-33-44-55") == "00:11:22:33:44:55"
    for bad in ("", "00:11:22:33:44", "00:11:22:33:44:5g", "01:00:5e:00:00:01", "00" * 6):
        with pytest.raises(ApiFault):
            check_mac(bad)


async def test_bindings_say_what_kind_of_port_it_is(api: Api) -> None:
    await api.network()
    router = {
        "fq_name": ["default-global-system-config", "dpdk1"],
        "parent_type": "global-system-config",
        "virtual_router_dpdk_enabled": True,
        "virtual_router_ip_address": "192.0.2.1",
    }
    await api.create("virtual-router", **router)

    async def bound(name: str, *pairs: tuple[str, str]) -> dict[str, str]:
        given = {"key_value_pair": [{"key": k, "value": v} for k, v in pairs]}
        uuid = await api.port_of(name=name, virtual_machine_interface_bindings=given)
        shown = (await api.show(PORT, uuid))["virtual_machine_interface_bindings"]
        return {one["key"]: one["value"] for one in shown["key_value_pair"]}

    kernel = await bound("a", ("host_id", "compute1"), ("vif_type", "vrouter"))
    assert kernel == {"host_id": "compute1", "vnic_type": "normal"}
    user_space = await bound("b", ("host_id", "dpdk1"))
    assert user_space["vif_type"] == "vhostuser"
    shown = await api.show(PORT, await api.port_of(name="c"))
    assert "virtual_machine_interface_bindings" not in shown


async def test_a_direct_port_ties_its_workload_to_the_host(api: Api) -> None:
    await api.network()
    await api.create("virtual-machine", fq_name=["vm"])
    host = await api.create(
        "virtual-router",
        fq_name=["default-global-system-config", "host1"],
        parent_type="global-system-config",
    )
    port = await api.port_of(virtual_machine_refs=[{"to": ["vm"]}])
    pairs = [{"key": "host_id", "value": "host1"}, {"key": "vnic_type", "value": "direct"}]
    answer = await api.put(PORT, port, virtual_machine_interface_bindings={"key_value_pair": pairs})
    assert answer.status == 409
    assert answer.text == "Vnic_type can not be modified when port is linked to Vrouter or VM."
    await api.put(PORT, port, virtual_machine_refs=[])
    await api.put(PORT, port, virtual_machine_interface_bindings={"key_value_pair": pairs})
    await api.put(PORT, port, virtual_machine_refs=[{"to": ["vm"]}])
    refs = (await api.show("virtual-router", host))["virtual_machine_refs"]
    assert [ref["to"] for ref in refs] == [["vm"]]
    assert (await api.delete(PORT, port)).status == 200
    assert "virtual_machine_refs" not in await api.show("virtual-router", host)


async def test_sub_interfaces_have_a_vlan_each_and_go_first(api: Api) -> None:
    await api.network()
    primary = await api.port_of(name="primary")

    def sub(tag: int, of: str = "primary") -> dict[str, Any]:
        return {
            "virtual_machine_interface_properties": {"sub_interface_vlan_tag": tag},
            "virtual_machine_interface_refs": [{"to": [*PROJECT, of]}],
        }

    async def refused(name: str, fields: dict[str, Any], text: str) -> None:
        body = {
            "fq_name": [*PROJECT, name],
            "parent_type": "project",
            "virtual_network_refs": [{"to": VN}],
            **fields,
        }
        answer = await api.post(f"/{PORT}s", {PORT: body})
        assert (answer.status, answer.text) == (400, text)

    first = await api.port_of(name="sub1", **sub(100))
    await refused(
        "sub2", sub(100), "Two sub interfaces under same primary port can't have same Vlan tag"
    )
    await refused(
        "sub3",
        sub(7, "sub1"),
        "sub interface can't have another sub interface as it's primary port",
    )
    answer = await api.put(PORT, first, **{"virtual_machine_interface_properties": None})
    assert answer.text == "Cannot change sub-interface VLAN tag ID"
    answer = await api.delete(PORT, primary)
    assert answer.text == "Cannot delete vmi with existing ref to sub interface"
    assert (await api.delete(PORT, first)).status == 200
    assert (await api.delete(PORT, primary)).status == 200


# -- security -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["any", "TCP", "0", "255", "icmp6"])
def test_protocols_are_names_or_numbers(protocol: str) -> None:
    check_protocol(protocol)


@pytest.mark.parametrize("protocol", ["", None, "256", "-1", "9999999999", "nonsense", "\u0661"])
def test_other_protocols_are_refused(protocol: str | None) -> None:
    with pytest.raises(ApiFault, match="Rule with invalid protocol"):
        check_protocol(protocol)


async def test_rules_of_a_group_get_a_uuid(api: Api) -> None:
    answer = await group(api, rule())
    assert answer.status == 200
    shown = await api.show("security-group", answer.json["security-group"]["uuid"])
    (one,) = shown["security_group_entries"]["policy_rule"]
    assert len(one["rule_uuid"]) == 36


@pytest.mark.parametrize(
    ("rules", "status", "text"),
    [
        ([rule(protocol="x")], 400, "Rule with invalid protocol : x"),
        (
            [rule(ethertype="IPv6")],
            400,
            "Rule subnet 0.0.0.0/0 doesn't match ethertype IPv6",
        ),
        (
            [rule(dst_addresses=[{"security_group": "other"}])],
            400,
            "At least one of source or destination addresses must be 'local'",
        ),
        ([rule(protocol="IPv6-ICMP")], 400, "IPv4 rule with IPv6 protocol : IPv6-ICMP"),
        ([rule(protocol="58")], 400, "IPv4 rule with IPv6 protocol : 58"),
        ([rule(rule_uuid="u"), rule()], 409, "Rule already exists : u"),
    ],
)
async def test_rules_of_a_group_that_cannot_be(
    api: Api, rules: list[dict[str, Any]], status: int, text: str
) -> None:
    answer = await group(api, *rules)
    assert (answer.status, answer.text) == (status, text)


async def test_rules_of_a_policy_have_an_action_and_no_groups(api: Api) -> None:
    async def made(one: dict[str, Any]) -> str:
        body = {
            "fq_name": [*PROJECT, "np"],
            "parent_type": "project",
            "network_policy_entries": {"policy_rule": [one]},
        }
        return str((await api.post("/network-policys", {"network-policy": body})).text)

    sides = {"src_addresses": [{"virtual_network": "any"}], "dst_addresses": []}
    assert await made(rule(**sides)) == "Action is required"
    action = {"action_list": {"simple_action": "pass"}}
    text = "Config Error: policy rule refering to security group is not allowed"
    assert await made(rule(**action)) == text
    assert "uuid" in await made(rule(**sides, **action))


# -- tags, routers, dns ---------------------------------------------------------------------


async def test_an_object_has_one_tag_of_a_type(api: Api) -> None:
    for value in ("web", "db"):
        await api.create("tag", fq_name=["x"], tag_type_name="tier", tag_value=value)
        await api.create("tag", fq_name=["x"], tag_type_name="label", tag_value=value)
    network = await api.network()
    labels = [{"to": ["label=web"]}, {"to": ["label=db"]}]
    assert (await api.put("virtual-network", network, tag_refs=labels)).status == 200
    tiers = [{"to": ["tier=web"]}, {"to": ["tier=db"]}]
    answer = await api.put("virtual-network", network, tag_refs=tiers)
    assert answer.status == 400
    assert answer.text.startswith("Tag type 'tier' cannot be set multiple times on the same")
    body = {"obj_type": "virtual-network", "obj_uuid": network}
    values = {"add_values": ["web", "db"], "is_global": True}
    answer = await api.post("/set-tag", body | {"tier": values})
    assert answer.text == "Tag type tier cannot be set multiple times on a same object."
    answer = await api.post("/set-tag", body | {"label": {"delete_values": ["db"]}})
    refs = (await api.show("virtual-network", network))["tag_refs"]
    assert [ref["to"] for ref in refs] == [["label=web"]]
    answer = await api.post("/set-tag", body | {"site": {"value": "b"}})
    expected = "Tag with FQName ['default-domain', 'p1', 'site=b'] not found"
    assert (answer.status, answer.text) == (404, expected)


async def test_tag_ids_are_given_or_chosen(api: Api) -> None:
    async def made(value: str, **fields: Any) -> Any:
        body = {"fq_name": ["x"], "tag_type_name": "site", "tag_value": value, **fields}
        answer = await api.post("/tags", {"tag": body})
        if answer.status != 200:
            return answer.text
        return (await api.show("tag", answer.json["tag"]["uuid"]))["tag_id"]

    assert [await made("a"), await made("b")] == ["0x00040000", "0x00040001"]
    assert await made("c", tag_id="0x00048001") == "0x00048001"
    assert await made("d", tag_id="0x00048001") == "Requested Tag id is already allocated"
    assert "user defined tags" in await made("e", tag_id="0x00040009")
    uuid = (await api.post("/fqname-to-id", {"type": "tag", "fq_name": ["site=a"]})).json["uuid"]
    answer = await api.put("tag", uuid, tag_value="z")
    assert answer.text == "Tag name, type, value or ID cannot be updated"
    assert (await api.delete("tag", uuid)).status == 200
    assert await made("f") == "0x00040000"


async def test_ports_of_a_router_are_no_workloads(api: Api) -> None:
    await api.network()
    await api.create("virtual-machine", fq_name=["vm"])
    used = await api.port_of(virtual_machine_refs=[{"to": ["vm"]}])
    free = await api.port_of(name="free")
    router = {"fq_name": [*PROJECT, "lr"], "parent_type": "project"}
    body = {**router, "virtual_machine_interface_refs": [{"uuid": used}]}
    answer = await api.post("/logical-routers", {"logical-router": body})
    assert (answer.status, f"Port({used}) already in use" in answer.text) == (409, True)
    body = {**router, "virtual_machine_interface_refs": [{"uuid": free}]}
    uuid = await api.create("logical-router", **body)
    assert (await api.show("logical-router", uuid))["logical_router_type"] == "snat-routing"
    answer = await api.put(PORT, free, virtual_machine_refs=[{"to": ["vm"]}])
    assert answer.text == "Logical router interface cannot be used by VM"
    answer = await api.put("logical-router", uuid, logical_router_type="vxlan-routing")
    assert answer.text == "Cannot update logical_router_type for a Logical Router"


async def test_bgp_routers_have_timers_and_systems_that_can_be(api: Api) -> None:
    parent = ["default-domain", "default-project", "ip-fabric", "__default__"]

    async def made(name: str, **parameters: Any) -> Any:
        body = {
            "fq_name": [*parent, name],
            "parent_type": "routing-instance",
            "bgp_router_parameters": parameters,
        }
        answer = await api.post("/bgp-routers", {"bgp-router": body})
        if answer.status != 200:
            return answer.text
        shown = await api.show("bgp-router", answer.json["bgp-router"]["uuid"])
        return shown["bgp_router_parameters"]["router_type"]

    assert "at least three seconds" in await made("a", hold_time=2)
    assert "ASN out of range" in await made("a", autonomous_system=70000)
    assert await made("a", vendor="contrail", autonomous_system=64512) == "control-node"
    assert await made("b", vendor="mx", hold_time=90) == "router"


async def test_virtual_dns_servers_are_checked_and_kept_while_used(api: Api) -> None:
    async def made(name: str, **data: Any) -> Any:
        body = {
            "fq_name": ["default-domain", name],
            "parent_type": "domain",
            "virtual_DNS_data": data,
        }
        return await api.post("/virtual-DNSs", {"virtual-DNS": body})

    assert (await made("a", domain_name="bad_name!")).status == 403
    assert (await made("a", default_ttl_seconds=-1)).status == 400
    assert (await made("a", next_virtual_DNS="default-domain:none")).status == 400
    first = (await made("a", domain_name="example.com")).json["virtual-DNS"]["uuid"]
    shares = (await api.show("virtual-DNS", first))["perms2"]["share"]
    assert shares[0]["tenant_access"] == 5
    second = (await made("b", next_virtual_DNS="default-domain:a")).json["virtual-DNS"]["uuid"]
    assert (await api.delete("virtual-DNS", first)).status == 403
    assert (await api.delete("virtual-DNS", second)).status == 200
    assert (await api.delete("virtual-DNS", first)).status == 200


async def test_owners_follow_the_parent(api: Api) -> None:
    uuid = "22222222-2222-4222-8222-222222222222"
    await api.create("project", uuid=uuid, fq_name=["default-domain", "mine"])
    project = await api.show("project", uuid)
    assert project["perms2"]["owner"] == uuid.replace("-", "")
    group_ = await api.create("security-group", fq_name=["default-domain", "mine", "sg"])
    assert (await api.show("security-group", group_))["perms2"]["owner"] == uuid.replace("-", "")
    answer = await api.post(
        "/projects", {"project": {"uuid": uuid, "fq_name": ["default-domain", "x"]}}
    )
    expected = f"{uuid} already exists with fq_name: ['default-domain', 'mine']"
    assert (answer.status, answer.text) == (409, expected)


async def test_objects_are_given_away_and_shared(api: Api) -> None:
    uuid = await api.network()
    owner = "33333333-3333-4333-8333-333333333333"

    async def perms2() -> Any:
        return (await api.show("virtual-network", uuid))["perms2"]

    answer = await api.post("/chown", {"uuid": uuid, "owner": owner})
    assert (answer.status, answer.json) == (200, {})
    assert (await perms2())["owner"] == owner.replace("-", "")
    share = [
        {"tenant": f"domain:{owner}", "tenant_access": 5},
        {"tenant": owner, "tenant_access": 7},
    ]
    answer = await api.post(
        "/chmod", {"uuid": uuid, "owner_access": 6, "global_access": 7, "share": share}
    )
    assert answer.status == 200
    assert await perms2() == {
        "owner": owner.replace("-", ""),
        "owner_access": 6,
        "global_access": 7,
        "share": share,
    }
    assert (await api.show("virtual-network", uuid))["is_shared"] is True


@pytest.mark.parametrize(
    ("action", "fields", "text"),
    [
        ("chown", {}, "no owner UUID provided to chown"),
        ("chown", {"uuid": None}, "no resource UUID provided to chown"),
        ("chown", {"owner": "x"}, "invalid owner UUID"),
        ("chown", {"uuid": 5, "owner": "x"}, "invalid resource UUID"),
        ("chmod", {"uuid": "x"}, "invalid object id"),
        ("chmod", {"owner": 7}, "invalid owner"),
        ("chmod", {"owner_access": 8}, "invalid owner_access value"),
        ("chmod", {"global_access": True}, "invalid global_access value"),
        ("chmod", {"share": "x"}, "invalid share list"),
        ("chmod", {"share": [{"tenant": "x:y", "tenant_access": 7}]}, "invalid share list"),
        ("chmod", {"share": [{"tenant": "", "tenant_access": 7}]}, "invalid share list"),
    ],
)
async def test_permissions_that_cannot_be(
    api: Api, action: str, fields: dict[str, Any], text: str
) -> None:
    body = {"uuid": await api.network(), **fields}
    answer = await api.post(f"/{action}", body)
    assert (answer.status, f"Bad Request, {text}" in answer.text) == (400, True), answer.text
