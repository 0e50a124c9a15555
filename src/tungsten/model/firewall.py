"""Firewall policies: rules about tagged traffic, ordered in policies and policy sets.

A rule names its two ends by tags, groups of addresses or networks; policies order rules, policy
sets order policies, and a set holds for the workloads that carry its application tag. Drafts of
all these wait under a *policy management* named ``draft-policy-management``.
"""

from __future__ import annotations

from typing import Annotated

from tungsten.model.addressing import SubnetListType, SubnetType
from tungsten.model.base import Ref, Resource
from tungsten.model.fields import Complex, Default, ListOf, Required, SystemOnly, To
from tungsten.model.scalars import (
    DraftModeState,
    FirewallRuleDirectionType,
    SequenceNumberType,
    UnsignedLong,
)
from tungsten.model.session_logging import SloRateType
from tungsten.model.traffic import ActionListType, PortType


class PolicyManagement(Resource, type="policy-management", parents=("config-root", "project")):
    """Where firewall policies and their parts are kept: globally, or for drafts."""


class AddressGroup(Resource, type="address-group", parents=("policy-management", "project")):
    """Prefixes that firewall rules name together."""

    #: What a draft does to the object that is in force; only set on drafts.
    draft_mode_state: DraftModeState | None = None
    address_group_prefix: Annotated[SubnetListType | None, ListOf("subnet")] = None


class FirewallServiceType(Complex):
    """A protocol and ports."""

    protocol: str | None = None
    #: The number of ``protocol``; 0 is any.
    protocol_id: int | None = None
    src_ports: PortType | None = None
    dst_ports: PortType | None = None


class FirewallServiceGroupType(Complex):
    """Protocols and ports."""

    firewall_service: list[FirewallServiceType] | None = None


class ServiceGroup(Resource, type="service-group", parents=("policy-management", "project")):
    """Protocols and ports that firewall rules name together."""

    #: What a draft does to the object that is in force; only set on drafts.
    draft_mode_state: DraftModeState | None = None
    service_group_firewall_service_list: Annotated[
        FirewallServiceGroupType | None, ListOf("firewall_service"), Required
    ] = None


class FirewallRuleEndpointType(Complex):
    """One end of a rule: one of a prefix, network, group, tags, or any."""

    subnet: SubnetType | None = None
    #: fq_name joined by colons; so is ``address_group``.
    virtual_network: str | None = None
    address_group: str | None = None
    #: Each ``type=value``; ``global:type=value`` for a global tag.
    tags: list[str] | None = None
    #: The numbers of ``tags``, made by the system: 48 bits, or 32 in the older form.
    tag_ids: list[UnsignedLong] | None = None
    any: bool | None = None


class FirewallRuleMatchTagsType(Complex):
    """Types of tags whose values must be the same at both ends."""

    tag_list: list[str] | None = None


class FirewallRuleMatchTagsTypeIdList(Complex):
    """The numbers of types of tags."""

    tag_type: list[int] | None = None


class FirewallRule(Resource, type="firewall-rule", parents=("policy-management", "project")):
    """What may pass between two ends."""

    #: What a draft does to the object that is in force; only set on drafts.
    draft_mode_state: DraftModeState | None = None
    action_list: Annotated[ActionListType | None, Required] = None
    #: What passes; or else service groups say it.
    service: FirewallServiceType | None = None
    endpoint_1: Annotated[FirewallRuleEndpointType | None, Required] = None
    endpoint_2: Annotated[FirewallRuleEndpointType | None, Required] = None
    match_tags: Annotated[FirewallRuleMatchTagsType | None, ListOf("tag_list"), Required] = None
    #: The numbers of ``match_tags``, made by the system.
    match_tag_types: Annotated[FirewallRuleMatchTagsTypeIdList | None, Required] = None
    direction: Annotated[FirewallRuleDirectionType | None, Required] = None
    service_group_refs: Annotated[list[Ref[None]], To("service-group")] = []
    address_group_refs: Annotated[list[Ref[None]], To("address-group")] = []
    virtual_network_refs: Annotated[list[Ref[None]], To("virtual-network")] = []
    security_logging_object_refs: Annotated[
        list[Ref[SloRateType]], To("security-logging-object")
    ] = []


class FirewallSequence(Complex):
    """Where a rule stands in a policy, or a policy in a set: the smallest first."""

    sequence: SequenceNumberType | None = None


class FirewallPolicy(Resource, type="firewall-policy", parents=("policy-management", "project")):
    """Rules in their order."""

    #: What a draft does to the object that is in force; only set on drafts.
    draft_mode_state: DraftModeState | None = None
    firewall_rule_refs: Annotated[list[Ref[FirewallSequence]], To("firewall-rule")] = []
    security_logging_object_refs: Annotated[
        list[Ref[SloRateType]], To("security-logging-object")
    ] = []


class ApplicationPolicySet(
    Resource, type="application-policy-set", parents=("policy-management", "project")
):
    """Policies in their order, for the workloads of an application."""

    #: What a draft does to the object that is in force; only set on drafts.
    draft_mode_state: DraftModeState | None = None
    #: It holds for all workloads, whatever their tags.
    all_applications: Annotated[bool | None, Default(False)] = None
    firewall_policy_refs: Annotated[
        list[Ref[FirewallSequence]], To("firewall-policy"), Required
    ] = []
    global_vrouter_config_refs: Annotated[
        list[Ref[None]], To("global-vrouter-config"), SystemOnly
    ] = []
