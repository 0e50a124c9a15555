"""Interfaces of workloads."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import AllowedAddressPairs, DhcpOptionsListType, MacAddressesType
from tungsten.model.base import Ref, Resource
from tungsten.model.common import EcmpHashingIncludeFields, KeyValuePairs
from tungsten.model.fields import Complex, Default, ListOf, MapOf, Required, SystemOnly, To
from tungsten.model.routes import RouteTableType
from tungsten.model.scalars import (
    Dot1QTagType,
    IpAddress,
    IpAddressType,
    MaxFlowsType,
    ServiceInterfaceType,
    TrafficDirectionType,
    VlanIdType,
)
from tungsten.model.traffic import FatFlowProtocols, MatchConditionType, MirrorActionType


class VrfAssignRuleType(Complex):
    """A rule that moves matching packets to a routing instance."""

    match_condition: MatchConditionType | None = None
    vlan_tag: int | None = None
    routing_instance: str | None = None
    ignore_acl: bool | None = None


class VrfAssignTableType(Complex):
    """Rules that move packets to other routing instances."""

    vrf_assign_rule: list[VrfAssignRuleType] | None = None


class InterfaceMirrorType(Complex):
    """Which packets of an interface are copied, and where to."""

    traffic_direction: TrafficDirectionType | None = None
    mirror_to: MirrorActionType | None = None


class VirtualMachineInterfacePropertiesType(Complex):
    """Settings of an interface."""

    #: Which side of a service the interface is.
    service_interface_type: ServiceInterfaceType | None = None
    interface_mirror: InterfaceMirrorType | None = None
    #: Of the interface's routes: 100 stands by, 200 is active.
    local_preference: int | None = None
    #: Makes it the VLAN of the interface it refers to.
    sub_interface_vlan_tag: int | None = None
    max_flows: Annotated[MaxFlowsType | None, Default(0)] = None


class PolicyBasedForwardingRuleType(Complex):
    """How an interface is in a routing instance."""

    direction: TrafficDirectionType | None = None
    vlan_tag: int | None = None
    src_mac: str | None = None
    dst_mac: str | None = None
    mpls_label: int | None = None
    #: The next hop of the service chain that the interface serves.
    service_chain_address: IpAddress | None = None
    ipv6_service_chain_address: IpAddressType | None = None
    protocol: str | None = None


class VMIVirtualPortGroupAttributes(Complex):
    """The VLAN of an interface on a port group."""

    vlan_tag: VlanIdType | None = None
    native_vlan_tag: VlanIdType | None = None


class BridgeDomainMembershipType(Complex):
    """The VLAN of an interface in a bridge domain."""

    vlan_tag: Dot1QTagType | None = None


class VirtualMachineInterface(
    Resource,
    type="virtual-machine-interface",
    parents=("virtual-machine", "project", "virtual-router"),
):
    """A port of a workload."""

    ecmp_hashing_include_fields: EcmpHashingIncludeFields | None = None
    port_security_enabled: Annotated[bool | None, Default(True)] = None
    virtual_machine_interface_mac_addresses: Annotated[MacAddressesType | None, Required] = None
    virtual_machine_interface_dhcp_option_list: DhcpOptionsListType | None = None
    virtual_machine_interface_host_routes: RouteTableType | None = None
    virtual_machine_interface_allowed_address_pairs: AllowedAddressPairs | None = None
    #: Moves packets of service chains to the chain's routing instance.
    vrf_assign_table: Annotated[VrfAssignTableType | None, SystemOnly] = None
    #: Which kind of device has it, as orchestrators name them.
    virtual_machine_interface_device_owner: str | None = None
    #: Packets are forwarded without policy, security groups or flows.
    virtual_machine_interface_disable_policy: Annotated[bool | None, Default(False)] = None
    virtual_machine_interface_properties: VirtualMachineInterfacePropertiesType | None = None
    #: How the host attaches it: ``vnic_type``, ``vif_type``, ``host_id``...
    virtual_machine_interface_bindings: Annotated[
        KeyValuePairs | None, MapOf("key_value_pair", key="key")
    ] = None
    virtual_machine_interface_fat_flow_protocols: Annotated[
        FatFlowProtocols | None, ListOf("fat_flow_protocol")
    ] = None
    vlan_tag_based_bridge_domain: Annotated[bool | None, Default(False)] = None
    igmp_enable: Annotated[bool | None, Default(False)] = None
    service_endpoint_refs: Annotated[list[Ref[None]], To("service-endpoint")] = []
    security_logging_object_refs: Annotated[list[Ref[None]], To("security-logging-object")] = []
    qos_config_refs: Annotated[list[Ref[None]], To("qos-config")] = []
    security_group_refs: Annotated[list[Ref[None]], To("security-group")] = []
    #: The interface of which this is a VLAN, or its VLANs.
    virtual_machine_interface_refs: Annotated[
        list[Ref[None]],
        To("virtual-machine-interface", link="virtual-machine-interface-sub-interface"),
    ] = []
    virtual_machine_refs: Annotated[list[Ref[None]], To("virtual-machine")] = []
    virtual_network_refs: Annotated[list[Ref[None]], To("virtual-network"), Required] = []
    #: Where its packets are routed, made from its network.
    routing_instance_refs: Annotated[
        list[Ref[PolicyBasedForwardingRuleType]], To("routing-instance"), SystemOnly
    ] = []
    bgp_router_refs: Annotated[list[Ref[None]], To("bgp-router"), Required] = []
    port_tuple_refs: Annotated[list[Ref[None]], To("port-tuple", link="port-tuple-interface")] = []
    service_health_check_refs: Annotated[
        list[Ref[None]], To("service-health-check", link="service-port-health-check")
    ] = []
    interface_route_table_refs: Annotated[
        list[Ref[None]], To("interface-route-table", link="virtual-machine-interface-route-table")
    ] = []
    physical_interface_refs: Annotated[list[Ref[None]], To("physical-interface"), SystemOnly] = []
    virtual_port_group_refs: Annotated[
        list[Ref[VMIVirtualPortGroupAttributes]], To("virtual-port-group")
    ] = []
    port_profile_refs: Annotated[list[Ref[None]], To("port-profile")] = []
    bridge_domain_refs: Annotated[list[Ref[BridgeDomainMembershipType]], To("bridge-domain")] = []
