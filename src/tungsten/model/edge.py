"""The provider's edge: services between physical routers, and peering with others."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.fields import Required, To
from tungsten.model.scalars import E2servicetype, PeeringServiceType, ServiceConnectionType


class PeeringPolicy(Resource, type="peering-policy"):
    """How a provider peers with others."""

    peering_service: Annotated[PeeringServiceType | None, Required] = None


class E2ServiceProvider(Resource, type="e2-service-provider"):
    """A provider of services at the edge."""

    e2_service_provider_promiscuous: bool | None = None
    peering_policy_refs: Annotated[list[Ref[None]], To("peering-policy")] = []
    physical_router_refs: Annotated[list[Ref[None]], To("physical-router")] = []


class NetworkDeviceConfig(Resource, type="network-device-config"):
    """Physical routers configured at the edge."""

    physical_router_refs: Annotated[list[Ref[None]], To("physical-router")] = []


class ServiceObject(Resource, type="service-object"):
    """Something that services at the edge are about."""


class ServiceConnectionModule(Resource, type="service-connection-module"):
    """How endpoints of a service are connected."""

    e2_service: Annotated[E2servicetype | None, Required] = None
    service_type: Annotated[ServiceConnectionType | None, Required] = None
    service_object_refs: Annotated[list[Ref[None]], To("service-object")] = []


class ServiceEndpoint(Resource, type="service-endpoint"):
    """An end of a service at a physical router."""

    service_connection_module_refs: Annotated[list[Ref[None]], To("service-connection-module")] = []
    physical_router_refs: Annotated[list[Ref[None]], To("physical-router")] = []
    service_object_refs: Annotated[list[Ref[None]], To("service-object")] = []
