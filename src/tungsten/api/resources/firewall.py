"""Rules of firewall policies: what may refer to what, and what the system adds to a rule.

A firewall rule is written with names (tags, an address group, a protocol); the system adds what
hosts need: the numbers of tags and protocols, and references to what is named.
"""

from __future__ import annotations

from typing import Any

from tungsten.api import authority, drafts
from tungsten.api.errors import BadRequest, NotFound, echo, name_list
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.security import PROTOCOLS, check_protocol
from tungsten.api.transactions import Write, display, find
from tungsten.model import Ref, Resource, Tag, type_of
from tungsten.model.firewall import (
    AddressGroup,
    ApplicationPolicySet,
    FirewallPolicy,
    FirewallRule,
    FirewallRuleEndpointType,
    FirewallRuleMatchTagsType,
    FirewallRuleMatchTagsTypeIdList,
    FirewallServiceType,
    ServiceGroup,
)
from tungsten.model.security import TagType
from tungsten.store.base import Record

GLOBAL = "global:"
ENDS = ("subnet", "virtual_network", "address_group", "tags", "any")
DEFAULT_MATCH = ("application",)


# -- all five types -------------------------------------------------------------------------


def refuse_draft_state(write: Write, resource: Any) -> None:
    """The state of a draft is not for clients to set."""
    if resource.draft_mode_state is not None:
        raise BadRequest("Security resource property 'draft_mode_state' is only readable")


def keep_draft_state(write: Write, old: Any, new: Any) -> None:
    """The state of a draft is not for clients to change."""
    if old.draft_mode_state != new.draft_mode_state:
        raise BadRequest("Security resource property 'draft_mode_state' is only readable")


def refuse_narrower_scope(write: Write, resource: Resource) -> None:
    """What is global refers to nothing of a project."""
    if len(resource.fq_name) != 2:
        return
    for field, reference in type_of(resource).references.items():
        if reference.target not in drafts.TYPES:
            continue
        for ref in getattr(resource, field):
            if len(ref.to) > 2:
                words = reference.target.replace("-", " ").title()
                raise BadRequest(
                    f"Global {_shown(resource)} cannot reference a scoped "
                    f"{words} {':'.join(ref.to)} ({ref.uuid})"
                )


def _shown(resource: Resource) -> str:
    return display(resource).replace("(", " (")


# -- application-policy-set -----------------------------------------------------------------


def refuse_all_applications(write: Write, policy_set: ApplicationPolicySet) -> None:
    """Only the sets that the system makes hold for all applications."""
    if policy_set.all_applications:
        raise BadRequest("Application policy set 'all-applications' flag is read-only")


def keep_all_applications(
    write: Write, old: ApplicationPolicySet, new: ApplicationPolicySet
) -> None:
    """Whether a set holds for all applications stays as it was."""
    if bool(old.all_applications) != bool(new.all_applications):
        raise BadRequest("Application policy set 'all-applications' flag is read-only")


def refuse_default_set(write: Write, policy_set: ApplicationPolicySet) -> None:
    """The sets that the system makes stay."""
    if policy_set.all_applications and policy_set.draft_mode_state is None:
        raise BadRequest("Application Policy Set defined on all applications cannot be deleted")


# -- service-group --------------------------------------------------------------------------


def number_services(write: Write, group: ServiceGroup) -> None:
    """The services of a group have the numbers of their protocols."""
    services = group.service_group_firewall_service_list
    for service in (services.firewall_service if services else None) or []:
        number_protocol(service)


def number_protocol(service: FirewallServiceType) -> None:
    """A service has the number of its protocol."""
    if service.protocol:
        check_protocol(service.protocol)
        name = service.protocol.lower()
        service.protocol_id = PROTOCOLS[name] if name in PROTOCOLS else int(name)


# -- firewall-rule --------------------------------------------------------------------------


def refuse_direct_references(write: Write, rule: FirewallRule) -> None:
    """What a rule's ends are is said in its endpoints."""
    for refs, what, field in (
        (rule.tag_refs, "Tags", "tags"),
        (rule.address_group_refs, "Address Group", "address_group"),
    ):
        if refs:
            raise BadRequest(
                f"Cannot directly define {what} reference from a Firewall Rule. "
                f"Use '{field}' endpoints property in the Firewall Rule"
            )


def keep_direct_references(write: Write, old: FirewallRule, new: FirewallRule) -> None:
    """The references made from a rule's endpoints are changed there."""
    unchanged = FirewallRule()
    if old.tag_refs != new.tag_refs:
        unchanged.tag_refs = new.tag_refs
    if old.address_group_refs != new.address_group_refs:
        unchanged.address_group_refs = new.address_group_refs
    refuse_direct_references(write, unchanged)


