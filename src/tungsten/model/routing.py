"""Routing instances, route targets, static routes."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Parent, Ref, Resource
from tungsten.model.fields import Complex, Default, Required, SystemOnly, To
from tungsten.model.routes import RouteTableType
from tungsten.model.scalars import ImportExportType, IpAddress, ServiceInterfaceType


class RouteTarget(Resource, type="route-target"):
    """A BGP route target: routing instances that share one exchange routes."""


class ProtocolBgpType(Complex):
    """BGP towards a customer edge."""

    autonomous_system: int | None = None


class ProtocolOspfType(Complex):
    """OSPF towards a customer edge."""

    area: int | None = None


class DefaultProtocolType(Complex):
    """The protocol towards customer edges."""

    bgp: ProtocolBgpType | None = None
    ospf: ProtocolOspfType | None = None


class ServiceChainInfo(Complex):
    """The service chain that leaves a routing instance."""

    #: Where the routes come from that are offered here with the service as next hop.
    routing_instance: str | None = None
    #: The prefixes of the network behind the service.
    prefix: list[str] | None = None
    #: The service's address, next hop of the chain.
    service_chain_address: IpAddress | None = None
    service_instance: str | None = None
    source_routing_instance: str | None = None
    service_chain_id: str | None = None
    #: It is the first of the chain.
    sc_head: Annotated[bool | None, Default(False)] = None
    #: Routes keep their AS path.
    retain_as_path: Annotated[bool | None, Default(False)] = None


class StaticRouteType(Complex):
    """A static route of a routing instance."""

    prefix: str | None = None
    next_hop: str | None = None
    route_target: list[str] | None = None
    community: list[str] | None = None


class StaticRouteEntriesType(Complex):
    """Static routes of a routing instance."""

    route: list[StaticRouteType] | None = None


class ConnectionType(Complex):
    """How two routing instances are joined."""

    destination_instance: str | None = None


class InstanceTargetType(Complex):
    """Whether a route target is imported or exported; neither said is both."""

    #: Not said: both.
    import_export: ImportExportType | None = None


class RoutingInstance(
    Resource, type="routing-instance", parents=(Parent("virtual-network", derived=True),)
):
    """A VRF: where a network's routes are. Every network has one of its own name."""

    default_ce_protocol: DefaultProtocolType | None = None
    service_chain_information: Annotated[ServiceChainInfo | None, SystemOnly] = None
    ipv6_service_chain_information: Annotated[ServiceChainInfo | None, SystemOnly] = None
    evpn_service_chain_information: Annotated[ServiceChainInfo | None, SystemOnly] = None
    evpn_ipv6_service_chain_information: Annotated[ServiceChainInfo | None, SystemOnly] = None
    #: It is its network's own, not one of a service chain.
    routing_instance_is_default: Annotated[bool | None, Default(False), SystemOnly] = None
    #: A service chain through a physical device passes here.
    routing_instance_has_pnf: Annotated[bool | None, Default(False), SystemOnly] = None
    static_route_entries: Annotated[StaticRouteEntriesType | None, SystemOnly] = None
    routing_instance_fabric_snat: Annotated[bool | None, Default(False), SystemOnly] = None
    #: Routing instances whose routes this one takes, and that take its.
    routing_instance_refs: Annotated[
        list[Ref[ConnectionType]], To("routing-instance", link="connection")
    ] = []
    route_target_refs: Annotated[
        list[Ref[InstanceTargetType]], To("route-target", link="instance-target")
    ] = []


class RouteTable(Resource, type="route-table", parents=("project",)):
    """Static routes for networks and routers."""

    routes: Annotated[RouteTableType | None, Required] = None


class ServiceInterfaceTag(Complex):
    """Which interface of a service a link concerns."""

    interface_type: ServiceInterfaceType | None = None


class InterfaceRouteTable(Resource, type="interface-route-table", parents=("project",)):
    """Prefixes that are reached behind an interface."""

    interface_route_table_routes: Annotated[RouteTableType | None, Required] = None
    service_instance_refs: Annotated[
        list[Ref[ServiceInterfaceTag]], To("service-instance", derived=True)
    ] = []
