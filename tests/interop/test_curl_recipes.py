"""Recipes with curl that people keep in their notes: look around, change an object in a file, make
and remove one, turn names into ids, and the requests that ``tungctl`` makes.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.api_process import ApiProcess

PROJECT = ["default-domain", "default-project"]
IPAM = [*PROJECT, "default-network-ipam"]


class Curl:
    """curl in a folder of its own, against one server."""

    def __init__(self, server: str, directory: Path) -> None:
        self.server = server
        self.directory = directory

    def __call__(self, path: str, *options: str) -> str:
        """The body of an answer that is a success."""
        done = subprocess.run(
            ["curl", "-s", "-S", "--fail-with-body", *options, f"{self.server}{path}"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            cwd=self.directory,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def get(self, path: str, *options: str) -> Any:
        return json.loads(self(path, *options))

    def send(self, method: str, path: str, body: Any) -> Any:
        """A body from a file, as one writes it with an editor."""
        (self.directory / "body.json").write_text(json.dumps(body, indent=1))
        header = "Content-Type: application/json"
        return json.loads(self(path, "-X", method, "-H", header, "-d@body.json"))

    def create(self, type_: str, **fields: Any) -> str:
        return str(self.send("POST", f"/{type_}s", {type_: fields})[type_]["uuid"])

    def show(self, type_: str, uuid: str) -> Any:
        return self.get(f"/{type_}/{uuid}")[type_]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process = ApiProcess(tmp_path_factory.mktemp("api"))
    process.start()
    try:
        yield f"127.0.0.1:{process.port}"
    finally:
        process.stop()


@pytest.fixture
def curl(server: str, tmp_path: Path) -> Curl:
    return Curl(server, tmp_path)


def network(curl: Curl, name: str, prefix: str = "10.0.1.0", **fields: Any) -> str:
    subnet = {"subnet": {"ip_prefix": prefix, "ip_prefix_len": 24}}
    ipam = {"to": IPAM, "attr": {"ipam_subnets": [subnet]}}
    return curl.create(
        "virtual-network",
        fq_name=[*PROJECT, name],
        parent_type="project",
        network_ipam_refs=[ipam],
        **fields,
    )


def test_looking_around_begins_at_the_root(curl: Curl) -> None:
    root = curl.get("")
    links = [one["link"] for one in root["links"]]
    networks = next(
        one["href"]
        for one in links
        if one["rel"] == "collection" and one["name"] == "virtual-network"
    )
    path = networks.removeprefix(f"http://{curl.server}")
    listed = curl.get(path)["virtual-networks"]
    assert {"uuid", "fq_name", "href"} == set(listed[0])
    details = curl.get(f"{path}?detail=True")["virtual-networks"]
    assert [one["virtual-network"]["uuid"] for one in details] == [one["uuid"] for one in listed]
    uuid = listed[0]["uuid"]
    with_token = ("-H", "x-auth-token: gAAAAABtoken")
    assert curl.get(f"/virtual-network/{uuid}", *with_token)
    assert curl.get(path, *with_token)["virtual-networks"] == listed


def test_an_object_is_read_edited_and_put_back(curl: Curl) -> None:
    uuid = network(curl, "edited")
    whole = curl.get(f"/virtual-network/{uuid}")
    whole["virtual-network"]["flood_unknown_unicast"] = True
    whole["virtual-network"]["route_target_list"] = {"route_target": ["target:64999:1"]}
    answer = curl.send("PUT", f"/virtual-network/{uuid}", whole)
    assert answer["virtual-network"]["uuid"] == uuid
    after = curl.show("virtual-network", uuid)
    assert after["flood_unknown_unicast"] is True
    assert after["route_target_list"] == {"route_target": ["target:64999:1"]}
    assert after["network_ipam_refs"] == whole["virtual-network"]["network_ipam_refs"]
    assert curl(f"/virtual-network/{uuid}", "-X", "DELETE") == ""
    gone = curl.get("/virtual-networks?fq_names=default-domain:default-project:edited")
    assert gone == {"virtual-networks": []}


def test_names_and_ids_are_looked_up(curl: Curl) -> None:
    uuid = network(curl, "named")
    fq_name = [*PROJECT, "named"]
    for type_ in ("virtual_network", "virtual-network"):
        found = curl.send("POST", "/fqname-to-id", {"type": type_, "fq_name": fq_name})
        assert found == {"uuid": uuid}
    told = curl.send("POST", "/id-to-fqname", {"uuid": uuid})
    assert told == {"type": "virtual-network", "fq_name": fq_name}


def test_a_body_without_a_content_type_is_taken_as_json(curl: Curl) -> None:
    body = json.dumps({"type": "project", "fq_name": PROJECT})
    assert json.loads(curl("/fqname-to-id", "-d", body))["uuid"]


def test_tungctl_builds_two_networks_with_a_policy_between_their_ports(curl: Curl) -> None:
    rule = {
        "direction": "<>",
        "protocol": "any",
        "action_list": {"simple_action": "pass"},
        "src_addresses": [{"virtual_network": "any"}],
        "dst_addresses": [{"virtual_network": "any"}],
        "src_ports": [{"start_port": -1, "end_port": -1}],
        "dst_ports": [{"start_port": -1, "end_port": -1}],
    }
    curl.create(
        "network-policy",
        fq_name=[*PROJECT, "left-right"],
        parent_type="project",
        network_policy_entries={"policy_rule": [rule]},
    )
    policy = {"attr": {}, "to": [*PROJECT, "left-right"]}
    left = network(curl, "left", "10.1.1.0", network_policy_refs=[policy])
    network(
        curl,
        "right",
        "10.1.2.0",
        route_target_list={"route_target": ["target:64512:101"]},
        router_external=True,
    )
    (ref,) = curl.show("virtual-network", left)["network_policy_refs"]
    assert (ref["to"], ref["attr"]) == ([*PROJECT, "left-right"], {})
    port = curl.create(
        "virtual-machine-interface",
        fq_name=[*PROJECT, "port"],
        parent_type="project",
        virtual_network_refs=[{"to": [*PROJECT, "left"]}],
    )
    curl.create("virtual-machine", fq_name=["machine"])
    curl.create(
        "instance-ip",
        fq_name=["port-address"],
        instance_ip_address="10.1.1.3",
        virtual_machine_interface_refs=[{"to": [*PROJECT, "port"]}],
        virtual_network_refs=[{"to": [*PROJECT, "left"]}],
    )
    whole = curl.get(f"/virtual-machine-interface/{port}")
    whole["virtual-machine-interface"]["virtual_machine_refs"] = [{"to": ["machine"]}]
    curl.send("PUT", f"/virtual-machine-interface/{port}", whole)
    after = curl.show("virtual-machine-interface", port)
    assert [one["to"] for one in after["virtual_machine_refs"]] == [["machine"]]
    assert [one["to"] for one in after["instance_ip_back_refs"]] == [["port-address"]]
    router = curl.create(
        "logical-router",
        fq_name=[*PROJECT, "router"],
        parent_type="project",
        virtual_machine_interface_refs=[{"to": [*PROJECT, network_port(curl, "right")]}],
    )
    assert len(curl.show("logical-router", router)["virtual_machine_interface_refs"]) == 1


def network_port(curl: Curl, name: str) -> str:
    """The name of a new port in a network."""
    port = f"{name}-router"
    curl.create(
        "virtual-machine-interface",
        fq_name=[*PROJECT, port],
        parent_type="project",
        virtual_network_refs=[{"to": [*PROJECT, name]}],
    )
    return port


def test_tungctl_puts_a_service_between_networks(curl: Curl) -> None:
    for name, prefix in (("in", "10.2.1.0"), ("out", "10.2.2.0")):
        network(curl, name, prefix)
    kinds = [{"service_interface_type": kind} for kind in ("left", "right")]
    properties = {
        "version": 2,
        "service_mode": "in-network",
        "service_type": "firewall",
        "service_virtualization_type": "virtual-machine",
        "interface_type": kinds,
    }
    curl.create(
        "service-template",
        fq_name=["default-domain", "firewall"],
        parent_type="domain",
        service_template_properties=properties,
    )
    sides = {"left": "in", "right": "out"}
    curl.create(
        "service-instance",
        fq_name=[*PROJECT, "service"],
        parent_type="project",
        service_template_refs=[{"to": ["default-domain", "firewall"]}],
        service_instance_properties={
            "left_virtual_network": "default-domain:default-project:in",
            "right_virtual_network": "default-domain:default-project:out",
            "interface_list": [
                {"virtual_network": f"default-domain:default-project:{name}"}
                for name in sides.values()
            ],
        },
    )
    tuple_name = [*PROJECT, "service", "tuple"]
    curl.create("port-tuple", fq_name=tuple_name, parent_type="service-instance")
    for side, name in sides.items():
        port = network_port(curl, name)
        asked = {"type": "virtual-machine-interface", "fq_name": [*PROJECT, port]}
        uuid = curl.send("POST", "/fqname-to-id", asked)["uuid"]
        whole = curl.get(f"/virtual-machine-interface/{uuid}")
        member = whole["virtual-machine-interface"]
        member["port_tuple_refs"] = [{"to": tuple_name}]
        member["virtual_machine_interface_properties"] = {"service_interface_type": side}
        curl.send("PUT", f"/virtual-machine-interface/{uuid}", whole)
    asked = {"type": "port-tuple", "fq_name": tuple_name}
    uuid = curl.send("POST", "/fqname-to-id", asked)["uuid"]
    members = curl.show("port-tuple", uuid)["virtual_machine_interface_back_refs"]
    assert sorted(one["to"][-1] for one in members) == ["in-router", "out-router"]


def test_tungctl_builds_a_load_balancer_and_a_bgp_router(curl: Curl) -> None:
    network(curl, "pool", "10.3.1.0")
    balancer = [*PROJECT, "balancer"]
    curl.create(
        "loadbalancer",
        fq_name=balancer,
        parent_type="project",
        loadbalancer_provider="opencontrail",
        loadbalancer_properties={"vip_address": "10.3.1.10", "admin_state": True},
        virtual_machine_interface_refs=[{"to": [*PROJECT, network_port(curl, "pool")]}],
    )
    curl.create(
        "loadbalancer-listener",
        fq_name=[*PROJECT, "listener"],
        parent_type="project",
        loadbalancer_refs=[{"to": balancer}],
        loadbalancer_listener_properties={"protocol": "TCP", "protocol_port": 80},
    )
    pool = [*PROJECT, "members"]
    curl.create(
        "loadbalancer-pool",
        fq_name=pool,
        parent_type="project",
        loadbalancer_listener_refs=[{"to": [*PROJECT, "listener"]}],
        loadbalancer_pool_properties={"protocol": "TCP", "loadbalancer_method": "ROUND_ROBIN"},
    )
    curl.create(
        "loadbalancer-member",
        fq_name=[*pool, "member"],
        parent_type="loadbalancer-pool",
        loadbalancer_member_properties={"address": "10.3.1.20", "protocol_port": 80, "weight": 1},
    )
    router = curl.create(
        "bgp-router",
        fq_name=[*PROJECT, "ip-fabric", "__default__", "gateway"],
        parent_type="routing-instance",
        bgp_router_parameters={
            "vendor": "mx",
            "router_type": "router",
            "address": "192.0.2.9",
            "identifier": "192.0.2.9",
            "autonomous_system": 64513,
            "address_families": {"family": ["inet-vpn"]},
        },
    )
    assert curl.show("bgp-router", router)["bgp_router_parameters"]["vendor"] == "mx"
