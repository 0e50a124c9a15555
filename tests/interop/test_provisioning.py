"""What provisioning scripts of upstream do through its client library, on a server just started.

A deployment tells the server of its control nodes, computes and other hosts, meshes the control
nodes, and sets what holds everywhere: AS number, encapsulations, link-local services. Scripts are
run again and again, so each step first tries to create, and updates when the object is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.system.api_process import ApiProcess
from vnc_api import exceptions, vnc_api
from vnc_api.gen import resource_xsd as xsd

FAMILIES = ["route-target", "inet-vpn", "e-vpn", "erm-vpn", "inet6-vpn"]
FABRIC = ["default-domain", "default-project", "ip-fabric"]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    process = ApiProcess(tmp_path_factory.mktemp("api"))
    process.start()
    try:
        yield vnc_api.VncApi(
            api_server_host="127.0.0.1", api_server_port=str(process.port), auth_type="noauth"
        )
    finally:
        process.stop()


@pytest.fixture(scope="module")
def system(api: Any) -> Any:
    """The object under which hosts hang."""
    return api.global_system_config_read(fq_name=["default-global-system-config"])


def router(api: Any, name: str, address: str, vendor: str, asn: int = 64512) -> Any:
    """A BGP router, created or updated."""
    control = vendor == "contrail"
    parameters = xsd.BgpRouterParams(
        vendor=vendor,
        router_type="control-node" if control else "router",
        autonomous_system=asn,
        identifier=address,
        address=address,
        port=179,
        address_families=xsd.AddressFamilies(FAMILIES if control else ["inet-vpn", "e-vpn"]),
    )
    parent = api.routing_instance_read(fq_name=[*FABRIC, "__default__"])
    made = vnc_api.BgpRouter(name, parent_obj=parent, bgp_router_parameters=parameters)
    try:
        api.bgp_router_create(made)
    except exceptions.RefsExistError:
        held = api.bgp_router_read(fq_name=made.fq_name)
        held.set_bgp_router_parameters(parameters)
        api.bgp_router_update(held)
    return api.bgp_router_read(fq_name=made.fq_name)


def peering() -> Any:
    session = xsd.BgpSessionAttributes(address_families=xsd.AddressFamilies(FAMILIES))
    return xsd.BgpPeeringAttributes(session=[xsd.BgpSession(attributes=[session])])


def mesh(api: Any, *routers: Any) -> None:
    """Make every router peer with every other, as far as they do not yet."""
    for one in routers:
        held = api.bgp_router_read(id=one.uuid)
        known = {ref["uuid"] for ref in held.get_bgp_router_refs() or []}
        for other in routers:
            if other.uuid not in {one.uuid, *known}:
                held.add_bgp_router(other, peering())
        api.bgp_router_update(held)


def test_control_nodes_and_gateways_peer_in_a_mesh(api: Any, system: Any) -> None:
    for _ in range(2):
        control = [router(api, f"control{n}", f"192.0.2.{n}", "contrail") for n in (1, 2)]
        gateway = router(api, "mx1", "192.0.2.100", "mx", asn=64513)
        mesh(api, *control, gateway)
    every = {one.uuid for one in (*control, gateway)}
    for one in (*control, gateway):
        refs = api.bgp_router_read(id=one.uuid).get_bgp_router_refs()
        assert {ref["uuid"] for ref in refs} == every - {one.uuid}
        families = refs[0]["attr"].session[0].attributes[0].address_families.family
        assert families == FAMILIES
    held = api.bgp_router_read(id=control[0].uuid).get_bgp_router_parameters()
    assert (held.vendor, held.router_type, held.port) == ("contrail", "control-node", 179)
    assert held.address_families.family == FAMILIES
    gone = api.bgp_router_read(id=gateway.uuid)
    gone.set_bgp_router_list([], [])
    api.bgp_router_update(gone)
    api.bgp_router_delete(id=gateway.uuid)
    refs = api.bgp_router_read(id=control[0].uuid).get_bgp_router_refs()
    assert [ref["uuid"] for ref in refs] == [control[1].uuid]


def test_a_compute_has_its_fabric_interface(api: Any, system: Any) -> None:
    fabric = api.virtual_network_read(fq_name=FABRIC)
    for _ in range(2):
        made = vnc_api.VirtualRouter("compute1", system, virtual_router_ip_address="192.0.2.11")
        try:
            api.virtual_router_create(made)
        except exceptions.RefsExistError:
            made = api.virtual_router_read(fq_name=made.fq_name)
            made.set_virtual_router_ip_address("192.0.2.11")
            made.set_virtual_router_dpdk_enabled(False)
            api.virtual_router_update(made)
        vhost = vnc_api.VirtualMachineInterface("vhost0", parent_obj=made)
        vhost.add_virtual_network(fabric)
        try:
            api.virtual_machine_interface_create(vhost)
        except exceptions.RefsExistError:
            vhost = api.virtual_machine_interface_read(fq_name=vhost.fq_name)
            api.virtual_machine_interface_update(vhost)
    fields = ["virtual_machine_interfaces", "virtual_router_ip_address"]
    held = api.virtual_router_read(fq_name=made.fq_name, fields=fields)
    assert held.get_virtual_router_ip_address() == "192.0.2.11"
    assert [one["uuid"] for one in held.get_virtual_machine_interfaces()] == [vhost.uuid]
    machine = vnc_api.VirtualMachine("machine1")
    api.virtual_machine_create(machine)
    held = api.virtual_router_read(fq_name=made.fq_name)
    held.add_virtual_machine(machine)
    api.virtual_router_update(held)
    (seen,) = api.virtual_machine_read(id=machine.uuid).get_virtual_router_back_refs()
    assert seen["uuid"] == made.uuid
    with pytest.raises(exceptions.RefsExistError):
        api.virtual_machine_delete(id=machine.uuid)
    held.del_virtual_machine(machine)
    api.virtual_router_update(held)
    api.virtual_machine_delete(id=machine.uuid)
    api.virtual_machine_interface_delete(id=vhost.uuid)
    api.virtual_router_delete(fq_name=made.fq_name)


@pytest.mark.parametrize(
    "kind", ["ConfigNode", "AnalyticsNode", "DatabaseNode", "ConfigDatabaseNode"]
)
def test_other_hosts_are_known_by_address(api: Any, system: Any, kind: str) -> None:
    cls = getattr(vnc_api, kind)
    name = cls.object_type
    made = cls("host1", system, **{f"{name}_ip_address": "192.0.2.21"})
    getattr(api, f"{name}_create")(made)
    held = getattr(api, f"{name}_read")(fq_name=["default-global-system-config", "host1"])
    assert getattr(held, f"get_{name}_ip_address")() == "192.0.2.21"
    with pytest.raises(exceptions.RefsExistError):
        getattr(api, f"{name}_create")(cls("host1", system))
    getattr(api, f"{name}_delete")(fq_name=made.fq_name)


def test_the_as_number_holds_everywhere(api: Any) -> None:
    system = api.global_system_config_read(fq_name=["default-global-system-config"])
    assert system.get_autonomous_system() == 64512
    system.set_autonomous_system(64600)
    system.set_ibgp_auto_mesh(True)
    times = xsd.GracefulRestartParametersType(
        enable=True, restart_time=60, long_lived_restart_time=300, bgp_helper_enable=True
    )
    system.set_graceful_restart_parameters(times)
    api.global_system_config_update(system)
    held = api.global_system_config_read(id=system.uuid)
    assert held.get_autonomous_system() == 64600
    assert held.get_ibgp_auto_mesh() is True
    assert held.get_graceful_restart_parameters().long_lived_restart_time == 300
    held.set_autonomous_system(5_000_000_000)
    with pytest.raises(exceptions.BadRequest):
        api.global_system_config_update(held)


def test_encapsulations_have_an_order(api: Any) -> None:
    fq_name = ["default-global-system-config", "default-global-vrouter-config"]
    config = api.global_vrouter_config_read(fq_name=fq_name)
    order = ["VXLAN", "MPLSoUDP", "MPLSoGRE"]
    config.set_encapsulation_priorities(xsd.EncapsulationPrioritiesType(encapsulation=order))
    config.set_vxlan_network_identifier_mode("automatic")
    config.set_forwarding_mode("l2_l3")
    api.global_vrouter_config_update(config)
    held = api.global_vrouter_config_read(fq_name=fq_name)
    assert held.get_encapsulation_priorities().encapsulation == order
    assert held.get_vxlan_network_identifier_mode() == "automatic"
    config.set_encapsulation_priorities(xsd.EncapsulationPrioritiesType(encapsulation=["carrots"]))
    with pytest.raises(exceptions.BadRequest, match="encapsulation"):
        api.global_vrouter_config_update(config)


def test_link_local_services_are_added_and_removed(api: Any) -> None:
    fq_name = ["default-global-system-config", "default-global-vrouter-config"]

    def services() -> list[Any]:
        held = api.global_vrouter_config_read(fq_name=fq_name).get_linklocal_services()
        return list(held.linklocal_service_entry or []) if held else []

    def write(entries: list[Any]) -> None:
        config = api.global_vrouter_config_read(fq_name=fq_name)
        config.set_linklocal_services(xsd.LinklocalServicesTypes(entries))
        api.global_vrouter_config_update(config)

    def entry(name: str, port: int) -> Any:
        return xsd.LinklocalServiceEntryType(
            linklocal_service_name=name,
            linklocal_service_ip="169.254.169.254",
            linklocal_service_port=port,
            ip_fabric_DNS_service_name="",
            ip_fabric_service_ip=["192.0.2.30"],
            ip_fabric_service_port=8775,
        )

    write([entry("metadata", 80)])
    write([*services(), entry("other", 81)])
    names = [one.linklocal_service_name for one in services()]
    assert names == ["metadata", "other"]
    assert services()[0].ip_fabric_service_ip == ["192.0.2.30"]
    write([one for one in services() if one.linklocal_service_name != "metadata"])
    assert [one.linklocal_service_name for one in services()] == ["other"]
