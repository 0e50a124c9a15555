"""VPNs that networks and routers join, and the attachments of customers and providers."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.fields import Complex, Default, Required, To
from tungsten.model.routes import RouteTargetList
from tungsten.model.routing import ProtocolBgpType, ProtocolOspfType
from tungsten.model.scalars import VpnType


class ProtocolStaticType(Complex):
    """Static routes at an attachment."""

    route: list[str] | None = None


class AttachmentInfoType(Complex):
    """How routes are exchanged at an attachment."""

    static: ProtocolStaticType | None = None
    bgp: ProtocolBgpType | None = None
    ospf: ProtocolOspfType | None = None
    state: str | None = None


class Bgpvpn(Resource, type="bgpvpn", parents=("project",)):
    """A VPN outside that networks and routers exchange routes with."""

    route_target_list: RouteTargetList | None = None
    import_route_target_list: RouteTargetList | None = None
    export_route_target_list: RouteTargetList | None = None
    bgpvpn_type: Annotated[VpnType | None, Default("l3"), Required] = None


class AttachmentAddressType(Complex):
    """An address of an attachment; it says nothing."""


class CustomerAttachment(Resource, type="customer-attachment"):
    """Where a customer is attached to a VPN."""

    attachment_address: AttachmentAddressType | None = None
    virtual_machine_interface_refs: Annotated[list[Ref[None]], To("virtual-machine-interface")] = []
    floating_ip_refs: Annotated[list[Ref[None]], To("floating-ip")] = []


class ProviderAttachment(Resource, type="provider-attachment"):
    """Where a provider is attached to a VPN."""

    virtual_router_refs: Annotated[list[Ref[None]], To("virtual-router")] = []
