"""Fabrics: the physical networks below the virtual ones, and what is shared by their devices."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import MacAddressesType, SubnetListType
from tungsten.model.base import Ref, Resource
from tungsten.model.bgp import AddressFamilies
from tungsten.model.common import UserCredentials
from tungsten.model.fields import Complex, Default, ListOf, Required, To
from tungsten.model.roles import RoutingBridgingRolesType
from tungsten.model.routes import RouteTargetList
from tungsten.model.scalars import (
    AutonomousSystemType,
    BgpHoldTime,
    DataCenterInterconnectModes,
    DataCenterInterConnectType,
    FabricNetworkType,
    IntentType,
    NamespaceType,
    VpgType,
)
from tungsten.model.system import AsnRangeType


class IntentMap(Resource, type="intent-map", parents=("global-system-config",)):
    """What a fabric is meant to do beside forwarding."""

    intent_map_intent_type: IntentType | None = None


class DeviceCredential(Complex):
    """Credentials for the devices of a vendor and family."""

    credential: UserCredentials | None = None
    vendor: str | None = None
    device_family: str | None = None


class DeviceCredentialList(Complex):
    """Credentials of devices."""

    device_credential: list[DeviceCredential] | None = None


class FabricNetworkTag(Complex):
    """What a network is used for in a fabric."""

    network_type: FabricNetworkType | None = None


class SerialNumListType(Complex):
    """Serial numbers."""

    serial_num: list[str] | None = None


class Fabric(Resource, type="fabric", parents=("global-system-config",)):
    """The devices of one physical network and how they are managed."""

    #: Devices are found and set up without a person.
    fabric_ztp: bool | None = None
    fabric_os_version: str | None = None
    fabric_credentials: Annotated[DeviceCredentialList | None, ListOf("device_credential")] = None
    #: A VLAN means the same network on every port of a device.
    fabric_enterprise_style: Annotated[bool | None, Default(True)] = None
    #: One network may have several VLANs on a device.
    disable_vlan_vn_uniqueness_check: Annotated[bool | None, Default(False)] = None
    intent_map_refs: Annotated[list[Ref[None]], To("intent-map")] = []
    virtual_network_refs: Annotated[list[Ref[FabricNetworkTag]], To("virtual-network")] = []
    node_profile_refs: Annotated[list[Ref[SerialNumListType]], To("node-profile")] = []


class AutonomousSystemsType(Complex):
    """AS numbers."""

    asn: list[AutonomousSystemType] | None = None


class NamespaceValue(Complex):
    """What a namespace consists of: one of these."""

    ipv4_cidr: SubnetListType | None = None
    asn: AutonomousSystemsType | None = None
    mac_addr: MacAddressesType | None = None
    asn_ranges: list[AsnRangeType] | None = None
    serial_nums: list[str] | None = None


class FabricNamespace(Resource, type="fabric-namespace", parents=("fabric",)):
    """Numbers and addresses that the devices of a fabric get theirs from."""

    fabric_namespace_type: NamespaceType | None = None
    fabric_namespace_value: NamespaceValue | None = None


class DeviceFunctionalGroup(Resource, type="device-functional-group", parents=("project",)):
    """Devices that have the same roles and software."""

    device_functional_group_description: str | None = None
    device_functional_group_os_version: str | None = None
    device_functional_group_routing_bridging_roles: RoutingBridgingRolesType | None = None
    physical_role_refs: Annotated[list[Ref[None]], To("physical-role")] = []


class VpgInterfaceParametersType(Complex):
    """The number of the aggregate that an interface is in."""

    ae_num: int | None = None


class VirtualPortGroup(Resource, type="virtual-port-group", parents=("fabric", "project")):
    """Ports of switches that lead to one server."""

    virtual_port_group_lacp_enabled: Annotated[bool | None, Required] = None
    #: The interface whose VLANs are those of the group.
    virtual_port_group_trunk_port_id: Annotated[str | None, Required] = None
    virtual_port_group_user_created: Annotated[bool | None, Default(True)] = None
    virtual_port_group_type: Annotated[VpgType | None, Default("access")] = None
    physical_interface_refs: Annotated[
        list[Ref[VpgInterfaceParametersType]], To("physical-interface")
    ] = []
    virtual_machine_interface_refs: Annotated[list[Ref[None]], To("virtual-machine-interface")] = []
    security_group_refs: Annotated[list[Ref[None]], To("security-group")] = []
    port_profile_refs: Annotated[list[Ref[None]], To("port-profile")] = []


class LogicalRouterPRListParams(Complex):
    """A logical router and the physical routers it is on."""

    logical_router_uuid: str | None = None
    physical_router_uuid_list: list[str] | None = None


class LogicalRouterPRListType(Complex):
    """Logical routers and where they are."""

    logical_router_list: list[LogicalRouterPRListParams] | None = None


class DataCenterInterconnect(
    Resource, type="data-center-interconnect", parents=("global-system-config",)
):
    """Networks or routers that fabrics share."""

    data_center_interconnect_bgp_hold_time: BgpHoldTime | None = None
    data_center_interconnect_mode: DataCenterInterconnectModes | None = None
    data_center_interconnect_bgp_address_families: AddressFamilies | None = None
    data_center_interconnect_configured_route_target_list: RouteTargetList | None = None
    data_center_interconnect_type: DataCenterInterConnectType | None = None
    destination_physical_router_list: LogicalRouterPRListType | None = None
    logical_router_refs: Annotated[list[Ref[None]], To("logical-router")] = []
    virtual_network_refs: Annotated[list[Ref[None]], To("virtual-network")] = []
    routing_policy_refs: Annotated[list[Ref[None]], To("routing-policy")] = []
    fabric_refs: Annotated[list[Ref[None]], To("fabric")] = []
