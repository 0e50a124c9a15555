"""Routing policies and route aggregates: what happens to routes on their way."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Ref, Resource
from tungsten.model.fields import Complex, Required, SystemOnly, To
from tungsten.model.networks import RoutingPolicyType
from tungsten.model.routing import ServiceInterfaceTag
from tungsten.model.scalars import (
    ActionNextValue,
    ActionType,
    CommunityAttribute,
    ExternalRouteType,
    FamilyType,
    PathSourceType,
    PrefixType,
    RouteFType,
    SequenceNumberType,
    TermType,
)


class PrefixMatchType(Complex):
    """A prefix, and whether parts of it match too."""

    prefix: str | None = None
    prefix_type: PrefixType | None = None


class PrefixListMatchType(Complex):
    """The prefixes of interface route tables, and whether parts of them match too."""

    interface_route_table_uuid: list[str] | None = None
    prefix_type: PrefixType | None = None


class RouteFilterProperties(Complex):
    """A prefix, and which parts of it match."""

    route: str | None = None
    route_type: RouteFType | None = None
    #: The lengths or the prefix that ``route_type`` needs.
    route_type_value: str | None = None


class RouteFilterType(Complex):
    """Filters of prefixes, of which one must fit."""

    route_filter_properties: list[RouteFilterProperties] | None = None


class TermMatchConditionType(Complex):
    """Which routes: those that fit all that is said."""

    #: Where a route comes from.
    protocol: list[PathSourceType] | None = None
    prefix: list[PrefixMatchType] | None = None
    #: One community; ``community_list`` is its newer form.
    community: str | None = None
    community_list: list[str] | None = None
    community_match_all: bool | None = None
    extcommunity_list: list[str] | None = None
    extcommunity_match_all: bool | None = None
    family: FamilyType | None = None
    as_path: list[int] | None = None
    external: ExternalRouteType | None = None
    local_pref: int | None = None
    nlri_route_type: list[int] | None = None
    prefix_list: list[PrefixListMatchType] | None = None
    route_filter: RouteFilterType | None = None


class AsListType(Complex):
    """AS numbers."""

    asn_list: list[int] | None = None


class ActionAsPathType(Complex):
    """Changes of the AS path."""

    expand: AsListType | None = None


class CommunityListType(Complex):
    """Communities."""

    community: list[CommunityAttribute] | None = None


class ActionCommunityType(Complex):
    """Changes of communities."""

    add: CommunityListType | None = None
    remove: CommunityListType | None = None
    set: CommunityListType | None = None


class ExtCommunityListType(Complex):
    """Extended communities."""

    community: list[str] | None = None


class ActionExtCommunityType(Complex):
    """Changes of extended communities."""

    add: ExtCommunityListType | None = None
    remove: ExtCommunityListType | None = None
    set: ExtCommunityListType | None = None


class ActionUpdateType(Complex):
    """Changes of a route's attributes."""

    as_path: ActionAsPathType | None = None
    community: ActionCommunityType | None = None
    extcommunity: ActionExtCommunityType | None = None
    local_pref: int | None = None
    med: int | None = None


class TermActionListType(Complex):
    """What happens to a route: changes, and whether it goes on."""

    update: ActionUpdateType | None = None
    action: ActionType | None = None
    #: With the action ``next``: the next term or the next policy.
    action_next_value: ActionNextValue | None = None
    external: ExternalRouteType | None = None
    as_path_expand: str | None = None
    as_path_prepend: str | None = None


class PolicyTermType(Complex):
    """Which routes, and what happens to them."""

    term_match_condition: TermMatchConditionType | None = None
    term_action_list: TermActionListType | None = None


class PolicyStatementType(Complex):
    """Terms in their order; the first that matches decides."""

    term: list[PolicyTermType] | None = None


class RoutingPolicyServiceInstanceType(Complex):
    """Where a policy stands at each side of a service."""

    left_sequence: SequenceNumberType | None = None
    right_sequence: SequenceNumberType | None = None


class RoutingPolicy(Resource, type="routing-policy", parents=("project",)):
    """Terms that accept, reject or change routes."""

    routing_policy_entries: PolicyStatementType | None = None
    #: Whether the control nodes or physical devices apply it.
    term_type: TermType | None = None
    interface_route_table_refs: Annotated[list[Ref[None]], To("interface-route-table")] = []
    service_instance_refs: Annotated[
        list[Ref[RoutingPolicyServiceInstanceType]], To("service-instance")
    ] = []
    #: Routing instances it is applied in, and in which order.
    routing_instance_refs: Annotated[
        list[Ref[RoutingPolicyType]], To("routing-instance"), SystemOnly
    ] = []


class RouteListType(Complex):
    """Prefixes."""

    route: list[str] | None = None


class RouteAggregate(Resource, type="route-aggregate", parents=("project",)):
    """Prefixes that are announced in place of their parts."""

    aggregate_route_entries: Annotated[RouteListType | None, Required] = None
    #: An address.
    aggregate_route_nexthop: Annotated[str | None, Required] = None
    service_instance_refs: Annotated[list[Ref[ServiceInterfaceTag]], To("service-instance")] = []
    routing_instance_refs: Annotated[list[Ref[None]], To("routing-instance"), SystemOnly] = []
