"""BGP as a service: sessions between workloads and the control nodes."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Parent, Ref, Resource
from tungsten.model.bgp import BgpSessionAttributes
from tungsten.model.fields import Complex, Default, Required, SystemOnly, To
from tungsten.model.scalars import AutonomousSystemType, BGPaaSControlNodeZoneType, IpAddressType


class BGPaaSControlNodeZoneAttributes(Complex):
    """Whether a zone has the first or the second session."""

    bgpaas_control_node_zone_type: BGPaaSControlNodeZoneType | None = None


class BgpAsAService(
    Resource, type="bgp-as-a-service", parents=(Parent("project", link="project-bgpaas"),)
):
    """BGP sessions of workloads with the control nodes."""

    autonomous_system: Annotated[AutonomousSystemType | None, Required] = None
    #: All interfaces have one session in turn, not one each.
    bgpaas_shared: Annotated[bool | None, Default(False)] = None
    #: The workload's address; not said: that of its interface.
    bgpaas_ip_address: Annotated[IpAddressType | None, Required] = None
    bgpaas_session_attributes: Annotated[BgpSessionAttributes | None, Required] = None
    #: IPv6 routes go out with the IPv4 next hop mapped to IPv6.
    bgpaas_ipv4_mapped_ipv6_nexthop: bool | None = None
    #: Nothing is announced but what was asked for.
    bgpaas_suppress_route_advertisement: bool | None = None
    control_node_zone_refs: Annotated[
        list[Ref[BGPaaSControlNodeZoneAttributes]],
        To("control-node-zone", link="bgpaas-control-node-zone"),
    ] = []
    virtual_machine_interface_refs: Annotated[
        list[Ref[None]],
        To("virtual-machine-interface", link="bgpaas-virtual-machine-interface"),
        Required,
    ] = []
    service_health_check_refs: Annotated[
        list[Ref[None]], To("service-health-check", link="bgpaas-health-check")
    ] = []
    #: The ends of the sessions, made by the system.
    bgp_router_refs: Annotated[
        list[Ref[None]], To("bgp-router", link="bgpaas-bgp-router"), SystemOnly
    ] = []
