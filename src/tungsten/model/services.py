"""Service instances and the interfaces of their copies."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import AllowedAddressPairs
from tungsten.model.base import Parent, Ref, Resource
from tungsten.model.common import KeyValuePairs
from tungsten.model.fields import Complex, Default, MapOf, Required, SystemOnly, To
from tungsten.model.routes import RouteTableType
from tungsten.model.routing import ServiceInterfaceTag
from tungsten.model.scalars import (
    AddressMode,
    HostBasedServiceType,
    IpAddressType,
    ServiceInterfaceType,
    ServiceVirtualizationType,
)


class ServiceInstanceInterfaceType(Complex):
    """One interface of a service instance."""

    virtual_network: str | None = None
    ip_address: IpAddressType | None = None
    static_routes: RouteTableType | None = None
    allowed_address_pairs: AllowedAddressPairs | None = None


class ServiceScaleOutType(Complex):
    """How many copies of a service run."""

    max_instances: Annotated[int | None, Default(1)] = None
    auto_scale: Annotated[bool | None, Default(False)] = None


class ServiceInstanceType(Complex):
    """A service instance: its networks and how it runs."""

    auto_policy: Annotated[bool | None, Default(False)] = None
    availability_zone: str | None = None
    management_virtual_network: str | None = None
    left_virtual_network: str | None = None
    left_ip_address: IpAddressType | None = None
    right_virtual_network: str | None = None
    right_ip_address: IpAddressType | None = None
    #: In the order of the template's interfaces.
    interface_list: list[ServiceInstanceInterfaceType] | None = None
    scale_out: ServiceScaleOutType | None = None
    #: Whether copies share the traffic or stand by.
    ha_mode: AddressMode | None = None
    virtual_router_id: str | None = None
    service_virtualization_type: ServiceVirtualizationType | None = None


class ServiceInstance(Resource, type="service-instance", parents=("project",)):
    """A network function in the path: firewall, NAT, load balancer."""

    service_instance_properties: Annotated[ServiceInstanceType | None, Required] = None
    service_instance_bindings: Annotated[
        KeyValuePairs | None, MapOf("key_value_pair", key="key")
    ] = None
    service_instance_bgp_enabled: Annotated[bool | None, Default(True)] = None
    service_template_refs: Annotated[list[Ref[None]], To("service-template"), Required] = []
    instance_ip_refs: Annotated[
        list[Ref[ServiceInterfaceTag]],
        To("instance-ip", link="service-instance-shared-ip"),
        SystemOnly,
    ] = []


class PortTuple(Resource, type="port-tuple", parents=(Parent("service-instance", derived=True),)):
    """The interfaces of one copy of a service."""

    logical_router_refs: Annotated[list[Ref[None]], To("logical-router")] = []
    virtual_network_refs: Annotated[list[Ref[None]], To("virtual-network")] = []


class ServiceVirtualNetworkType(Complex):
    """Which side of a service a network is on."""

    virtual_network_type: ServiceInterfaceType | None = None


class HostBasedService(Resource, type="host-based-service", parents=("project",)):
    """A service that runs on the hosts themselves, once for the project."""

    host_based_service_type: Annotated[HostBasedServiceType | None, Default("firewall")] = None
    virtual_network_refs: Annotated[
        list[Ref[ServiceVirtualNetworkType]], To("virtual-network")
    ] = []
