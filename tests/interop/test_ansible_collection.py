"""The requests that the modules of the collection ``tungstenfabric.networking`` make.

Each module looks its object up at the API, logs in to the web UI, reads the object if it is there,
and writes it or deletes it. It is run for what it makes, once more for the same, and to delete.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.system.webui_process import Collection, WebProcess

PROJECT = ["default-domain", "default-project"]
GLOBAL = "default-global-system-config"
FABRIC = ["default-domain", "default-project", "ip-fabric", "__default__"]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path_factory.mktemp("web"))
    process.start()
    yield process
    process.stop()


def revision(collection: Collection) -> int:
    return int(collection.api("GET", "healthz").json()["revision"])


def present(collection: Collection, type_: str, fq_name: list[str], fields: Json) -> str:
    """A run of a module with ``state: present``; the uuid of the object."""
    uuid = collection.uuid(type_, fq_name)
    if uuid is None:
        body = {type_: {"fq_name": fq_name, **fields}}
        answer = collection.call("create-config-object", body)
        assert answer.status_code == 200, answer.text
        uuid = answer.json()["configData"][type_]["uuid"]
    else:
        body = collection.read(type_, uuid)
        assert body[type_]["uuid"] == uuid
        body[type_].update(fields)
        answer = collection.call("update-config-object", body)
        assert answer.status_code == 200, answer.text
    return uuid


def absent(collection: Collection, type_: str, uuid: str, **more: Any) -> None:
    """A run of a module with ``state: absent``."""
    answer = collection.call("delete", [{"type": type_, "deleteIDs": [uuid], **more}])
    assert answer.status_code == 200, answer.text
    assert collection.api("GET", f"{type_}/{uuid}").status_code == 404


def network(collection: Collection, name: str, subnet: str) -> str:
    to = ["default-domain", "default-project", "default-network-ipam"]
    attr = {"ipam_subnets": [{"subnet": {"ip_prefix": subnet, "ip_prefix_len": 24}}]}
    fields = {
        "parent_type": "project",
        "network_ipam_refs": [{"to": to, "attr": attr}],
        "virtual_network_properties": {},
    }
    return present(collection, "virtual-network", [*PROJECT, name], fields)


def rule(**more: Any) -> Json:
    every = [{"start_port": -1, "end_port": -1}]
    return {"protocol": "any", "src_ports": every, "dst_ports": every, **more}


def ends(of: str) -> Json:
    return {
        f"{side}_addresses": [{of: "any" if of == "virtual_network" else "local"}]
        for side in ("src", "dst")
    }


SIMPLE: list[tuple[str, list[str], Json]] = [
    ("project", ["default-domain", "p9"], {"parent_type": "domain"}),
    ("network-ipam", [*PROJECT, "i9"], {"parent_type": "project"}),
    (
        "network-policy",
        [*PROJECT, "np9"],
        {
            "parent_type": "project",
            "network_policy_entries": {
                "policy_rule": [
                    rule(
                        direction="<>",
                        action_list={"simple_action": "pass"},
                        **ends("virtual_network"),
                    )
                ]
            },
        },
    ),
    (
        "security-group",
        [*PROJECT, "sg9"],
        {
            "parent_type": "project",
            "security_group_entries": {
                "policy_rule": [rule(direction=">", ethertype="IPv4", **ends("security_group"))]
            },
        },
    ),
    (
        "service-template",
        ["default-domain", "l3"],
        {
            "parent_type": "domain",
            "versionList": [{"text": "v2", "id": 2}],
            "service_template_properties": {
                "service_virtualization_type": "virtual-machine",
                "service_mode": "in-network",
                "service_type": "firewall",
                "version": 2,
                "interface_type": [{"service_interface_type": one} for one in ("left", "right")],
            },
        },
    ),
    (
        "service-health-check",
        [*PROJECT, "hc9"],
        {
            "parent_type": "project",
            "service_health_check_properties": {
                "health_check_type": "link-local",
                "monitor_type": "PING",
                "url_path": "local-ip",
                "max_retries": 2,
                "timeout": 5,
                "delay": 3,
            },
        },
    ),
    ("bgp-as-a-service", [*PROJECT, "bgpaas9"], {"parent_type": "project"}),
    ("virtual-machine", ["vm9"], {}),
    ("tag", ["tier=web9"], {"tag_type_name": "tier", "tag_value": "web9"}),
    (
        "bgp-router",
        [*FABRIC, "router9"],
        {
            "parent_type": "routing-instance",
            "bgp_router_parameters": {
                "router_type": "router",
                "address": "192.0.2.9",
                "identifier": "192.0.2.9",
                "hold_time": 90,
                "autonomous_system": 64512,
            },
        },
    ),
    ("physical-router", [GLOBAL, "pr9"], {"parent_type": "global-system-config"}),
    ("fabric", [GLOBAL, "fabric9"], {"parent_type": "global-system-config"}),
    ("routing-policy", [*PROJECT, "rp9"], {"parent_type": "project"}),
    ("loadbalancer-pool", [*PROJECT, "pool9"], {"parent_type": "project"}),
]


@pytest.mark.parametrize(("type_", "fq_name", "fields"), SIMPLE, ids=[one[0] for one in SIMPLE])
def test_an_object_is_made_kept_and_deleted(
    process: WebProcess, type_: str, fq_name: list[str], fields: Json
) -> None:
    collection = Collection(process)
    uuid = present(collection, type_, fq_name, fields)
    then = revision(collection)
    assert present(collection, type_, fq_name, fields) == uuid
    body = collection.read(type_, uuid)
    assert collection.call("update-config-object", body).status_code == 200
    # What the server completes in a value (rule uuids) is written once more at most.
    assert revision(collection) <= then + (type_ in ("network-policy", "security-group"))
    absent(collection, type_, uuid)


def test_a_network_and_its_port(process: WebProcess) -> None:
    collection = Collection(process)
    uuid = network(collection, "vn9", "10.9.0.0")
    before = collection.read("virtual-network", uuid)
    assert network(collection, "vn9", "10.9.0.0") == uuid
    assert (
        collection.read("virtual-network", uuid)["virtual-network"]["network_ipam_refs"]
        == (before["virtual-network"]["network_ipam_refs"])
    )
    fields = {
        "parent_type": "project",
        "virtual_network_refs": [{"to": [*PROJECT, "vn9"]}],
        "virtual_machine_interface_mac_addresses": {"mac_address": ["02:00:00:00:00:09"]},
    }
    name = [*PROJECT, "port9"]
    port = present(collection, "virtual-machine-interface", name, fields)
    changed = {"virtual_machine_interface_disable_policy": True}
    assert present(collection, "virtual-machine-interface", name, changed) == port
    absent(collection, "virtual-machine-interface", port)
    absent(collection, "virtual-network", uuid)


def test_a_router_run_twice_keeps_its_interfaces(process: WebProcess) -> None:
    collection = Collection(process)
    networks = [network(collection, name, f"10.{name[-2:]}.0.0") for name in ("vn11", "vn12")]
    fields = {
        "parent_type": "project",
        "logical_router_type": "snat-routing",
        "virtual_machine_interface_refs": [
            {
                "parent_type": "project",
                "fq_name": PROJECT,
                "virtual_network_refs": [{"to": [*PROJECT, name]}],
                "virtual_machine_interface_device_owner": "network:router_interface",
            }
            for name in ("vn11", "vn12")
        ],
    }
    uuid = present(collection, "logical-router", [*PROJECT, "lr9"], fields)
    then = revision(collection)
    assert present(collection, "logical-router", [*PROJECT, "lr9"], fields) == uuid
    assert revision(collection) == then
    absent(collection, "logical-router", uuid)
    for one in networks:
        absent(collection, "virtual-network", one)


def test_a_service_instance_and_its_interfaces(process: WebProcess) -> None:
    collection = Collection(process)
    networks = [network(collection, name, f"10.{name[-2:]}.0.0") for name in ("vn21", "vn22")]
    template = present(
        collection, "service-template", ["default-domain", "t9"], {"parent_type": "domain"}
    )
    ports = {}
    for side, name in (("left", "vn21"), ("right", "vn22")):
        refs = {"parent_type": "project", "virtual_network_refs": [{"to": [*PROJECT, name]}]}
        ports[side] = present(collection, "virtual-machine-interface", [*PROJECT, side], refs)
    left, right = (":".join([*PROJECT, name]) for name in ("vn21", "vn22"))
    fields = {
        "fq_name": [*PROJECT, "si9"],
        "parent_type": "project",
        "service_template_refs": [{"to": ["default-domain", "t9"]}],
        "service_instance_properties": {
            "interface_list": [{"virtual_network": left}, {"virtual_network": right}],
            "left_virtual_network": left,
            "right_virtual_network": right,
        },
    }
    vmis = [
        {"fq_name": [*PROJECT, uuid], "interfaceType": side, "uuid": uuid}
        for side, uuid in ports.items()
    ]
    tuples = [{"to": [*PROJECT, "si9", "port-tuple-9"], "vmis": vmis}]
    body = {"service-instance": {**fields, "port_tuples": tuples}}
    made = collection.call("service-instances", body)
    assert made.status_code == 200, made.text
    uuid = collection.uuid("service-instance", [*PROJECT, "si9"])
    assert uuid
    again = collection.read("service-instance", uuid)
    again["service-instance"].update(fields)
    path = f"service-instances/{uuid}"
    assert collection.call(path, again, "PUT").status_code == 200
    # What the module does to delete: it finds the tuples and their interfaces at the API.
    found = collection.api("GET", f"service-instance/{uuid}").json()["service-instance"][
        "port_tuples"
    ]
    for one in found:
        tuple_ = collection.api("GET", f"port-tuple/{one['uuid']}").json()["port-tuple"]
        del one["href"]
        one["vmis"] = [
            {"uuid": ref["uuid"]} for ref in tuple_["virtual_machine_interface_back_refs"]
        ]
        assert len(one["vmis"]) == 2
    absent(collection, "service-instance", uuid, userData={"port_tuples": found})
    for port in ports.values():
        absent(collection, "virtual-machine-interface", port)
    for one in networks:
        absent(collection, "virtual-network", one)
    absent(collection, "service-template", template)


def test_firewall_rule_policy_and_set(process: WebProcess) -> None:
    collection = Collection(process)
    scope = {"parent_type": "project"}
    fields = {
        **scope,
        "endpoint_1": {"any": True},
        "endpoint_2": {"any": True},
        "service": {"protocol": "tcp", "dst_ports": {"start_port": 80, "end_port": 80}},
        "action_list": {"simple_action": "pass"},
        "direction": "<>",
    }
    rule_name, policy_name, set_name = ([*PROJECT, name] for name in ("r9", "fp9", "aps9"))
    rule_ = present(collection, "firewall-rule", rule_name, fields)
    assert present(collection, "firewall-rule", rule_name, {"direction": ">"}) == rule_
    refs = {"firewall_rule_refs": [{"attr": {"sequence": "0"}, "to": rule_name, "uuid": rule_}]}
    policy = present(collection, "firewall-policy", policy_name, {**scope, **refs})
    assert present(collection, "firewall-policy", policy_name, refs) == policy
    refs = {
        "firewall_policy_refs": [{"attr": {"sequence": "0"}, "to": policy_name, "uuid": policy}]
    }
    set_ = present(collection, "application-policy-set", set_name, {**scope, **refs})
    absent(collection, "firewall-policy", policy)
    absent(collection, "firewall-rule", rule_)
    absent(collection, "application-policy-set", set_)


def test_the_global_configurations_are_updated(process: WebProcess) -> None:
    collection = Collection(process)
    present(collection, "global-system-config", [GLOBAL], {"autonomous_system": 65001})
    name = [GLOBAL, "default-global-vrouter-config"]
    pools = [{"protocol": "tcp", "port_count": "1023"}]
    fields = {"flow_export_rate": 100, "port_translation_pools": {"port_translation_pool": pools}}
    uuid = present(collection, "global-vrouter-config", name, fields)
    assert (
        collection.read("global-vrouter-config", uuid)["global-vrouter-config"]["flow_export_rate"]
        == 100
    )


def test_what_the_modules_do_at_the_api_itself(process: WebProcess) -> None:
    collection = Collection(process)
    router = present(
        collection, "physical-router", [GLOBAL, "leaf9"], {"parent_type": "global-system-config"}
    )
    fabric = present(
        collection, "fabric", [GLOBAL, "fabric8"], {"parent_type": "global-system-config"}
    )
    net = network(collection, "vn31", "10.31.0.0")
    vn = collection.read("virtual-network", net)["virtual-network"]

    def post(type_: str, fields: Json) -> str:
        answer = collection.api("POST", f"{type_}s", {type_: fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()[type_]["uuid"])

    interface = post(
        "physical-interface",
        {"fq_name": [GLOBAL, "leaf9", "xe-0/0/3"], "parent_type": "physical-router"},
    )
    group = post(
        "virtual-port-group", {"fq_name": [GLOBAL, "fabric8", "vpg9"], "parent_type": "fabric"}
    )
    refs = [{"uuid": interface, "to": ["default-global-config", "leaf9", "xe-0/0/3"], "attr": None}]
    body = {"virtual-port-group": {"physical_interface_refs": refs}}
    assert collection.api("PUT", f"virtual-port-group/{group}", body).status_code == 200
    shown = collection.api("GET", f"virtual-port-group/{group}").json()["virtual-port-group"]
    assert shown["physical_interface_refs"][0]["to"] == [GLOBAL, "leaf9", "xe-0/0/3"]
    pairs = {
        "vpg": "vpg9",
        "vnic_type": "baremetal",
        "vif_type": "vrouter",
        "profile": '{"local_link_information": []}',
    }
    bindings = {"key_value_pair": [{"key": key, "value": value} for key, value in pairs.items()]}
    port = post(
        "virtual-machine-interface",
        {
            "fq_name": [*PROJECT, "vpg9-fabric8-vn31-101"],
            "parent_type": "project",
            "device_owner": "baremetal:None",
            "virtual_machine_interface_bindings": bindings,
            "virtual_network_refs": [{"to": vn["fq_name"], "uuid": net}],
            "virtual_machine_interface_properties": {"sub_interface_vlan_tag": 101},
        },
    )
    # The module deletes below the collection, which older servers answered 404.
    assert collection.api("DELETE", f"virtual-machine-interfaces/{port}").status_code == 200
    for type_, uuid in (("virtual-port-group", group), ("physical-interface", interface)):
        assert collection.api("DELETE", f"{type_}/{uuid}", {}).status_code == 200
    for type_, uuid in (("fabric", fabric), ("physical-router", router), ("virtual-network", net)):
        absent(collection, type_, uuid)


def test_a_host_based_service_in_a_project_that_may_have_one(process: WebProcess) -> None:
    collection = Collection(process)
    name = ["default-domain", "hosts"]
    fields = {"parent_type": "domain", "quota": {"host_based_service": 1}}
    project = present(collection, "project", name, fields)
    service = [*name, "hbs9"]
    uuid = present(collection, "host-based-service", service, {"parent_type": "project"})
    assert present(collection, "host-based-service", service, {}) == uuid
    absent(collection, "host-based-service", uuid)
    absent(collection, "project", project)


def test_a_load_balancer_with_all_it_needs_and_members_one_by_one(process: WebProcess) -> None:
    """The modules ``loadbalancer``, ``loadbalancer_member`` and ``loadbalancer_pool``."""
    collection = Collection(process)
    net = network(collection, "vn41", "10.41.0.0")
    refs = collection.read("virtual-network", net)["virtual-network"]["network_ipam_refs"]
    subnet = refs[0]["attr"]["ipam_subnets"][0]["subnet_uuid"]

    def named(last: str, kind: str, **properties: Any) -> Json:
        fields = {"fq_name": [*PROJECT, last], "parent_type": "project"}
        return {**fields, f"loadbalancer_{kind}properties": {"admin_state": True, **properties}}

    port = {
        "instance_ip_back_refs": [
            {
                "instance_ip_address": [{"domain": PROJECT[0], "fixedIp": "", "project": "p"}],
                "subnet_uuid": subnet,
            }
        ],
        "parent_type": "project",
        "virtual_machine_interface_device_owner": "neutron:LOADBALANCER",
        "virtual_network_refs": [{"to": [*PROJECT, "vn41"]}],
    }
    monitor = {"delay": 5, "timeout": 5, "max_retries": 3, "monitor_type": "TCP"}
    listener = {"connection_limit": -1, "protocol_port": 80, "protocol": "TCP"}
    method = {"protocol": "TCP", "loadbalancer_method": "LEAST_CONNECTIONS"}

    def member(last: str, pool: str, address: str) -> Json:
        said = {"subnet_id": subnet, "weight": 1, "address": address, "protocol_port": 80}
        return {**named(last, "member_", **said), "parent_type": "loadbalancer-pool"} | {
            "fq_name": [*PROJECT, *([pool] if pool else []), last]
        }

    body = {
        "loadbalancer": {
            **named("lb41", "", vip_subnet_id=subnet),
            "name": "lb41",
            "virtual_machine_interface_refs": port,
            "loadbalancer_provider": "opencontrail",
        },
        "loadbalancer-healthmonitor": named("lb41-healthmonitor", "healthmonitor_", **monitor),
        "loadbalancer-listener": named("lb41-listener", "listener_", **listener),
        "loadbalancer-pool": named("lb41-pool", "pool_", **method),
        "loadbalancer-member": [member(f"lb41-member-{at}", "", f"10.41.0.1{at}") for at in (1, 2)],
    }
    made = collection.call("lbaas/load-balancer", body)
    assert made.status_code == 200, made.text
    balancer = collection.uuid("loadbalancer", [*PROJECT, "lb41"])
    assert balancer == made.json()["configData"]["loadbalancer"]["uuid"]
    again = {"loadbalancer_provider": "native"}
    assert present(collection, "loadbalancer", [*PROJECT, "lb41"], again) == balancer
    shown = collection.api("GET", f"loadbalancer/{balancer}").json()["loadbalancer"]
    assert shown["loadbalancer_provider"] == "native"
    assert shown["loadbalancer_properties"]["vip_address"].startswith("10.41.0.")

    name = [*PROJECT, "lb41-pool", "third"]
    third = member("third", "lb41-pool", "10.41.0.13")
    uuid = present(collection, "loadbalancer-member", name, third)
    changed = {"loadbalancer_member_properties": {"weight": 7}}
    assert present(collection, "loadbalancer-member", name, changed) == uuid
    pool = collection.uuid("loadbalancer-pool", [*PROJECT, "lb41-pool"])
    listed = collection.api("GET", f"loadbalancer-pool/{pool}").json()["loadbalancer-pool"]
    assert len(listed["loadbalancer_members"]) == 3
    absent(collection, "loadbalancer-member", uuid)
    answer = collection.call("lbaas/load-balancer/delete", {"uuids": [balancer]})
    assert answer.status_code == 200, answer.text
    assert collection.uuid("loadbalancer-pool", [*PROJECT, "lb41-pool"]) is None
    absent(collection, "virtual-network", net)


def test_rules_are_added_to_an_access_list_and_taken_out(process: WebProcess) -> None:
    """The module ``api_access_list``: it reads the list, changes it, and sends all of it back."""
    collection = Collection(process)
    for above, parent in (([GLOBAL], "global-system-config"), (PROJECT, "project")):
        name = [*above, "default-api-access-list"]
        entries: Json = {"api_access_list_entries": {"rbac_rule": []}}
        uuid = present(collection, "api-access-list", name, {"parent_type": parent, **entries})
        for object_ in ("virtual-network", "port-profile"):
            body = collection.read("api-access-list", uuid)
            perms = [{"role_name": "_member_", "role_crud": "CRUD"}]
            said = {"rule_object": object_, "rule_field": "*", "rule_perms": perms}
            body["api-access-list"]["api_access_list_entries"]["rbac_rule"].append(said)
            answer = collection.call("update-config-object", body)
            assert answer.status_code == 200, answer.text
        body = collection.read("api-access-list", uuid)
        rules = body["api-access-list"]["api_access_list_entries"]["rbac_rule"]
        assert [one["rule_object"] for one in rules] == ["virtual-network", "port-profile"]
        del rules[0]
        assert collection.call("update-config-object", body).status_code == 200
        left = collection.read("api-access-list", uuid)["api-access-list"]
        rules = left["api_access_list_entries"]["rbac_rule"]
        assert [one["rule_object"] for one in rules] == ["port-profile"]
        absent(collection, "api-access-list", uuid)


def test_floating_addresses_of_a_pool(process: WebProcess) -> None:
    collection = Collection(process)
    public = network(collection, "vn51", "10.51.0.0")
    inside = network(collection, "vn52", "10.52.0.0")
    pool_name = [*PROJECT, "vn51", "pool"]
    present(collection, "floating-ip-pool", pool_name, {"parent_type": "virtual-network"})
    refs = {"parent_type": "project", "virtual_network_refs": [{"to": [*PROJECT, "vn52"]}]}
    name = [*PROJECT, "port51"]
    addressed = {"instance_ip_back_refs": [{"instance_ip_address": [{"fixedIp": "10.52.0.7"}]}]}
    port = present(collection, "virtual-machine-interface", name, {**refs, **addressed})
    project = collection.uuid("project", PROJECT)
    assert project
    fields = {
        "parent_type": "floating-ip-pool",
        "project_refs": [{"to": PROJECT, "uuid": project}],
        "virtual_machine_interface_refs": [{"to": name, "uuid": port}],
        "floating_ip_fixed_ip_address": "10.52.0.7",
    }
    first = present(collection, "floating-ip", [*pool_name, "first"], fields)
    again = present(collection, "floating-ip", [*pool_name, "first"], {"display_name": "web"})
    assert again == first
    shown = collection.read("floating-ip", first)["floating-ip"]
    assert shown["floating_ip_address"] == "10.51.0.252"
    assert shown["display_name"] == "web"
    chosen = {**fields, "floating_ip_address": "10.51.0.9"}
    second = present(collection, "floating-ip", [*pool_name, "second"], chosen)
    # An interface lets go of its floating addresses, which stay.
    let_go = {"floating-ip": {"uuid": second, "virtual_machine_interface_refs": []}}
    assert collection.call("update-config-object", let_go).status_code == 200
    shown = collection.read("floating-ip", second)["floating-ip"]
    assert "virtual_machine_interface_refs" not in shown
    absent(collection, "floating-ip", second)
    absent(collection, "virtual-machine-interface", port)
    shown = collection.read("floating-ip", first)["floating-ip"]
    assert "virtual_machine_interface_refs" not in shown
    absent(collection, "floating-ip", first)
    absent(collection, "virtual-network", public)
    absent(collection, "virtual-network", inside)