def check_service(write: Write, rule: FirewallRule) -> None:
    """A rule says what passes itself, or by a service group."""
    if rule.service is not None and rule.service_group_refs:
        raise BadRequest(
            "Firewall Rule cannot have both defined 'service' property and Service Group "
            "reference(s)"
        )
    if rule.service is None and not rule.service_group_refs:
        raise BadRequest(
            "Firewall Rule requires at least 'service' property or Service Group references(s)"
        )
    if rule.service is not None:
        number_protocol(rule.service)


def settle_ends(write: Write, rule: FirewallRule) -> None:
    """A rule refers to the tags and groups that its endpoints name, and has the tags' numbers."""
    tags: dict[str, Ref[None]] = {}
    groups: dict[str, Ref[None]] = {}
    for end in (rule.endpoint_1, rule.endpoint_2):
        if end is None:
            continue
        _check_end(end)
        held = [_tag(write, rule, text) for text in end.tags or []]
        for tag in held:
            tags[tag.uuid] = Ref(list(tag.fq_name), tag.uuid)
        if held or end.tag_ids:
            end.tag_ids = [int(tag.tag_id or "0", 16) for tag in held]
        if end.address_group:
            found = _group(write, rule, end.address_group)
            end.address_group = ":".join(drafts.name_in_force(found.fq_name))
            groups[found.uuid] = Ref(list(found.fq_name), found.uuid)
    before = {ref.uuid for ref in (*rule.tag_refs, *rule.address_group_refs)}
    authority.require_links_to(write.tx, write.caller, {*tags, *groups} - before)
    rule.tag_refs = list(tags.values())
    rule.address_group_refs = list(groups.values())


def _check_end(end: FirewallRuleEndpointType) -> None:
    said = [name for name in ENDS if getattr(end, name)]
    if len(said) > 1:
        raise BadRequest(
            f"Endpoint is limited to only one endpoint type at a time, not {', '.join(said)}"
        )


def _group(write: Write, rule: FirewallRule, text: str) -> Record:
    """The address group that an endpoint names."""
    type_, name = "address-group", tuple(text.split(":"))
    record = drafts.target(write.tx, rule, type_, name, write.tx.find(type_, name))
    if record is None:
        raise NotFound(f"No {type_} object found for {echo(text)}")
    return record


def _tag(write: Write, rule: FirewallRule, text: str) -> Tag:
    """The tag that an endpoint names: of the rule's project, or a global one."""
    name = text.removeprefix(GLOBAL)
    project = drafts.scope_of(rule.fq_name)
    scope = project if len(project) == 2 and name == text else ()
    tag = find(write.tx, Tag, "tag", [*scope, name])
    if tag is None:
        raise NotFound(f"Tag with FQName {name_list([*scope, name])} not found")
    return tag


def number_match_tags(write: Write, rule: FirewallRule) -> None:
    """A rule has the numbers of the types of tags that must match; by default of application."""
    if rule.match_tags is None or rule.match_tags.tag_list is None:
        rule.match_tags = FirewallRuleMatchTagsType(tag_list=list(DEFAULT_MATCH))
    numbers = []
    for name in rule.match_tags.tag_list or []:
        if name.lower() == "label":
            raise BadRequest("labels not allowed as match-tags")
        tag_type = find(write.tx, TagType, "tag-type", [name.lower()])
        if tag_type is None:
            raise NotFound(f"Tag type {echo(name)} not found")
        numbers.append(int(tag_type.tag_type_id or "0", 16))
    rule.match_tag_types = FirewallRuleMatchTagsTypeIdList(tag_type=numbers)


def settle_rule(write: Write, rule: FirewallRule) -> None:
    """All that is checked in, and added to, a rule."""
    check_service(write, rule)
    settle_ends(write, rule)
    number_match_tags(write, rule)
    refuse_narrower_scope(write, rule)


DRAFT_NAME = (refuse_draft_state, drafts.redirect_new)

HOOKS: dict[str, Hooks[Any]] = {
    "address-group": Hooks[AddressGroup](name=DRAFT_NAME, update=(keep_draft_state,)),
    "service-group": Hooks[ServiceGroup](
        name=DRAFT_NAME,
        create=(number_services,),
        update=(keep_draft_state, lambda write, old, new: number_services(write, new)),
    ),
    "firewall-rule": Hooks[FirewallRule](
        name=DRAFT_NAME,
        create=(refuse_direct_references, settle_rule),
        update=(
            keep_draft_state,
            keep_direct_references,
            lambda write, old, new: settle_rule(write, new),
        ),
    ),
    "firewall-policy": Hooks[FirewallPolicy](
        name=DRAFT_NAME,
        create=(refuse_narrower_scope,),
        update=(keep_draft_state, lambda write, old, new: refuse_narrower_scope(write, new)),
    ),
    "application-policy-set": Hooks[ApplicationPolicySet](
        name=DRAFT_NAME,
        create=(refuse_all_applications, refuse_narrower_scope),
        update=(
            keep_draft_state,
            keep_all_applications,
            lambda write, old, new: refuse_narrower_scope(write, new),
        ),
        delete=(refuse_default_set,),
    ),
}
