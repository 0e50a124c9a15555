"""``contrail-api-cli`` 0.4.0rc1 from PyPI, its files untouched, over a populated server.

It reads everything it knows from our answers: collections from the discovery document, links from
field names, what stands in the way of a deletion from the text of the refusal. ``pip`` installs
0.3.0 unless asked for this candidate; that one does not know the texts of current servers' 409.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.api_cli import Cli
from tests.system.api_process import ApiProcess
from vnc_api import vnc_api
from vnc_api.gen import resource_xsd as xsd

SCHEMA = ("--schema-version", "5.0")
"""Before the command: know links by upstream's schema, which ``ln`` insists on."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    process = ApiProcess(tmp_path_factory.mktemp("api"))
    process.start()
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="module")
def cli(server: ApiProcess, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    return Cli(server.port, tmp_path_factory.mktemp("home"))


@pytest.fixture
def api(server: ApiProcess) -> Any:
    return vnc_api.VncApi(
        api_server_host="127.0.0.1", api_server_port=str(server.port), auth_type="noauth"
    )


@pytest.fixture
def project(api: Any, request: pytest.FixtureRequest) -> Any:
    made = vnc_api.Project(request.node.name, parent_obj=vnc_api.Domain("default-domain"))
    api.project_create(made)
    return made


@pytest.fixture
def populated(api: Any, project: Any) -> Any:
    """A network with a port that has an address, a security group and an annotation."""
    ipam = api.network_ipam_read(["default-domain", "default-project", "default-network-ipam"])
    network = vnc_api.VirtualNetwork("vn1", parent_obj=project)
    subnet = xsd.IpamSubnetType(subnet=xsd.SubnetType("10.0.1.0", 24))
    network.add_network_ipam(ipam, xsd.VnSubnetsType([subnet]))
    api.virtual_network_create(network)
    group = vnc_api.SecurityGroup("sg1", parent_obj=project)
    api.security_group_create(group)
    port = vnc_api.VirtualMachineInterface("port1", parent_obj=project)
    port.add_virtual_network(network)
    port.add_security_group(group)
    port.set_annotations(xsd.KeyValuePairs([xsd.KeyValuePair("owner", "üñí")]))
    api.virtual_machine_interface_create(port)
    address = vnc_api.InstanceIp(f"{project.name}-address")
    address.add_virtual_network(network)
    address.add_virtual_machine_interface(port)
    api.instance_ip_create(address)
    return api.virtual_machine_interface_read(id=port.uuid)


def named(project: Any, *names: str) -> str:
    return ":".join(["default-domain", project.name, *names])


def editor(directory: Path, change: str) -> Path:
    """A program that changes a JSON file in place by a statement over ``it``."""
    program = directory / "editor"
    program.write_text(
        "#!/usr/bin/env python3\nimport json, sys\n"
        "with open(sys.argv[1]) as file:\n    it = json.load(file)\n"
        f"{change}\n"
        "with open(sys.argv[1], 'w') as file:\n    json.dump(it, file)\n"
    )
    program.chmod(0o755)
    return program


def test_ls_shows_collections_objects_and_columns(cli: Cli, project: Any, populated: Any) -> None:
    collections = cli("ls").lines
    assert {"virtual-network", "virtual-DNS", "bgp-router", "firewall-rule"} <= set(collections)
    assert len(collections) == len(set(collections)) > 100
    vn = populated.get_virtual_network_refs()[0]["uuid"]
    assert f"virtual-network/{vn}" in cli("ls", "virtual-network").lines
    long = cli("ls", "-l", "-P", project.uuid, "virtual-network").words
    assert long == [[f"virtual-network/{vn}", named(project, "vn1")]]
    column = cli("ls", "-l", "-c", "instance_ip_address", "-c", "fq_name", "instance-ip").words
    assert ["10.0.1.252", f"{project.name}-address"] in [row[1:] for row in column]
    found = cli("ls", "-l", "-f", "display_name=port1", "virtual-machine-interface").words
    assert named(project, "port1") in [row[1] for row in found]
    assert cli("ls", "-f", "display_name=nobody", "virtual-machine-interface").out.strip() == ""
    boolean = cli("ls", "-l", "-c", "disable_policy", f"virtual-machine-interface/{populated.uuid}")
    assert boolean.words[0][0] == f"virtual-machine-interface/{populated.uuid}"


def test_ls_and_du_expand_names_and_wildcards(cli: Cli, project: Any, populated: Any) -> None:
    everything = {row[0].split("/")[0] for row in cli("ls", "-l", "*").words}
    assert {"project", "virtual-network", "instance-ip", "security-group"} <= everything
    starred = cli("ls", "-l", f"virtual-network/{named(project)}:*").words
    assert [row[1] for row in starred] == [named(project, "vn1")]
    by_name = cli("ls", f"virtual-machine-interface/{named(project, 'port1')}").lines
    assert by_name == [f"virtual-machine-interface/{populated.uuid}"]
    count = int(cli("du", "virtual-network").out)
    assert count == len(cli("ls", "virtual-network").lines)
    unknown = cli.run("ls", "virtual-network/default-domain:nowhere:nothing")
    assert unknown.status == 1
    assert "not found" in unknown.err
    other_type = cli.run("cat", f"virtual-network/{populated.uuid}")
    assert other_type.status == 1
    assert "not found" in other_type.err


def test_cat_shows_an_object_whole(cli: Cli, project: Any, populated: Any) -> None:
    port = cli.cat(f"virtual-machine-interface/{populated.uuid}")
    assert port["fq_name"] == ["default-domain", project.name, "port1"]
    assert port["annotations"]["key_value_pair"] == [{"key": "owner", "value": "üñí"}]
    assert port["virtual_network_refs"][0]["to"][-1] == "vn1"
    assert [ref["uuid"] for ref in port["instance_ip_back_refs"]]
    assert port["id_perms"]["enable"] is True
    network = cli.cat(f"virtual-network/{named(project, 'vn1')}")
    (subnet,) = network["network_ipam_refs"][0]["attr"]["ipam_subnets"]
    assert subnet["default_gateway"] == "10.0.1.254"


def test_cat_takes_every_object_of_the_server(cli: Cli, populated: Any, tmp_path: Path) -> None:
    paths = cli("ls", "*").lines
    assert f"virtual-machine-interface/{populated.uuid}" in paths
    shown = cli("cat", *paths).out
    decoder, at, count = json.JSONDecoder(), 0, 0
    while at < len(shown.rstrip()):
        one, at = decoder.raw_decode(shown, at)
        assert one["fq_name"]
        at += len(shown[at:]) - len(shown[at:].lstrip())
        count += 1
    assert count == len(paths)


@pytest.mark.parametrize("schema", [(), SCHEMA], ids=["by field names", "by schema"])
def test_tree_follows_children_and_references(
    cli: Cli, project: Any, populated: Any, schema: tuple[str, ...]
) -> None:
    down = cli(*schema, "tree", f"project/{project.uuid}").out
    names = ("vn1", "sg1", "port1")
    assert all(named(project, name) in down for name in names)
    assert f"{project.name}-address" in down
    assert "├── " in down
    up = cli(*schema, "tree", "-r", f"virtual-machine-interface/{populated.uuid}").out
    assert named(project, "vn1") in up
    assert named(project, "sg1") in up
    assert up.rstrip().splitlines()[-1].split()[-1] == "default-domain"


def test_edit_changes_an_object(cli: Cli, project: Any, populated: Any, tmp_path: Path) -> None:
    path = f"virtual-network/{named(project, 'vn1')}"
    change = "it['flood_unknown_unicast'] = True\nit['display_name'] = 'renamed'"
    cli("edit", path, editor=editor(tmp_path, change))
    after = cli.cat(path)
    assert after["flood_unknown_unicast"] is True
    assert after["display_name"] == "renamed"
    assert after["network_ipam_refs"]
    untouched = tmp_path / "untouched"
    untouched.symlink_to("/bin/true")
    assert "No modification" in cli("edit", path, editor=untouched).out
    wrong = cli.run("edit", path, editor=editor(tmp_path, "it['mac_learning_enabled'] = 'maybe'"))
    assert wrong.status == 1
    assert "mac_learning_enabled" in wrong.err
    assert "(HTTP 400)" in wrong.err
    assert cli.cat(path) == after


def test_edit_makes_an_object_from_another(
    cli: Cli, project: Any, populated: Any, tmp_path: Path
) -> None:
    change = "it['fq_name'][-1] = it['display_name'] = it['name'] = 'sg2'"
    path = f"security-group/{named(project, 'sg1')}"
    with_id = cli.run("edit", "-t", path, editor=editor(tmp_path, change))
    assert with_id.err.strip() == "Cannot set the security group ID (HTTP 403)"
    change += "\ndel it['security_group_id']"
    cli("edit", "-t", path, editor=editor(tmp_path, change))
    first, second = cli.cat(path), cli.cat(f"security-group/{named(project, 'sg2')}")
    assert first["uuid"] != second["uuid"]
    assert first["security_group_id"] != second["security_group_id"]
    assert first["parent_uuid"] == second["parent_uuid"] == project.uuid
    again = cli.run("edit", "-t", path, editor=editor(tmp_path, change))
    assert again.status == 1
    assert "(HTTP 409)" in again.err


def test_rm_says_what_is_in_the_way_and_removes_all_of_it(
    cli: Cli, project: Any, populated: Any
) -> None:
    network = populated.get_virtual_network_refs()[0]["uuid"]
    refused = cli.run("rm", "-f", f"virtual-network/{network}")
    assert refused.status == 1
    assert "Back references from " in refused.err
    assert f"/virtual-machine-interface/{populated.uuid}" in refused.err
    children = cli.run("rm", "-f", f"project/{project.uuid}")
    assert children.status == 1
    assert "Children " in children.err
    assert "/virtual-network/" in children.err or "/virtual-machine-interface/" in children.err
    done = cli("rm", "-r", "-f", f"virtual-network/{network}").lines
    assert f"Deleting virtual-network/{network}" in done
    assert f"Deleting virtual-machine-interface/{populated.uuid}" in done
    assert cli.run("cat", f"virtual-network/{network}").status == 1
    cli("rm", "-f", f"security-group/{named(project, 'sg1')}")
    cli("rm", "-f", f"project/{project.uuid}")
    assert named(project) not in [row[1] for row in cli("ls", "-l", "project").words]


def test_ln_adds_and_removes_a_reference_from_either_end(
    cli: Cli, api: Any, project: Any, populated: Any
) -> None:
    group = vnc_api.SecurityGroup("sg2", parent_obj=project)
    api.security_group_create(group)
    port, other = f"virtual-machine-interface/{populated.uuid}", f"security-group/{group.uuid}"

    def groups() -> list[str]:
        read = api.virtual_machine_interface_read(id=populated.uuid)
        return sorted(ref["to"][-1] for ref in read.get_security_group_refs() or [])

    cli(*SCHEMA, "ln", port, other)
    assert groups() == ["sg1", "sg2"]
    cli(*SCHEMA, "ln", "-r", port, other)
    assert groups() == ["sg1"]
    cli(*SCHEMA, "ln", other, port)
    assert groups() == ["sg1", "sg2"]
    cli(*SCHEMA, "ln", "-r", other, port)
    assert groups() == ["sg1"]
    unlike = cli.run(*SCHEMA, "ln", other, "global-system-config/default-global-system-config")
    assert unlike.status == 1
    assert "Can't link" in unlike.err


def test_kv_keeps_texts(cli: Cli) -> None:
    cli("kv", "-a", "subnet-1", "10.0.0.0/24")
    cli("kv", "-a", "subnet-2", "naïve, 'quoted'")
    assert json.loads(cli("kv", "-g", "subnet-1").out) == [
        {"key": "subnet-1", "value": "10.0.0.0/24"}
    ]
    kept = json.loads(cli("kv", "-l").out)
    assert {"key": "subnet-2", "value": "naïve, 'quoted'"} in kept
    cli("kv", "-D", "subnet-1")
    gone = cli.run("kv", "-g", "subnet-1")
    assert gone.status == 1
    assert gone.err.strip() == "Unknown User-Agent key subnet-1 (HTTP 404)"


def test_relative_walks_from_object_to_object(cli: Cli, project: Any, populated: Any) -> None:
    walked = cli(
        *SCHEMA,
        "relative",
        f"virtual-network/{named(project, 'vn1')}",
        "virtual-machine-interface/security-group",
    )
    assert walked.out.strip() == f"security-group/{populated.get_security_group_refs()[0]['uuid']}"
