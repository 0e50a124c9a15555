"""Static routes, route targets, communities, session keys."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.fields import AtMost, Complex
from tungsten.model.scalars import (
    AuthenticationKeyId,
    AuthenticationKeyType,
    CommunityAttribute,
    RouteNextHopType,
)


class CommunityAttributes(Complex):
    """BGP communities."""

    community_attribute: list[CommunityAttribute] | None = None


class RouteType(Complex):
    """A static route."""

    prefix: str | None = None
    next_hop: str | None = None
    #: Whether the next hop is an address or a service instance's fq_name.
    next_hop_type: RouteNextHopType | None = None
    community_attributes: CommunityAttributes | None = None


class RouteTableType(Complex):
    """Static routes."""

    route: list[RouteType] | None = None


class RouteTargetList(Complex):
    """Route targets, each ``target:<asn or address>:<number>``."""

    route_target: list[str] | None = None


class AuthenticationKeyItem(Complex):
    """A key and its number."""

    key_id: AuthenticationKeyId | None = None
    key: str | None = None


class AuthenticationData(Complex):
    """Keys of a BGP session."""

    key_type: AuthenticationKeyType | None = None
    key_items: Annotated[list[AuthenticationKeyItem] | None, AtMost(2)] = None
