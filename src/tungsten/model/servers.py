"""Servers beside a fabric: bare metal, hypervisors, and their ports."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.fields import Complex, To
from tungsten.model.scalars import NodeType


class BindingType(Complex):
    """A binding; it says nothing."""


class DpdkInfo(Complex):
    """How DPDK runs on a server."""

    cpu_core_mask: str | None = None
    dpdk_uio_driver: str | None = None
    huge_pages: int | None = None


class SriovInfo(Complex):
    """Virtual functions of an interface of a server."""

    sriov_physical_interface: str | None = None
    sriov_vf: int | None = None
    sriov_physical_net: str | None = None


class ESXIHostInfo(Complex):
    """How a hypervisor is found in vCenter."""

    username: str | None = None
    datacenter: str | None = None
    esxi_name: str | None = None
    cluster: str | None = None
    mac: str | None = None
    datastore: str | None = None
    password: str | None = None
    vcenter_server: str | None = None


class BaremetalProperties(Complex):
    """What a bare metal server has."""

    memory_mb: int | None = None
    cpu_arch: str | None = None
    local_gb: int | None = None
    cpus: int | None = None
    capabilities: str | None = None


class DriverInfo(Complex):
    """How a bare metal server is managed and deployed."""

    ipmi_address: str | None = None
    deploy_ramdisk: str | None = None
    ipmi_password: str | None = None
    ipmi_port: str | None = None
    ipmi_username: str | None = None
    deploy_kernel: str | None = None


class BaremetalServerInfo(Complex):
    """How a bare metal server is driven."""

    network_interface: str | None = None
    driver: str | None = None
    properties: BaremetalProperties | None = None
    driver_info: DriverInfo | None = None
    name: str | None = None


class CloudInstanceInfo(Complex):
    """What an instance in a cloud is."""

    os_version: str | None = None
    operating_system: str | None = None
    roles: list[str] | None = None
    availability_zone: str | None = None
    instance_type: str | None = None
    machine_id: str | None = None
    volume_size: int | None = None


class Node(Resource, type="node", parents=("global-system-config",)):
    """A server: bare metal, hypervisor or cloud instance."""

    node_type: NodeType | None = None
    esxi_info: ESXIHostInfo | None = None
    ip_address: str | None = None
    hostname: str | None = None
    bms_info: BaremetalServerInfo | None = None
    mac_address: str | None = None
    disk_partition: str | None = None
    interface_name: str | None = None
    cloud_info: CloudInstanceInfo | None = None
    node_profile_refs: Annotated[list[Ref[None]], To("node-profile")] = []


class LocalLinkConnection(Complex):
    """The switch and port that a port is plugged in to."""

    switch_info: str | None = None
    port_index: str | None = None
    port_id: str | None = None
    switch_id: str | None = None


class BaremetalPortInfo(Complex):
    """A port of a bare metal server, and where it is plugged in."""

    pxe_enabled: bool | None = None
    local_link_connection: LocalLinkConnection | None = None
    node_uuid: str | None = None
    address: str | None = None


class ESXIProperties(Complex):
    """The distributed switch that a port is on."""

    dvs_name: str | None = None
    dvs_id: str | None = None


class Port(Resource, type="port", parents=("node",)):
    """A port of a server."""

    port_group_uuid: str | None = None
    bms_port_info: BaremetalPortInfo | None = None
    esxi_port_info: ESXIProperties | None = None
    label: str | None = None


class PortGroupProperties(Complex):
    """How ports act as one."""

    miimon: int | None = None
    xmit_hash_policy: str | None = None


class BaremetalPortGroupInfo(Complex):
    """Ports of a bare metal server that act as one."""

    standalone_ports_supported: bool | None = None
    node_uuid: str | None = None
    properties: PortGroupProperties | None = None
    address: str | None = None
    mode: str | None = None


class PortGroup(Resource, type="port-group", parents=("node",)):
    """Ports of a server that act as one."""

    bms_port_group_info: BaremetalPortGroupInfo | None = None
    port_refs: Annotated[list[Ref[None]], To("port")] = []
