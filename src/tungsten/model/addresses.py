"""Addresses: IPAMs and the subnets they give to networks, instance and floating IPs."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import (
    AllocationPoolType,
    DhcpOptionsListType,
    IpAddressesType,
    SubnetType,
)
from tungsten.model.base import Ref, Resource
from tungsten.model.fields import AtMost, Complex, Default, ListOf, Required, SystemOnly, To
from tungsten.model.routes import RouteTableType
from tungsten.model.scalars import (
    AddressMode,
    DateTime,
    IpAddressFamilyType,
    IpAddressType,
    IpamDnsMethodType,
    IpamMethodType,
    SubnetMethodType,
    TrafficDirectionType,
)


class IpamSubnetType(Complex):
    """A subnet of a network: its prefix, and how addresses in it are given."""

    subnet: SubnetType | None = None
    #: ``0.0.0.0`` or ``::``: no gateway. Not said: the highest address, or the lowest.
    default_gateway: IpAddressType | None = None
    #: Where the host answers DNS. Not said: next to the gateway.
    dns_server_address: IpAddressType | None = None
    #: A label; the subnet is identified by its prefix.
    subnet_uuid: str | None = None
    enable_dhcp: Annotated[bool | None, Default(True)] = None
    dns_nameservers: list[str] | None = None
    #: Where addresses are taken from; not said: the whole subnet.
    allocation_pools: list[AllocationPoolType] | None = None
    #: Lowest address first; by default the highest.
    addr_from_start: bool | None = None
    dhcp_option_list: DhcpOptionsListType | None = None
    host_routes: RouteTableType | None = None
    subnet_name: str | None = None
    #: Addresses per allocation, a power of two.
    alloc_unit: Annotated[int | None, Default(1)] = None
    created: DateTime | None = None
    last_modified: DateTime | None = None
    #: The subnet serves those instance IPs that carry the same tag.
    subscriber_tag: str | None = None
    vlan_tag: int | None = None
    dhcp_relay_server: list[IpAddressType] | None = None


class IpamSubnets(Complex):
    """Subnets that all networks of a flat-subnet IPAM share."""

    subnets: list[IpamSubnetType] | None = None


class VnSubnetsType(Complex):
    """The subnets that a network has from an IPAM (what the link to it says)."""

    ipam_subnets: list[IpamSubnetType] | None = None
    host_routes: RouteTableType | None = None


class IpamDnsAddressType(Complex):
    """Where workloads ask for names: servers of the tenant, or a virtual DNS."""

    tenant_dns_server_address: IpAddressesType | None = None
    virtual_dns_server_name: str | None = None


class IpamType(Complex):
    """How an IPAM serves its networks: DHCP, DNS, options, routes."""

    ipam_method: IpamMethodType | None = None
    ipam_dns_method: IpamDnsMethodType | None = None
    ipam_dns_server: IpamDnsAddressType | None = None
    dhcp_option_list: DhcpOptionsListType | None = None
    cidr_block: SubnetType | None = None
    host_routes: RouteTableType | None = None


class NetworkIpam(Resource, type="network-ipam", parents=("project",)):
    """Address management: where networks have their subnets and DHCP options from."""

    network_ipam_mgmt: IpamType | None = None
    #: Only with the method ``flat-subnet``: subnets shared by all networks of the IPAM.
    ipam_subnets: Annotated[IpamSubnets | None, ListOf("subnets")] = None
    ipam_subnet_method: SubnetMethodType | None = None
    #: Each host gets a part of the subnets of its own.
    ipam_subnetting: bool | None = None
    virtual_DNS_refs: Annotated[list[Ref[None]], To("virtual-DNS")] = []


class InstanceIp(Resource, type="instance-ip"):
    """An address of an interface in a network."""

    #: Not said: the server takes one from the network.
    instance_ip_address: Annotated[IpAddressType | None, Required] = None
    instance_ip_family: IpAddressFamilyType | None = None
    #: What several interfaces with the address do: share the traffic, or stand by.
    instance_ip_mode: AddressMode | None = None
    #: The address whose presence decides which interface this one follows.
    secondary_ip_tracking_ip: SubnetType | None = None
    #: The subnet to take the address from, then the one it is in.
    subnet_uuid: str | None = None
    instance_ip_subscriber_tag: str | None = None
    #: Not the interface's main address.
    instance_ip_secondary: Annotated[bool | None, Default(False)] = None
    instance_ip_local_ip: Annotated[bool | None, Default(False)] = None
    #: The address of a service chain on the interface.
    service_instance_ip: Annotated[bool | None, Default(False), SystemOnly] = None
    service_health_check_ip: Annotated[bool | None, Default(False), SystemOnly] = None
    instance_ip_subnet: SubnetType | None = None
    virtual_network_refs: Annotated[list[Ref[None]], To("virtual-network"), Required] = []
    network_ipam_refs: Annotated[list[Ref[None]], To("network-ipam"), Required] = []
    virtual_machine_interface_refs: Annotated[list[Ref[None]], To("virtual-machine-interface")] = []
    physical_router_refs: Annotated[list[Ref[None]], To("physical-router")] = []
    virtual_router_refs: Annotated[list[Ref[None]], To("virtual-router")] = []
    logical_interface_refs: Annotated[list[Ref[None]], To("logical-interface")] = []
    flow_node_refs: Annotated[list[Ref[None]], To("flow-node")] = []


class FloatingIpPoolSubnetType(Complex):
    """The subnets, by their uuid, that a pool takes addresses from."""

    subnet_uuid: list[str] | None = None


class FloatingIpPool(Resource, type="floating-ip-pool", parents=("virtual-network",)):
    """Addresses of a network that interfaces elsewhere may borrow."""

    floating_ip_pool_subnets: FloatingIpPoolSubnetType | None = None


class PortMap(Complex):
    """A port of a floating address and the port it leads to."""

    protocol: str | None = None
    src_port: int | None = None
    dst_port: int | None = None


class PortMappings(Complex):
    """Ports of a floating address."""

    port_mappings: Annotated[list[PortMap] | None, AtMost(65535)] = None


class FloatingIp(Resource, type="floating-ip", parents=("floating-ip-pool", "instance-ip")):
    """An address that stands for an interface in another network."""

    floating_ip_address: Annotated[IpAddressType | None, Required] = None
    floating_ip_is_virtual_ip: bool | None = None
    #: The interface's address behind it; not said: its first.
    floating_ip_fixed_ip_address: IpAddressType | None = None
    floating_ip_address_family: IpAddressFamilyType | None = None
    floating_ip_port_mappings_enable: Annotated[bool | None, Default(False)] = None
    floating_ip_port_mappings: Annotated[PortMappings | None, ListOf("port_mappings")] = None
    #: Which way it translates.
    floating_ip_traffic_direction: Annotated[TrafficDirectionType | None, Default("both")] = None
    project_refs: Annotated[list[Ref[None]], To("project"), Required] = []
    virtual_machine_interface_refs: Annotated[list[Ref[None]], To("virtual-machine-interface")] = []


class AliasIpPool(Resource, type="alias-ip-pool", parents=("virtual-network",)):
    """Addresses of a network that interfaces elsewhere may have besides their own."""


class AliasIp(Resource, type="alias-ip", parents=("alias-ip-pool",)):
    """A second address of an interface, from another network; nothing is translated."""

    alias_ip_address: Annotated[IpAddressType | None, Required] = None
    alias_ip_address_family: IpAddressFamilyType | None = None
    project_refs: Annotated[list[Ref[None]], To("project"), Required] = []
    virtual_machine_interface_refs: Annotated[list[Ref[None]], To("virtual-machine-interface")] = []


class Subnet(Resource, type="subnet"):
    """A prefix behind an interface."""

    subnet_ip_prefix: Annotated[SubnetType | None, Required] = None
    virtual_machine_interface_refs: Annotated[list[Ref[None]], To("virtual-machine-interface")] = []
