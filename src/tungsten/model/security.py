"""Security groups, policies, the access control lists made of them, and tags."""

from __future__ import annotations

from typing import Annotated

from tungsten.model.base import Parent, Ref, Resource
from tungsten.model.common import SequenceType
from tungsten.model.fields import Complex, Default, Range, Required, SystemOnly, To
from tungsten.model.scalars import (
    ConfiguredSecurityGroupIdType,
    DateTime,
    DirectionType,
    EtherType,
    U16BitHexInt,
    U32BitHexInt,
    UnsignedLong,
)
from tungsten.model.traffic import ActionListType, AddressType, MatchConditionType, PortType


class AclRuleType(Complex):
    """A rule as hosts apply it."""

    match_condition: MatchConditionType | None = None
    action_list: ActionListType | None = None
    #: The rule that this was compiled from.
    rule_uuid: str | None = None
    direction: DirectionType | None = None


class AclEntriesType(Complex):
    """The rules of an access control list; the first that matches decides."""

    dynamic: bool | None = None
    acl_rule: list[AclRuleType] | None = None


class AccessControlList(
    Resource,
    type="access-control-list",
    parents=(Parent("virtual-network", derived=True), Parent("security-group", derived=True)),
):
    """Rules compiled for hosts, of a security group or of a network's policies."""

    access_control_list_entries: Annotated[AclEntriesType | None, SystemOnly] = None
    #: Tells a change of the entries without comparing them.
    access_control_list_hash: Annotated[UnsignedLong | None, SystemOnly] = None


class PolicyRuleType(Complex):
    """A rule as people write it."""

    rule_sequence: SequenceType | None = None
    rule_uuid: str | None = None
    #: ``>`` from source to destination, ``<>`` both ways.
    direction: DirectionType | None = None
    #: A number, a name, or ``any``.
    protocol: str | None = None
    src_addresses: list[AddressType] | None = None
    src_ports: list[PortType] | None = None
    application: list[str] | None = None
    dst_addresses: list[AddressType] | None = None
    dst_ports: list[PortType] | None = None
    action_list: ActionListType | None = None
    ethertype: EtherType | None = None
    created: DateTime | None = None
    last_modified: DateTime | None = None
    description: str | None = None


class PolicyEntriesType(Complex):
    """Rules of a policy or a security group."""

    policy_rule: list[PolicyRuleType] | None = None


class SecurityGroup(Resource, type="security-group", parents=("project",)):
    """Rules that filter the interfaces that are in it."""

    #: The group's number in packets and routes: the configured one, or one from 8000001 up that
    #: the system gives.
    security_group_id: Annotated[int | None, Range(0, 4294967296), SystemOnly] = None
    #: Replaces the automatic number; 0: none.
    configured_security_group_id: Annotated[ConfiguredSecurityGroupIdType | None, Default(0)] = None
    security_group_entries: Annotated[PolicyEntriesType | None, Required] = None


class NetworkPolicy(Resource, type="network-policy", parents=("project",)):
    """What may pass between networks, and through which services."""

    network_policy_entries: Annotated[PolicyEntriesType | None, Required] = None


class Tag(
    Resource, type="tag", parents=("config-root", Parent("project", link="project-scoped-tag"))
):
    """A value of a kind (``site=berlin``) put on resources to group them."""

    #: The kind: application, tier, site...
    tag_type_name: Annotated[str | None, Required] = None
    tag_value: Annotated[str | None, Required] = None
    tag_predefined: Annotated[bool | None, Default(False)] = None
    #: The kind's number and the value's, in hexadecimal.
    tag_id: U32BitHexInt | None = None
    tag_type_refs: Annotated[list[Ref[None]], To("tag-type")] = []


class TagType(Resource, type="tag-type"):
    """A kind of tags (``application``, ``tier``...) and its number."""

    #: ``0x`` and four hexadecimal digits; below 16 are the system's own.
    tag_type_id: Annotated[U16BitHexInt | None, Required] = None
