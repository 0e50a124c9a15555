"""Upstream's own client library, unmodified, against our server.

``contrail-api-client`` (with ``future``, ``six`` and ``requests``, which it needs and does not
name) is what provisioning scripts and orchestrator plug-ins use. It finds types and actions in
the discovery document, sends explicit nulls, and builds its objects from our answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.api_process import ApiProcess
from vnc_api import exceptions, vnc_api
from vnc_api.gen import resource_xsd as xsd


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The library, connected to a server of its own."""
    directory: Path = tmp_path_factory.mktemp("api")
    process = ApiProcess(directory)
    process.start()
    try:
        yield vnc_api.VncApi(
            api_server_host="127.0.0.1", api_server_port=str(process.port), auth_type="noauth"
        )
    finally:
        process.stop()


@pytest.fixture
def project(api: Any, request: pytest.FixtureRequest) -> Any:
    made = vnc_api.Project(request.node.name, parent_obj=vnc_api.Domain("default-domain"))
    api.project_create(made)
    return made


def network(api: Any, project: Any, name: str = "vn1") -> Any:
    fq_name = ["default-domain", "default-project", "default-network-ipam"]
    ipam = api.network_ipam_read(fq_name=fq_name)
    made = vnc_api.VirtualNetwork(name, parent_obj=project)
    subnet = xsd.IpamSubnetType(subnet=xsd.SubnetType("10.0.1.0", 24))
    made.add_network_ipam(ipam, xsd.VnSubnetsType([subnet]))
    api.virtual_network_create(made)
    return api.virtual_network_read(id=made.uuid)


def test_a_port_with_an_address(api: Any, project: Any) -> None:
    vn = network(api, project)
    assert vn.network_ipam_refs[0]["attr"].ipam_subnets[0].default_gateway == "10.0.1.254"
    port = vnc_api.VirtualMachineInterface("port1", parent_obj=project)
    port.add_virtual_network(vn)
    port.add_annotations(xsd.KeyValuePair("a", "b"))
    bindings = xsd.KeyValuePairs([xsd.KeyValuePair("host_id", "compute1")])
    port.set_virtual_machine_interface_bindings(bindings)
    api.virtual_machine_interface_create(port)
    port = api.virtual_machine_interface_read(id=port.uuid)
    assert port.get_annotations().key_value_pair[0].value == "b"
    assert len(port.virtual_machine_interface_mac_addresses.mac_address) == 1
    address = vnc_api.InstanceIp(f"ip-{project.uuid}")
    address.add_virtual_network(vn)
    address.add_virtual_machine_interface(port)
    api.instance_ip_create(address)
    assert api.instance_ip_read(id=address.uuid).instance_ip_address == "10.0.1.252"
    fields = ["virtual_machine_interface_back_refs", "instance_ip_back_refs"]
    seen = api.virtual_network_read(id=vn.uuid, fields=fields)
    assert len(seen.get_virtual_machine_interface_back_refs()) == 1
    with pytest.raises(exceptions.RefsExistError):
        api.virtual_network_delete(id=vn.uuid)
    api.instance_ip_delete(id=address.uuid)
    api.virtual_machine_interface_delete(id=port.uuid)
    api.virtual_network_delete(id=vn.uuid)
    with pytest.raises(exceptions.NoIdError):
        api.virtual_network_read(id=vn.uuid)


def test_references_change_one_by_one(api: Any, project: Any) -> None:
    vn = network(api, project)
    port = vnc_api.VirtualMachineInterface("port1", parent_obj=project)
    port.add_virtual_network(vn)
    api.virtual_machine_interface_create(port)
    for name in ("sg1", "sg2"):
        group = vnc_api.SecurityGroup(name, parent_obj=project)
        api.security_group_create(group)
        port.add_security_group(group)
        api.virtual_machine_interface_update(port)
    held = api.virtual_machine_interface_read(id=port.uuid).get_security_group_refs()
    assert [ref["to"][-1] for ref in held] == ["sg1", "sg2"]
    port.del_security_group(group)
    api.virtual_machine_interface_update(port)
    held = api.virtual_machine_interface_read(id=port.uuid).get_security_group_refs()
    assert [ref["to"][-1] for ref in held] == ["sg1"]


def test_lists_names_and_tags(api: Any, project: Any) -> None:
    vn = network(api, project)
    listed = api.virtual_networks_list(parent_id=project.uuid)["virtual-networks"]
    assert [one["uuid"] for one in listed] == [vn.uuid]
    (detail,) = api.virtual_networks_list(parent_id=project.uuid, detail=True)
    assert detail.get_virtual_network_network_id() == vn.get_virtual_network_network_id()
    bulk = api.virtual_networks_list(obj_uuids=[vn.uuid] * 30)["virtual-networks"]
    assert len(bulk) == 1
    assert api.fq_name_to_id("virtual-network", vn.fq_name) == vn.uuid
    assert api.id_to_fq_name(vn.uuid) == vn.fq_name
    tag = vnc_api.Tag(tag_type_name="tier", tag_value="web")
    api.tag_create(tag)
    api.set_tag(vn, "tier", "web", is_global=True)
    assert [ref["to"] for ref in api.virtual_network_read(id=vn.uuid).get_tag_refs()] == [
        ["tier=web"]
    ]
    api.unset_tag(vn, "tier")
    assert not api.virtual_network_read(id=vn.uuid).get_tag_refs()
    with pytest.raises(exceptions.RefsExistError):
        api.virtual_network_create(vnc_api.VirtualNetwork("vn1", parent_obj=project))


def test_bgp_peering_shows_at_both_ends(api: Any) -> None:
    fq_name = ["default-domain", "default-project", "ip-fabric", "__default__"]
    parent = api.routing_instance_read(fq_name=fq_name)
    made: list[Any] = []
    for number, vendor in enumerate(("mx", "contrail"), 1):
        parameters = xsd.BgpRouterParams(
            vendor=vendor, autonomous_system=64512, identifier=f"192.0.2.{number}", port=179
        )
        router = vnc_api.BgpRouter(vendor, parent_obj=parent, bgp_router_parameters=parameters)
        for other in made:
            router.add_bgp_router(other, xsd.BgpPeeringAttributes())
        api.bgp_router_create(router)
        made.append(router)
    for one, other in (made, made[::-1]):
        refs = api.bgp_router_read(id=one.uuid).get_bgp_router_refs()
        assert [ref["uuid"] for ref in refs] == [other.uuid]
