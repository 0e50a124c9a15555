"""The calls of upstream's client library that are not about one type: names, texts, owners, tags,
collections of elements, addresses, numbers, bulk lists, and what its errors say.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.interop.upstream_objects import Objects
from tests.system.api_process import ApiProcess
from vnc_api import exceptions, vnc_api
from vnc_api.gen import resource_xsd as xsd


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Objects]:
    process = ApiProcess(tmp_path_factory.mktemp("api"))
    process.start()
    try:
        yield Objects(
            vnc_api.VncApi(
                api_server_host="127.0.0.1", api_server_port=str(process.port), auth_type="noauth"
            )
        )
    finally:
        process.stop()


@pytest.fixture
def api(objects: Objects) -> Any:
    return objects.api


@pytest.fixture
def project(api: Any, request: pytest.FixtureRequest) -> Any:
    made = vnc_api.Project(request.node.name, parent_obj=vnc_api.Domain("default-domain"))
    api.project_create(made)
    return made


def network(api: Any, project: Any, name: str, *prefixes: tuple[str, int]) -> Any:
    ipam = api.network_ipam_read(["default-domain", "default-project", "default-network-ipam"])
    made = vnc_api.VirtualNetwork(name, parent_obj=project)
    subnets = [xsd.IpamSubnetType(subnet=xsd.SubnetType(*prefix)) for prefix in prefixes]
    made.add_network_ipam(ipam, xsd.VnSubnetsType(subnets))
    api.virtual_network_create(made)
    return api.virtual_network_read(id=made.uuid)


def test_refusals_are_the_errors_of_the_library(api: Any, project: Any) -> None:
    made = network(api, project, "vn1", ("10.0.1.0", 30))
    twin = vnc_api.VirtualNetwork("vn1", parent_obj=project)
    with pytest.raises(exceptions.RefsExistError, match="already exists with uuid"):
        api.virtual_network_create(twin)
    orphan = vnc_api.VirtualNetwork("vn1", parent_obj=vnc_api.Project("nowhere"))
    with pytest.raises(exceptions.BadRequest, match="does not exist"):
        api.virtual_network_create(orphan)
    with pytest.raises(exceptions.NoIdError, match="not found"):
        api.virtual_network_read(fq_name=[*project.fq_name, "none"])
    for call in (api.virtual_network_read, api.virtual_network_delete):
        with pytest.raises(exceptions.NoIdError):
            call(id=str(uuid.uuid4()))
    with pytest.raises(exceptions.RefsExistError, match="children still present"):
        api.project_delete(id=project.uuid)
    made.set_virtual_network_network_id(7)
    with pytest.raises(exceptions.PermissionDenied, match="virtual network ID"):
        api.virtual_network_update(made)
    group = vnc_api.SecurityGroup("sg", parent_obj=project)
    group.set_configured_security_group_id("many")
    with pytest.raises(exceptions.BadRequest, match="configured_security_group_id"):
        api.security_group_create(group)
    large = vnc_api.VirtualNetwork("large", parent_obj=project, display_name="x" * 2_000_000)
    with pytest.raises(exceptions.RequestSizeError):
        api.virtual_network_create(large)
    project.set_quota(xsd.QuotaType(security_group=1))
    api.project_update(project)
    api.security_group_create(vnc_api.SecurityGroup("one", parent_obj=project))
    with pytest.raises(exceptions.OverQuota, match="security_group"):
        api.security_group_create(vnc_api.SecurityGroup("two", parent_obj=project))


def test_references_take_part_in_updates_and_replace_their_attributes(
    api: Any, project: Any
) -> None:
    made = network(api, project, "vn1", ("10.0.1.0", 24))
    policies = [vnc_api.NetworkPolicy(f"p{n}", parent_obj=project) for n in range(3)]
    for number, policy in enumerate(policies):
        api.network_policy_create(policy)
        sequence = xsd.VirtualNetworkPolicyType(sequence=xsd.SequenceType(number, 0))
        made.add_network_policy(policy, sequence)
    api.virtual_network_update(made)

    def held() -> dict[str, int]:
        refs = api.virtual_network_read(id=made.uuid).get_network_policy_refs() or []
        return {ref["to"][-1]: ref["attr"].sequence.major for ref in refs}

    assert held() == {"p0": 0, "p1": 1, "p2": 2}
    other = xsd.VirtualNetworkPolicyType(sequence=xsd.SequenceType(9, 0))
    args = ("virtual-network", made.uuid, "network-policy", policies[1].uuid, None)
    api.ref_update(*args, "ADD", attr=other)
    assert held()["p1"] == 9
    with pytest.raises(exceptions.RefsExistError, match="still referred"):
        api.network_policy_delete(id=policies[0].uuid)
    api.ref_relax_for_delete(made.uuid, policies[0].uuid)
    api.network_policy_delete(id=policies[0].uuid)
    assert held() == {"p1": 9, "p2": 2}
    read = api.virtual_network_read(id=made.uuid)
    read.set_network_policy_list([policies[2].fq_name], [xsd.VirtualNetworkPolicyType()])
    api.virtual_network_update(read)
    refs = api.virtual_network_read(id=made.uuid).get_network_policy_refs()
    assert [ref["to"][-1] for ref in refs] == ["p2"]
    names = [policy.fq_name for policy in policies]
    back = api.network_policy_read(fq_name=names[2], fields=["virtual_network_back_refs"])
    assert [ref["uuid"] for ref in back.get_virtual_network_back_refs()] == [made.uuid]


def test_names_and_ids_are_told_for_each_other(api: Any, project: Any) -> None:
    assert api.fq_name_to_id("project", project.fq_name) == project.uuid
    assert api.id_to_fq_name(project.uuid) == project.fq_name
    assert api.id_to_fq_name_type(project.uuid) == (project.fq_name, "project")
    assert api.obj_to_id(vnc_api.Project(project.name)) == project.uuid
    assert api.get_default_project_id() == api.fq_name_to_id(
        "project", ["default-domain", "default-project"]
    )
    with pytest.raises(exceptions.NoIdError):
        api.fq_name_to_id("project", ["default-domain", "none"])
    with pytest.raises(exceptions.NoIdError):
        api.id_to_fq_name(str(uuid.uuid4()))


def test_texts_are_kept_under_keys(api: Any) -> None:
    for key, value in (("k1", "one"), ("k2", "zwei ü"), ("k3", json.dumps({"a": [1]}))):
        api.kv_store(key, value)
    assert api.kv_retrieve("k2") == "zwei ü"
    assert api.kv_retrieve(["k1", "k3"]) == ["one", '{"a": [1]}']
    assert {"key": "k1", "value": "one"} in api.kv_retrieve()
    api.kv_store("k1", "other")
    assert api.kv_retrieve("k1") == "other"
    for key in ("k1", "k2", "k3"):
        api.kv_delete(key)
    with pytest.raises(exceptions.NoIdError):
        api.kv_retrieve("k1")
    assert [one for one in api.kv_retrieve() if one["key"].startswith("k")] == []


def test_owners_and_shares_change(api: Any, project: Any) -> None:
    made = network(api, project, "vn1", ("10.0.1.0", 24))
    owner, tenant = str(uuid.uuid4()), str(uuid.uuid4())
    api.chown(made.uuid, owner)
    assert api.virtual_network_read(id=made.uuid).get_perms2().owner == owner.replace("-", "")
    api.chmod(made.uuid, owner_access=6, share=[(tenant, 5)], global_access=7)
    perms = api.virtual_network_read(id=made.uuid).get_perms2()
    assert (perms.owner_access, perms.global_access) == (6, 7)
    (share,) = perms.share
    assert share.tenant.replace("tenant:", "").replace("-", "") == tenant.replace("-", "")
    assert share.tenant_access == 5
    assert api.virtual_network_read(id=made.uuid).get_is_shared() is True
    for bad in ({"owner": "nobody"}, {"owner_access": 9}, {"share": [("nobody", 7)]}):
        with pytest.raises(exceptions.BadRequest):
            api.chmod(made.uuid, **bad)
    with pytest.raises(exceptions.BadRequest):
        api.chown(made.uuid, "nobody")
    assert api.obj_perms(None, made.uuid)["permissions"] == "RWX"
    assert api.get_aaa_mode() == {"aaa-mode": "no-auth"}


def test_tags_are_set_and_unset(api: Any, project: Any) -> None:
    made = network(api, project, "vn1", ("10.0.1.0", 24))
    for kind, value in (("tier", "web"), ("label", "blue"), ("label", "grey")):
        tag = vnc_api.Tag(parent_obj=project, tag_type_name=kind, tag_value=value)
        api.tag_create(tag)
    application = vnc_api.Tag(
        tag_type_name="application",
        tag_value="shop",
        parent_type="config-root",
        fq_name=["application=shop"],
    )
    api.tag_create(application)

    def held() -> set[str]:
        refs = api.virtual_network_read(id=made.uuid).get_tag_refs() or []
        return {ref["to"][-1] for ref in refs}

    api.set_tags(
        made,
        {
            "application": {"is_global": True, "value": "shop"},
            "tier": {"value": "web"},
            "label": {"add_values": ["blue", "grey"]},
        },
    )
    assert held() == {"application=shop", "tier=web", "label=blue", "label=grey"}
    api.set_tags(made, {"label": {"delete_values": ["blue"]}, "tier": None})
    assert held() == {"application=shop", "label=grey"}
    api.unset_tag(made, "application")
    api.unset_tag(made, "label")
    assert held() == set()
    with pytest.raises(exceptions.NoIdError):
        api.set_tag(made, "tier", "unknown")
    with pytest.raises(exceptions.NoIdError):
        api.set_tag(made, "nonsense", "x")
    with pytest.raises(exceptions.BadRequest, match="No valid value"):
        api.set_tags(made, {"tier": {"is_global": False}})


def test_elements_of_collections_change_one_by_one(api: Any, project: Any) -> None:
    made = network(api, project, "vn1", ("10.0.1.0", 24))
    api.prop_map_set_element(made.uuid, "annotations", xsd.KeyValuePair("a", "1"))
    api.prop_map_set_element(made.uuid, "annotations", xsd.KeyValuePair("b", "2"))
    api.prop_map_set_element(made.uuid, "annotations", xsd.KeyValuePair("a", "3"))
    assert api.prop_map_get(made.uuid, "annotations", "a") == [[{"key": "a", "value": "3"}, "a"]]
    api.prop_map_delete_element(made.uuid, "annotations", "b")
    (kept,) = api.virtual_network_read(id=made.uuid).get_annotations().key_value_pair
    assert (kept.key, kept.value) == ("a", "3")
    port = vnc_api.VirtualMachineInterface("port", parent_obj=project)
    port.set_virtual_network(made)
    port.add_virtual_machine_interface_bindings(xsd.KeyValuePair("host_id", "compute1"))
    api.virtual_machine_interface_create(port)
    field = "virtual_machine_interface_bindings"
    ((value, position),) = api.prop_map_get(port.uuid, field)
    assert (value, position) == ({"key": "host_id", "value": "compute1"}, "host_id")
    with pytest.raises(exceptions.BadRequest):
        api.prop_list_get(port.uuid, "display_name")


def test_elements_of_lists_keep_their_order(api: Any, project: Any) -> None:
    port = vnc_api.VirtualMachineInterface("port", parent_obj=project)
    port.set_virtual_network(network(api, project, "vn1", ("10.0.1.0", 24)))
    api.virtual_machine_interface_create(port)
    field = "virtual_machine_interface_fat_flow_protocols"
    read = api.virtual_machine_interface_read(id=port.uuid)
    read.set_virtual_machine_interface_fat_flow_protocols(
        xsd.FatFlowProtocols([xsd.ProtocolType(protocol="tcp", port=n) for n in range(1, 13)])
    )
    api.virtual_machine_interface_update(read)
    again = getattr(api.virtual_machine_interface_read(id=port.uuid), f"get_{field}")()
    assert [one.port for one in again.fat_flow_protocol] == list(range(1, 13))
    api.prop_list_add_element(port.uuid, field, xsd.ProtocolType("udp", 53))
    (*_, (added, position)) = api.prop_list_get(port.uuid, field)
    assert (added["protocol"], added["port"]) == ("udp", 53)
    api.prop_list_modify_element(port.uuid, field, xsd.ProtocolType("udp", 54), position)
    assert api.prop_list_get(port.uuid, field, position)[0][0]["port"] == 54
    api.prop_list_delete_element(port.uuid, field, position)
    assert len(api.prop_list_get(port.uuid, field)) == 12
    group = vnc_api.AddressGroup("group", parent_obj=project)
    for octet in range(3):
        group.add_address_group_prefix(xsd.SubnetType(f"10.{octet}.0.0", 16))
    api.address_group_create(group)
    kept = api.address_group_read(id=group.uuid).get_address_group_prefix().subnet
    assert [one.ip_prefix for one in kept] == ["10.0.0.0", "10.1.0.0", "10.2.0.0"]


def test_addresses_are_taken_from_a_network_and_given_back(api: Any, project: Any) -> None:
    made = network(api, project, "vn1", ("10.0.1.0", 24), ("2001:db8::", 64))
    subnets = made.get_network_ipam_refs()[0]["attr"].ipam_subnets
    four, six = (one.subnet_uuid for one in subnets)
    before = json.loads(api.virtual_network_subnet_ip_count(made, [four]))["ip_count_list"]
    taken = api.virtual_network_ip_alloc(made, count=3, subnet=four)
    assert taken == ["10.0.1.252", "10.0.1.251", "10.0.1.250"]
    (wide,) = api.virtual_network_ip_alloc(made, subnet=six)
    assert wide.startswith("2001:db8::")
    (by_family,) = api.virtual_network_ip_alloc(made, family="v6")
    assert by_family.startswith("2001:db8::")
    assert by_family != wide
    after = json.loads(api.virtual_network_subnet_ip_count(made, [four]))["ip_count_list"]
    assert after[0] == before[0] + 3
    address = vnc_api.InstanceIp(f"ip-{project.uuid}")
    address.add_virtual_network(made)
    api.instance_ip_create(address)
    assert api.instance_ip_read(id=address.uuid).get_instance_ip_address() == "10.0.1.249"
    api.virtual_network_ip_free(made, [*taken, wide, by_family])
    assert api.virtual_network_ip_alloc(made, subnet=four) == ["10.0.1.252"]
    with pytest.raises(exceptions.RefsExistError):
        api.virtual_network_ip_alloc(made, count=1000, subnet=four)
    with pytest.raises(exceptions.NoIdError):
        api.virtual_network_ip_alloc(vnc_api.VirtualNetwork(), subnet=four)


def test_numbers_are_given_from_pools(api: Any) -> None:
    api.create_int_pool("vlans", 100, 102)
    assert api.allocate_int("vlans", "me") == 100
    api.set_int("vlans", 102, "you")
    assert api.get_int_owner("vlans", 102) == "you"
    assert api.allocate_int("vlans", "me") == 101
    api.deallocate_int("vlans", 100)
    assert api.allocate_int("vlans", "again") == 100
    assert api.get_int_owner("vlans", 100) == "again"
    with pytest.raises((exceptions.RefsExistError, exceptions.BadRequest)):
        api.allocate_int("vlans", "more")
    api.delete_int_pool("vlans")
    with pytest.raises(exceptions.NoIdError):
        api.allocate_int("vlans", "me")


def test_lists_take_anchors_filters_fields_and_many_ids(api: Any, project: Any) -> None:
    made = [network(api, project, f"vn{n}", (f"10.1.{n}.0", 24)) for n in range(30)]
    uuids = [one.uuid for one in made]
    policy = vnc_api.NetworkPolicy("policy", parent_obj=project)
    api.network_policy_create(policy)
    for one in made[:2]:
        one.add_network_policy(policy, xsd.VirtualNetworkPolicyType(xsd.SequenceType(0, 0)))
        one.set_display_name("chosen")
        api.virtual_network_update(one)

    def found(**query: Any) -> list[str]:
        return [one["uuid"] for one in api.virtual_networks_list(**query)["virtual-networks"]]

    assert sorted(found(parent_id=project.uuid)) == sorted(uuids)
    assert sorted(found(parent_fq_name=project.fq_name)) == sorted(uuids)
    assert sorted(found(obj_uuids=uuids)) == sorted(uuids)
    assert sorted(found(obj_uuids=uuids[:3])) == sorted(uuids[:3])
    assert sorted(found(back_ref_id=[policy.uuid])) == sorted(uuids[:2])
    assert found(fq_names=[made[4].fq_name]) == [uuids[4]]
    chosen = found(parent_id=project.uuid, filters={"display_name": "chosen"})
    assert sorted(chosen) == sorted(uuids[:2])
    counted = api.virtual_networks_list(parent_id=project.uuid, count=True)
    assert counted["virtual-networks"]["count"] == 30
    several = api.virtual_networks_list(parent_id=[project.uuid] * 40, count=True)
    assert several["virtual-networks"]["count"] == 30
    fields = api.virtual_networks_list(obj_uuids=uuids[:1], fields=["virtual_network_network_id"])
    (one,) = fields["virtual-networks"]
    assert one["virtual_network_network_id"] == made[0].get_virtual_network_network_id()
    details = api.virtual_networks_list(obj_uuids=uuids, detail=True, fields=["display_name"])
    assert {one.display_name for one in details} >= {"chosen"}
    assert found(parent_id=str(uuid.uuid4())) == []
    assert isinstance(api.resource_list("virtual-network", shared=True), dict)


def test_whole_objects_are_written_back(api: Any, project: Any) -> None:
    made = network(api, project, "vn1", ("10.0.1.0", 24))
    read = api.virtual_network_read(id=made.uuid)
    body = {"virtual-network": api.obj_to_dict(read) | {"display_name": "back"}}
    assert api.restore_config(False, "virtual-network", json.dumps(body))
    assert api.virtual_network_read(id=made.uuid).display_name == "back"
    group = vnc_api.SecurityGroup("sg", parent_obj=project)
    body = {"security-group": api.obj_to_dict(group)}
    restored = api.restore_config(True, "security-group", json.dumps(body))
    assert restored["security-group"]["fq_name"] == [*project.fq_name, "sg"]
    assert api.security_group_read(fq_name=[*project.fq_name, "sg"]).uuid


def test_hrefs_are_left_out_on_demand(api: Any, project: Any) -> None:
    api.set_exclude_hrefs()
    try:
        (one,) = api.projects_list(obj_uuids=[project.uuid])["projects"]
        assert "href" not in one
    finally:
        api._exclude_hrefs = None
    (one,) = api.projects_list(obj_uuids=[project.uuid])["projects"]
    assert one["href"].endswith(f"/project/{project.uuid}")
