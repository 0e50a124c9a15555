"""BGP speakers and the sessions between them."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Parent, Ref, Resource
from tungsten.model.fields import AtMost, Complex, Default, Required, To
from tungsten.model.routes import AuthenticationData
from tungsten.model.scalars import (
    AddressFamily,
    BgpAsPathLoopCount,
    BgpHoldTime,
    BgpPrefixLimitIdleTimeout,
    BgpPrivateAsAction,
    BgpRouterType,
    BgpTunnelEncapsulationType,
    IpAddress,
    RouteOriginAttributeType,
)


class AddressFamilies(Complex):
    """Families that a BGP session carries."""

    family: list[AddressFamily] | None = None


class BgpPrefixLimit(Complex):
    """Most prefixes accepted, and seconds to stay idle after there were more."""

    maximum: int | None = None
    idle_timeout: BgpPrefixLimitIdleTimeout | None = None


class BgpFamilyAttributes(Complex):
    """Settings of one family of a session."""

    address_family: AddressFamily | None = None
    loop_count: Annotated[BgpAsPathLoopCount | None, Default(0)] = None
    prefix_limit: BgpPrefixLimit | None = None
    default_tunnel_encap: list[BgpTunnelEncapsulationType] | None = None


class RouteOriginOverride(Complex):
    """The ORIGIN put on routes received."""

    origin_override: Annotated[bool | None, Default(False)] = None
    origin: Annotated[RouteOriginAttributeType | None, Default("IGP")] = None


class BgpRouterParams(Complex):
    """A BGP speaker."""

    admin_down: Annotated[bool | None, Default(False)] = None
    #: ``contrail`` is one of our control nodes.
    vendor: str | None = None
    cluster_id: int | None = None
    autonomous_system: int | None = None
    identifier: IpAddress | None = None
    address: IpAddress | None = None
    port: Annotated[int | None, Default(179)] = None
    #: Of BGP as a service: which session an interface's is.
    source_port: int | None = None
    #: Seconds; 0: the default of 90.
    hold_time: Annotated[BgpHoldTime | None, Default(0)] = None
    address_families: AddressFamilies | None = None
    auth_data: AuthenticationData | None = None
    local_autonomous_system: int | None = None
    router_type: BgpRouterType | None = None
    gateway_address: IpAddress | None = None
    ipv6_gateway_address: IpAddress | None = None


class BgpSessionAttributes(Complex):
    """Settings of a session, for both ends or the one named."""

    #: The end these settings are for; not said: both.
    bgp_router: str | None = None
    admin_down: Annotated[bool | None, Default(False)] = None
    passive: Annotated[bool | None, Default(False)] = None
    #: Replaces the neighbour's AS in paths sent to it.
    as_override: Annotated[bool | None, Default(False)] = None
    hold_time: Annotated[BgpHoldTime | None, Default(0)] = None
    #: How often our AS may be in a path that is accepted.
    loop_count: Annotated[BgpAsPathLoopCount | None, Default(0)] = None
    local_autonomous_system: Annotated[int | None, Default(0)] = None
    address_families: AddressFamilies | None = None
    auth_data: AuthenticationData | None = None
    family_attributes: list[BgpFamilyAttributes] | None = None
    private_as_action: BgpPrivateAsAction | None = None
    route_origin_override: RouteOriginOverride | None = None


class BgpSession(Complex):
    """A session between two BGP speakers."""

    uuid: str | None = None
    attributes: Annotated[list[BgpSessionAttributes] | None, AtMost(3)] = None


class BgpPeeringAttributes(Complex):
    """What the link between two BGP speakers says."""

    session: list[BgpSession] | None = None


class BgpRouter(
    Resource, type="bgp-router", parents=(Parent("routing-instance", link="instance-bgp-router"),)
):
    """A BGP speaker: a control node, or a router it has sessions with."""

    bgp_router_parameters: Annotated[BgpRouterParams | None, Required] = None
    control_node_zone_refs: Annotated[list[Ref[None]], To("control-node-zone")] = []
    sub_cluster_refs: Annotated[list[Ref[None]], To("sub-cluster")] = []
    bgp_router_refs: Annotated[
        list[Ref[BgpPeeringAttributes]], To("bgp-router", link="bgp-peering")
    ] = []
