"""Hosts: settings of their forwarding, virtual routers, and the workloads on them."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import AllocationPoolType, SubnetType
from tungsten.model.base import Ref, Resource
from tungsten.model.common import EcmpHashingIncludeFields, KeyValuePairs
from tungsten.model.fields import Complex, Default, ListOf, MapOf, Required, SystemOnly, To
from tungsten.model.scalars import (
    EncapsulationType,
    EncryptionMode,
    FlowLimitType,
    ForwardingModeType,
    IpAddress,
    IpAddressType,
    MillisecondsType,
    PercentType,
    ServerType,
    UnsignedShort,
    VirtualRouterType,
    VxlanNetworkIdentifierModeType,
)
from tungsten.model.traffic import PortType


class LinklocalServiceEntryType(Complex):
    """A link-local address and port, and the fabric service behind it."""

    linklocal_service_name: str | None = None
    linklocal_service_ip: IpAddress | None = None
    linklocal_service_port: int | None = None
    ip_fabric_DNS_service_name: str | None = None
    ip_fabric_service_port: int | None = None
    ip_fabric_service_ip: list[IpAddress] | None = None


class LinklocalServicesTypes(Complex):
    """Services that workloads reach at link-local addresses."""

    linklocal_service_entry: list[LinklocalServiceEntryType] | None = None


class EncapsulationPrioritiesType(Complex):
    """Encapsulations, the preferred first."""

    encapsulation: list[EncapsulationType] | None = None


class FlowAgingTimeout(Complex):
    """After how long without packets flows of a protocol and port are forgotten."""

    protocol: str | None = None
    port: int | None = None
    timeout_in_seconds: int | None = None


class FlowAgingTimeoutList(Complex):
    """Ages of flows by protocol."""

    flow_aging_timeout: list[FlowAgingTimeout] | None = None


class EncryptionTunnelEndpoint(Complex):
    """A host that encrypted tunnels lead to."""

    tunnel_remote_ip_address: IpAddressType | None = None


class EncryptionTunnelEndpointList(Complex):
    """Hosts that encrypted tunnels lead to."""

    endpoint: list[EncryptionTunnelEndpoint] | None = None


class PortTranslationPool(Complex):
    """Ports that a host may use to translate sources: a range, or how many."""

    protocol: str | None = None
    port_range: PortType | None = None
    port_count: UnsignedShort | None = None


class PortTranslationPools(Complex):
    """Ports that hosts may use to translate sources."""

    port_translation_pool: list[PortTranslationPool] | None = None


class GlobalVrouterConfig(
    Resource, type="global-vrouter-config", parents=("global-system-config",)
):
    """Settings of all hosts' forwarding. There is one."""

    ecmp_hashing_include_fields: EcmpHashingIncludeFields | None = None
    linklocal_services: LinklocalServicesTypes | None = None
    encapsulation_priorities: EncapsulationPrioritiesType | None = None
    #: Whether a network's VXLAN identifier is its number or the configured one.
    vxlan_network_identifier_mode: VxlanNetworkIdentifierModeType | None = None
    #: Flow records per second that a host sends at most.
    flow_export_rate: int | None = None
    flow_aging_timeout_list: FlowAgingTimeoutList | None = None
    enable_security_logging: Annotated[bool | None, Default(True)] = None
    encryption_mode: Annotated[EncryptionMode | None, Default("none")] = None
    encryption_tunnel_endpoints: Annotated[
        EncryptionTunnelEndpointList | None, ListOf("endpoint")
    ] = None
    forwarding_mode: ForwardingModeType | None = None
    #: Most flows of an interface, beside its own ``max_flows``; 0: no limit.
    global_max_vmi_flows: Annotated[FlowLimitType | None, Default(0)] = None
    #: Most flows of a workload, in percent of the host's flow table; 0: no limit.
    max_vm_flows_percent: Annotated[PercentType | None, Default(0)] = None
    #: Source ports for ``fabric_snat``.
    port_translation_pools: Annotated[
        PortTranslationPools | None, ListOf("port_translation_pool")
    ] = None


class VirtualRouterNetworkIpamType(Complex):
    """The part of an IPAM that is set apart for a host."""

    allocation_pools: list[AllocationPoolType] | None = None
    subnet: list[SubnetType] | None = None


class VirtualRouter(Resource, type="virtual-router", parents=("global-system-config",)):
    """A host's forwarder. Its name is the host's name."""

    #: ``embedded`` is an ordinary host.
    virtual_router_type: VirtualRouterType | None = None
    virtual_router_dpdk_enabled: bool | None = None
    virtual_router_sriov_physical_networks: Annotated[
        KeyValuePairs | None, MapOf("key_value_pair", key="key")
    ] = None
    virtual_router_ip_address: Annotated[IpAddressType | None, Required] = None
    #: Lengths of the host's trace buffers by name (``XmppTrace``).
    virtual_router_tracebuffer_length: Annotated[
        KeyValuePairs | None, MapOf("key_value_pair", key="key")
    ] = None
    #: How often the host reports, in milliseconds; 0: as it is built to.
    agent_uve_default_interval: MillisecondsType | None = None
    agent_uve_incremental_interval: MillisecondsType | None = None
    agent_stats_collector_interval: MillisecondsType | None = None
    network_ipam_refs: Annotated[list[Ref[VirtualRouterNetworkIpamType]], To("network-ipam")] = []
    sub_cluster_refs: Annotated[list[Ref[None]], To("sub-cluster")] = []
    #: The workloads on the host.
    virtual_machine_refs: Annotated[list[Ref[None]], To("virtual-machine")] = []


class VirtualMachine(Resource, type="virtual-machine"):
    """A workload: machine, container or server. Its name usually is its uuid."""

    server_type: Annotated[ServerType | None, Default("virtual-server")] = None
    service_instance_refs: Annotated[
        list[Ref[None]], To("service-instance", derived=True), SystemOnly
    ] = []
