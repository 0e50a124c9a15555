"""What service instances are made from: templates, and the appliances that can run them."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.common import KeyValuePairs, UserCredentials
from tungsten.model.fields import Complex, Default, Required, To
from tungsten.model.scalars import (
    IpAddressType,
    ServiceInterfaceType,
    ServiceModeType,
    ServiceType,
    ServiceVirtualizationType,
    VRouterInstanceType,
)


class ServiceApplianceSet(
    Resource, type="service-appliance-set", parents=("global-system-config",)
):
    """Appliances of one kind, and who drives them."""

    service_appliance_set_virtualization_type: ServiceVirtualizationType | None = None
    service_appliance_set_properties: KeyValuePairs | None = None
    service_appliance_driver: str | None = None
    service_appliance_ha_mode: str | None = None


class ServiceApplianceInterfaceType(Complex):
    """Which side of a service an interface of an appliance is."""

    interface_type: ServiceInterfaceType | None = None


class ServiceAppliance(Resource, type="service-appliance", parents=("service-appliance-set",)):
    """A device that runs services."""

    service_appliance_user_credentials: UserCredentials | None = None
    service_appliance_ip_address: Annotated[IpAddressType | None, Required] = None
    service_appliance_virtualization_type: ServiceVirtualizationType | None = None
    service_appliance_properties: Annotated[KeyValuePairs | None, Required] = None
    physical_interface_refs: Annotated[
        list[Ref[ServiceApplianceInterfaceType]],
        To("physical-interface", link="service-appliance-interface"),
    ] = []


class ServiceTemplateInterfaceType(Complex):
    """An interface that every instance has."""

    service_interface_type: ServiceInterfaceType | None = None
    #: All copies have the same address there.
    shared_ip: Annotated[bool | None, Default(False)] = None
    static_route_enable: Annotated[bool | None, Default(False)] = None


class ServiceTemplateType(Complex):
    """A service: how it is in the path, what runs it, its interfaces."""

    #: 2: interfaces are grouped in port tuples.
    version: Annotated[int | None, Default(1)] = None
    #: How the service is in the path: as a bridge, a router, or a router with NAT.
    service_mode: ServiceModeType | None = None
    service_type: ServiceType | None = None
    image_name: str | None = None
    service_scaling: Annotated[bool | None, Default(False)] = None
    interface_type: list[ServiceTemplateInterfaceType] | None = None
    flavor: str | None = None
    ordered_interfaces: Annotated[bool | None, Default(False)] = None
    service_virtualization_type: ServiceVirtualizationType | None = None
    availability_zone_enable: Annotated[bool | None, Default(False)] = None
    vrouter_instance_type: VRouterInstanceType | None = None
    instance_data: str | None = None


class ServiceTemplate(Resource, type="service-template", parents=("domain",)):
    """What instances of a service have in common."""

    service_template_properties: Annotated[ServiceTemplateType | None, Required] = None
    #: The system also configures the service itself.
    service_config_managed: Annotated[bool | None, Default(False)] = None
    service_appliance_set_refs: Annotated[list[Ref[None]], To("service-appliance-set")] = []
