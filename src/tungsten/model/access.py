"""Who may call what of the API, and the assignments of the former discovery service."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import SubnetType
from tungsten.model.base import Resource
from tungsten.model.common import PermType
from tungsten.model.fields import Complex, Required


class ApiAccessType(Complex):
    """Who may call an API."""

    api_name: str | None = None
    permissions: PermType | None = None


class ApiAccessListType(Complex):
    """Who may call which APIs."""

    api_access: list[ApiAccessType] | None = None


class RbacPermType(Complex):
    """What a role may do: letters of ``CRUD``."""

    role_name: str | None = None
    role_crud: str | None = None


class RbacRuleType(Complex):
    """What roles may do with an object, or with one of its fields."""

    #: A type's REST name, or ``*``.
    rule_object: str | None = None
    #: A property of the object; not said: the whole.
    rule_field: str | None = None
    rule_perms: list[RbacPermType] | None = None


class RbacRuleEntriesType(Complex):
    """Rules about who may do what."""

    rbac_rule: list[RbacRuleType] | None = None


class ApiAccessList(
    Resource, type="api-access-list", parents=("domain", "project", "global-system-config")
):
    """Which roles may do what with which objects, in the mode ``rbac``."""

    api_access_list_entries: Annotated[RbacRuleEntriesType | None, Required] = None


class DiscoveryServiceAssignment(Resource, type="discovery-service-assignment"):
    """Rules of the former discovery service; kept since clients expect it."""


class DiscoveryPubSubEndPointType(Complex):
    """A party of the former discovery service."""

    ep_type: str | None = None
    ep_id: str | None = None
    ep_prefix: SubnetType | None = None
    ep_version: str | None = None


class DiscoveryServiceAssignmentType(Complex):
    """A publisher, and the subscribers that get it."""

    publisher: DiscoveryPubSubEndPointType | None = None
    subscriber: list[DiscoveryPubSubEndPointType] | None = None


class DsaRule(Resource, type="dsa-rule", parents=("discovery-service-assignment",)):
    """Which publisher the former discovery service gave to whom."""

    dsa_rule_entry: Annotated[DiscoveryServiceAssignmentType | None, Required] = None
