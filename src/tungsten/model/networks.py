"""Virtual networks and the routers between them."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addresses import VnSubnetsType
from tungsten.model.addressing import IpAddressesType
from tungsten.model.base import Ref, Resource
from tungsten.model.common import (
    EcmpHashingIncludeFields,
    MACLimitControlType,
    MACMoveLimitControlType,
    SequenceType,
    TimerType,
)
from tungsten.model.fields import Complex, Default, ListOf, Required, SystemOnly, To
from tungsten.model.routes import AuthenticationData, RouteTargetList
from tungsten.model.scalars import (
    AddressAllocationModeType,
    BgpHoldTime,
    ForwardingModeType,
    IpAddress,
    IpAddressType,
    IsidType,
    LogicalRouterType,
    LogicalRouterVirtualNetworkEnumType,
    MACAgingTime,
    MaxFlowsType,
    NetworkMtuType,
    OspfAreaType,
    PimMode,
    RoutingProtocolType,
    RpfModeType,
    SequenceNumberType,
    SimpleActionType,
    VirtualNetworkCategory,
    VlanIdType,
    VxlanNetworkIdentifierType,
)
from tungsten.model.traffic import FatFlowProtocols


class VirtualNetworkType(Complex):
    """How a network forwards."""

    #: Routes of one neighbour network reach another through this one.
    allow_transit: bool | None = None
    network_id: int | None = None
    #: Used when the system's mode is ``configured``.
    vxlan_network_identifier: VxlanNetworkIdentifierType | None = None
    forwarding_mode: ForwardingModeType | None = None
    #: Whether packets whose source is routed elsewhere are dropped.
    rpf: RpfModeType | None = None
    mirror_destination: Annotated[bool | None, Default(False)] = None
    #: Most flows per interface; 0: no limit.
    max_flows: Annotated[MaxFlowsType | None, Default(0)] = None
    mtu: NetworkMtuType | None = None


class ProviderDetails(Complex):
    """The VLAN of the physical network that a network is."""

    segmentation_id: VlanIdType | None = None
    physical_network: str | None = None


class VirtualNetworkPolicyType(Complex):
    """Where a policy stands among those of a network, and when it holds."""

    sequence: SequenceType | None = None
    timer: TimerType | None = None


class RoutingPolicyType(Complex):
    """Where a routing policy stands among those of a network."""

    sequence: SequenceNumberType | None = None


class BgpParameters(Complex):
    """BGP towards the peers of a routed network."""

    peer_autonomous_system: int | None = None
    peer_ip_address: IpAddress | None = None
    peer_ip_address_list: list[IpAddress] | None = None
    hold_time: Annotated[BgpHoldTime | None, Default(0)] = None
    auth_data: AuthenticationData | None = None
    local_autonomous_system: int | None = None
    multihop_ttl: int | None = None


class OspfParameters(Complex):
    """OSPF of a routed network; intervals in seconds."""

    auth_data: AuthenticationData | None = None
    hello_interval: Annotated[int | None, Default(10)] = None
    dead_interval: Annotated[int | None, Default(40)] = None
    area_id: IpAddress | None = None
    area_type: OspfAreaType | None = None
    advertise_loopback: bool | None = None
    orignate_summary_lsa: bool | None = None


class PimParameters(Complex):
    """PIM of a routed network."""

    rp_ip_address: list[IpAddress] | None = None
    mode: Annotated[PimMode | None, Default("sparse-dense")] = None
    enable_all_interfaces: bool | None = None


class StaticRouteParameters(Complex):
    """Static routes of a routed network."""

    interface_route_table_uuid: list[str] | None = None
    next_hop_ip_address: list[IpAddress] | None = None


class BfdParameters(Complex):
    """BFD of a routed network."""

    time_interval: int | None = None
    detection_time_multiplier: int | None = None


class RoutingPolicyParameters(Complex):
    """Routing policies of a routed network."""

    import_routing_policy_uuid: list[str] | None = None
    export_routing_policy_uuid: list[str] | None = None


class RoutedProperties(Complex):
    """How one physical router takes part in a routed network."""

    physical_router_uuid: str | None = None
    logical_router_uuid: str | None = None
    routed_interface_ip_address: IpAddressType | None = None
    loopback_ip_address: IpAddressType | None = None
    routing_protocol: RoutingProtocolType | None = None
    bgp_params: BgpParameters | None = None
    ospf_params: OspfParameters | None = None
    pim_params: PimParameters | None = None
    static_route_params: StaticRouteParameters | None = None
    bfd_params: BfdParameters | None = None
    routing_policy_params: RoutingPolicyParameters | None = None


class VirtualNetworkRoutedPropertiesType(Complex):
    """How physical routers take part in a routed network."""

    routed_properties: list[RoutedProperties] | None = None
    shared_across_all_lrs: Annotated[bool | None, Default(False)] = None


class VirtualNetwork(Resource, type="virtual-network", parents=("project",)):
    """A network: workloads in it reach each other, and nothing else without a policy."""

    ecmp_hashing_include_fields: EcmpHashingIncludeFields | None = None
    virtual_network_category: Annotated[VirtualNetworkCategory | None, Default("tenant")] = None
    virtual_network_properties: VirtualNetworkType | None = None
    virtual_network_routed_properties: VirtualNetworkRoutedPropertiesType | None = None
    provider_properties: ProviderDetails | None = None
    #: The network's number, unique in the system; also its automatic VXLAN identifier.
    virtual_network_network_id: Annotated[int | None, SystemOnly] = None
    #: The network is the IP fabric's own, or one of its VLANs.
    is_provider_network: Annotated[bool | None, Default(False)] = None
    #: Interfaces may only use addresses that are theirs.
    port_security_enabled: Annotated[bool | None, Default(True)] = None
    #: Workloads reach the fabric behind their host's address.
    fabric_snat: Annotated[bool | None, Default(False)] = None
    #: Imported and exported by the network's routing instance, beside its own.
    route_target_list: RouteTargetList | None = None
    import_route_target_list: RouteTargetList | None = None
    export_route_target_list: RouteTargetList | None = None
    #: Floating addresses and routers' gateways come from here.
    router_external: bool | None = None
    #: Every project may use it.
    is_shared: bool | None = None
    mtu: NetworkMtuType | None = None
    #: Addresses are managed elsewhere: none is allocated here.
    external_ipam: bool | None = None
    #: Frames to unknown MAC addresses go to all; by default they are dropped.
    flood_unknown_unicast: Annotated[bool | None, Default(False)] = None
    #: Several policies may send traffic of the same two networks through services.
    multi_policy_service_chains_enabled: bool | None = None
    address_allocation_mode: AddressAllocationModeType | None = None
    virtual_network_fat_flow_protocols: Annotated[
        FatFlowProtocols | None, ListOf("fat_flow_protocol")
    ] = None
    mac_learning_enabled: Annotated[bool | None, Default(False)] = None
    mac_limit_control: MACLimitControlType | None = None
    mac_move_control: MACMoveLimitControlType | None = None
    #: Seconds.
    mac_aging_time: Annotated[MACAgingTime | None, Default(300)] = None
    pbb_evpn_enable: Annotated[bool | None, Default(False)] = None
    pbb_etree_enable: Annotated[bool | None, Default(False)] = None
    layer2_control_word: Annotated[bool | None, Default(False)] = None
    igmp_enable: Annotated[bool | None, Default(False)] = None
    mac_ip_learning_enable: Annotated[bool | None, Default(False)] = None
    security_logging_object_refs: Annotated[list[Ref[None]], To("security-logging-object")] = []
    qos_config_refs: Annotated[list[Ref[None]], To("qos-config")] = []
    network_ipam_refs: Annotated[list[Ref[VnSubnetsType]], To("network-ipam"), Required] = []
    network_policy_refs: Annotated[list[Ref[VirtualNetworkPolicyType]], To("network-policy")] = []
    #: The provider network below this one.
    virtual_network_refs: Annotated[
        list[Ref[None]], To("virtual-network", link="virtual-network-provider-network")
    ] = []
    service_health_check_refs: Annotated[
        list[Ref[None]], To("service-health-check", link="vn-health-check")
    ] = []
    route_table_refs: Annotated[list[Ref[None]], To("route-table")] = []
    bgpvpn_refs: Annotated[list[Ref[None]], To("bgpvpn", link="bgpvpn-network")] = []
    intent_map_refs: Annotated[list[Ref[None]], To("intent-map")] = []
    multicast_policy_refs: Annotated[list[Ref[None]], To("multicast-policy")] = []
    routing_policy_refs: Annotated[list[Ref[RoutingPolicyType]], To("routing-policy")] = []


class LogicalRouterVirtualNetworkType(Complex):
    """What a network is to a router."""

    #: The way out, the router's own internal network, or the pool it translates to.
    logical_router_virtual_network_type: Annotated[
        LogicalRouterVirtualNetworkEnumType | None, Default("ExternalGateway")
    ] = None


class LogicalRouter(Resource, type="logical-router", parents=("project",)):
    """A router that joins networks, or gives them a way out."""

    #: Route targets beside the router's own.
    configured_route_target_list: RouteTargetList | None = None
    #: A number as text, or empty.
    vxlan_network_identifier: str | None = None
    logical_router_dhcp_relay_server: IpAddressesType | None = None
    logical_router_gateway_external: Annotated[bool | None, Required] = None
    logical_router_type: Annotated[LogicalRouterType | None, Default("snat-routing")] = None
    virtual_machine_interface_refs: Annotated[
        list[Ref[None]], To("virtual-machine-interface", link="logical-router-interface")
    ] = []
    route_target_refs: Annotated[
        list[Ref[None]], To("route-target", link="logical-router-target"), SystemOnly
    ] = []
    route_table_refs: Annotated[list[Ref[None]], To("route-table")] = []
    virtual_network_refs: Annotated[
        list[Ref[LogicalRouterVirtualNetworkType]], To("virtual-network")
    ] = []
    service_instance_refs: Annotated[list[Ref[None]], To("service-instance"), SystemOnly] = []
    physical_router_refs: Annotated[list[Ref[None]], To("physical-router")] = []
    fabric_refs: Annotated[list[Ref[None]], To("fabric")] = []
    bgpvpn_refs: Annotated[list[Ref[None]], To("bgpvpn", link="bgpvpn-router")] = []


class BridgeDomain(Resource, type="bridge-domain", parents=("virtual-network",)):
    """A part of a network that learns MAC addresses by itself (PBB-EVPN)."""

    mac_learning_enabled: Annotated[bool | None, Default(False)] = None
    mac_limit_control: MACLimitControlType | None = None
    mac_move_control: MACMoveLimitControlType | None = None
    #: Seconds.
    mac_aging_time: Annotated[MACAgingTime | None, Default(300)] = None
    #: The service instance identifier of the backbone.
    isid: Annotated[IsidType | None, Required] = None


class MulticastSourceGroup(Complex):
    """A source and a group, and whether they may pass."""

    source_address: IpAddressType | None = None
    group_address: IpAddressType | None = None
    action: SimpleActionType | None = None


class MulticastSourceGroups(Complex):
    """Sources and groups of multicast."""

    multicast_source_group: list[MulticastSourceGroup] | None = None


class MulticastPolicy(Resource, type="multicast-policy", parents=("project",)):
    """Which multicast sources and groups a network carries."""

    multicast_source_groups: Annotated[
        MulticastSourceGroups | None, ListOf("multicast_source_group")
    ] = None
