"""``tungsten schema``: the declarations, for people and as data."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tungsten.cli.app import app
from tungsten.model import RESOURCE_TYPES


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["schema", *words])
    assert result.exit_code == code, result.output
    return result.output


def data(*words: str) -> Any:
    return json.loads(run(*words, "--json"))


def named(told: list[dict[str, Any]], name: str, key: str = "name") -> dict[str, Any]:
    return next(one for one in told if one[key] == name)


def test_all_types_are_listed_by_area_with_their_meaning() -> None:
    lines = run().splitlines()
    listed = {line.split()[0] for line in lines if line.startswith("  ")}
    assert listed == set(RESOURCE_TYPES)
    firewall = lines.index(next(one for one in lines if one.startswith("Firewall policies")))
    assert lines[firewall + 1].split()[0] == "address-group"


def test_a_type_is_shown_with_what_it_says_and_what_refers_to_it() -> None:
    shown = run("vr")
    assert "PARENTS   global-system-config" in shown
    assert "string embedded|tor-agent|tor-service-node" in shown
    assert "network-ipam with VirtualRouterNetworkIpamType" in shown
    assert "The workloads on the host." in shown
    assert "virtual-machine-interface" in shown.partition("CHILDREN")[2]
    assert "instance_ip_back_refs" in shown
    assert "`tungsten schema TYPE` tells of AllocationPoolType, SubnetType" in shown


def test_a_complex_type_is_shown_with_its_limits() -> None:
    shown = run("FirewallRuleEndpointType")
    assert "list of integer 0..18446744073709551615" in shown


def test_a_word_that_is_no_type_is_refused_with_what_may_be_meant() -> None:
    assert "did you mean physical-router" in run("phisical-router", code=2)


def test_the_data_tell_everything_of_a_type() -> None:
    told = data("virtual-machine-interface")
    vmi = told["objects"]["virtual-machine-interface"]
    assert [one["type"] for one in vmi["parents"]] == [
        "virtual-machine",
        "project",
        "virtual-router",
    ]
    bindings = named(vmi["properties"], "virtual_machine_interface_bindings")
    assert (bindings["collection"], bindings["map_key"]) == ("map", "key")
    route = named(vmi["refs"], "routing_instance_refs", "field")
    assert route["attr"] == "PolicyBasedForwardingRuleType"
    assert route["presence"] == "system-only"
    assert "PolicyBasedForwardingRuleType" in told["types"]
    tag = named(told["types"]["BridgeDomainMembershipType"]["fields"], "vlan_tag")
    assert (tag["minimum"], tag["maximum"]) == (0, 4094)


def test_the_data_of_all_types_name_only_types_that_they_tell() -> None:
    told = data()
    assert told["objects"].keys() == RESOURCE_TYPES.keys()
    simple = {"string", "integer", "boolean"}
    for one in told["objects"].values():
        assert {each["type"] for each in one["properties"]} <= told["types"].keys() | simple
        assert {each["attr"] for each in one["refs"]} <= told["types"].keys() | {None}
        assert {each["type"] for each in one["refs"]} <= told["objects"].keys()
    for one in told["types"].values():
        assert {each["type"] for each in one["fields"]} <= told["types"].keys() | simple


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("virtual-network.mtu", ["virtual-network.mtu", "integer", "PRESENCE"]),
        ("vn.network_ipam_refs", ["network-ipam with VnSubnetsType", "FIELD OF EACH", "attr"]),
        ("virtual-network.network_ipam_refs.attr", ["VnSubnetsType", "ipam_subnets"]),
        ("vn.network_ipam_refs.attr.ipam_subnets.subnet.ip_prefix_len", ["integer"]),
        ("VnSubnetsType.ipam_subnets.subnet", ["SubnetType", "ip_prefix_len"]),
    ],
)
def test_a_path_is_explained(path: str, expected: list[str]) -> None:
    result = CliRunner().invoke(app, ["schema", path])
    assert result.exit_code == 0, result.output
    for word in expected:
        assert word in result.output


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("vn.mtu.nothing", "vn.mtu has no field 'nothing'"),
        ("vn.network_ipam_refs.nothing", "it has to, uuid, attr"),
        ("nothing.at.all", "'nothing' is not a type"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, expected: str) -> None:
    result = CliRunner().invoke(app, ["schema", path])
    assert result.exit_code == 2
    assert expected in result.output
