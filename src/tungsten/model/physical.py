"""Physical routers and switches with their interfaces."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import MacAddressesType
from tungsten.model.base import Ref, Resource
from tungsten.model.common import UserCredentials
from tungsten.model.fabric import AutonomousSystemsType
from tungsten.model.fields import Complex, Default, ListOf, Required, To
from tungsten.model.roles import RoutingBridgingRolesType
from tungsten.model.scalars import (
    CommitStateType,
    CredentialEncryptionType,
    IpAddress,
    LogicalInterfaceType,
    ManagedStateType,
    OnboardingStateType,
    PhysicalInterfaceType,
    PhysicalRouterRole,
    PortMtu,
)


class PortParameters(Complex):
    """Settings of a port."""

    port_disable: Annotated[bool | None, Default(False)] = None
    port_mtu: PortMtu | None = None
    port_description: str | None = None


class TelemetryResourceInfo(Complex):
    """Something that a device reports, and how often."""

    name: str | None = None
    path: str | None = None
    rate: str | None = None


class TelemetryStateInfo(Complex):
    """Where a device reports to, and what."""

    resource: list[TelemetryResourceInfo] | None = None
    server_ip: str | None = None
    server_port: int | None = None


class JunosServicePorts(Complex):
    """Service ports of a device."""

    service_port: list[str] | None = None


class SNMPCredentials(Complex):
    """How a device is asked by SNMP."""

    version: Annotated[int | None, Default(2)] = None
    local_port: int | None = None
    retries: int | None = None
    timeout: int | None = None
    v2_community: str | None = None
    v3_security_name: str | None = None
    v3_security_level: str | None = None
    v3_security_engine_id: str | None = None
    v3_context: str | None = None
    v3_context_engine_id: str | None = None
    v3_authentication_protocol: str | None = None
    v3_authentication_password: str | None = None
    v3_privacy_protocol: str | None = None
    v3_privacy_password: str | None = None
    v3_engine_id: str | None = None
    v3_engine_boots: int | None = None
    v3_engine_time: int | None = None


class DnsmasqLeaseParameters(Complex):
    """The DHCP lease that a device got while it was discovered."""

    lease_expiry_time: int | None = None
    client_id: str | None = None


class PhysicalRouter(Resource, type="physical-router", parents=("global-system-config",)):
    """A router or switch."""

    telemetry_info: TelemetryStateInfo | None = None
    physical_router_junos_service_ports: JunosServicePorts | None = None
    physical_router_device_family: Annotated[str | None, Required] = None
    physical_router_os_version: str | None = None
    physical_router_hostname: str | None = None
    physical_router_management_ip: Annotated[IpAddress | None, Required] = None
    physical_router_management_mac: str | None = None
    physical_router_dataplane_ip: IpAddress | None = None
    physical_router_loopback_ip: IpAddress | None = None
    physical_router_replicator_loopback_ip: IpAddress | None = None
    physical_router_vendor_name: Annotated[str | None, Required] = None
    physical_router_product_name: Annotated[str | None, Required] = None
    physical_router_serial_number: str | None = None
    #: The system configures the device.
    physical_router_vnc_managed: bool | None = None
    #: The system configures the fabric below, too.
    physical_router_underlay_managed: Annotated[bool | None, Default(False)] = None
    physical_router_role: PhysicalRouterRole | None = None
    routing_bridging_roles: RoutingBridgingRolesType | None = None
    physical_router_snmp: bool | None = None
    physical_router_lldp: bool | None = None
    physical_router_user_credentials: UserCredentials | None = None
    #: How ``physical_router_user_credentials`` are kept.
    physical_router_encryption_type: CredentialEncryptionType | None = None
    physical_router_snmp_credentials: SNMPCredentials | None = None
    physical_router_dhcp_parameters: DnsmasqLeaseParameters | None = None
    physical_router_cli_commit_state: Annotated[CommitStateType | None, Default("in_sync")] = None
    physical_router_managed_state: Annotated[ManagedStateType | None, Default("active")] = None
    physical_router_onboarding_state: OnboardingStateType | None = None
    physical_router_underlay_config: str | None = None
    physical_router_supplemental_config: str | None = None
    physical_router_autonomous_system: AutonomousSystemsType | None = None
    virtual_router_refs: Annotated[list[Ref[None]], To("virtual-router")] = []
    bgp_router_refs: Annotated[list[Ref[None]], To("bgp-router")] = []
    virtual_network_refs: Annotated[list[Ref[None]], To("virtual-network")] = []
    intent_map_refs: Annotated[list[Ref[None]], To("intent-map")] = []
    fabric_refs: Annotated[list[Ref[None]], To("fabric")] = []
    node_profile_refs: Annotated[list[Ref[None]], To("node-profile")] = []
    device_functional_group_refs: Annotated[list[Ref[None]], To("device-functional-group")] = []
    device_chassis_refs: Annotated[list[Ref[None]], To("device-chassis")] = []
    device_image_refs: Annotated[list[Ref[None]], To("device-image")] = []
    physical_role_refs: Annotated[list[Ref[None]], To("physical-role")] = []
    overlay_role_refs: Annotated[list[Ref[None]], To("overlay-role")] = []
    telemetry_profile_refs: Annotated[list[Ref[None]], To("telemetry-profile")] = []


class PhysicalInterface(Resource, type="physical-interface", parents=("physical-router",)):
    """An interface of a router or switch."""

    #: Ten bytes in hexadecimal: interfaces with the same lead to one device.
    ethernet_segment_identifier: str | None = None
    physical_interface_type: PhysicalInterfaceType | None = None
    physical_interface_mac_addresses: MacAddressesType | None = None
    physical_interface_port_id: str | None = None
    physical_interface_flow_control: Annotated[bool | None, Default(False)] = None
    physical_interface_lacp_force_up: Annotated[bool | None, Default(False)] = None
    physical_interface_port_params: PortParameters | None = None
    #: The interface at the other end of the cable.
    physical_interface_refs: Annotated[
        list[Ref[None]], To("physical-interface", link="physical-interface-connection")
    ] = []
    port_refs: Annotated[list[Ref[None]], To("port")] = []


class LogicalInterface(
    Resource, type="logical-interface", parents=("physical-router", "physical-interface")
):
    """A VLAN of a physical interface."""

    logical_interface_vlan_tag: int | None = None
    logical_interface_port_params: PortParameters | None = None
    logical_interface_type: LogicalInterfaceType | None = None
    virtual_machine_interface_refs: Annotated[list[Ref[None]], To("virtual-machine-interface")] = []


class LinkAggregationGroup(Resource, type="link-aggregation-group", parents=("physical-router",)):
    """Interfaces of a device that act as one."""

    link_aggregation_group_lacp_enabled: Annotated[bool | None, Required] = None
    physical_interface_refs: Annotated[list[Ref[None]], To("physical-interface")] = []
    virtual_machine_interface_refs: Annotated[list[Ref[None]], To("virtual-machine-interface")] = []


class CliDiffInfoType(Complex):
    """Who changed what, and when."""

    username: str | None = None
    time: str | None = None
    config_changes: str | None = None


class CliDiffListType(Complex):
    """Changes made by hand."""

    commit_diff_info: list[CliDiffInfoType] | None = None


class CliConfig(Resource, type="cli-config", parents=("physical-router",)):
    """What people changed in a device by hand."""

    accepted_cli_config: str | None = None
    commit_diff_list: Annotated[CliDiffListType | None, ListOf("commit_diff_info")] = None


class HardwareInventory(Resource, type="hardware-inventory", parents=("physical-router",)):
    """The parts that a device reports to have."""

    hardware_inventory_inventory_info: str | None = None
