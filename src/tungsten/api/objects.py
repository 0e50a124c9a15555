"""Creating, changing and deleting one object: the steps that all types share.

Each function here runs inside a transaction (:class:`~tungsten.api.transactions.Write`); what
it raises undoes the transaction. The rules of single types are the hooks of
:mod:`tungsten.api.resources`, called at fixed places:

* ``name`` before the name of a new object is looked up, and may rewrite it;
* ``create`` when a new object is complete and its references resolved, before it is stored;
* ``update`` with the stored and the changed object, before the change is stored;
* ``delete`` before an object is looked at for children and referrers;
* ``goes_with`` tells what is deleted after it.

Who owns an object: a record with a *provenance* was derived by the compiler. People can
neither delete it nor change what the compiler says in it; it does not keep its parent from
being deleted and goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from tungsten.api import (
    authority,
    bodies,
    drafts,
    errors,
    permissions,
    quotas,
    references,
    relaxing,
)
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, Conflict, echo
from tungsten.api.resources.registry import hooks_of
from tungsten.api.resources.tags import refuse_tag_twice
from tungsten.api.transactions import Write, display, shared
from tungsten.compiler.rules import COMMON
from tungsten.model import (
    Reference,
    Resource,
    ResourceType,
    UnknownType,
    ValidationError,
    decode,
    resource_type,
)
from tungsten.store.base import Record
from tungsten.store.records import from_record

ROOT = "config-root"
ENVELOPE = frozenset(
    {"uuid", "fq_name", "parent_type", "parent_uuid", "name", "href", "parent_href"}
)
"""Members of an object's JSON form that are neither properties nor references."""

LEGACY = frozenset({"device_owner", "ip_fabric_forwarding"})
"""Members that known clients send and no schema has."""

PERMISSIONS_ACTION = "chmod"
"""What changes who may use an object, which never waits for a review."""

SYSTEM_REFS_ACTION = "its references of this kind are made by the system"


def typed(name: str) -> ResourceType:
    """The type of a dashed name. Raises NotFound."""
    try:
        return resource_type(name)
    except UnknownType:
        raise errors.unknown_type(name) from None


def typed_any(name: str) -> ResourceType:
    """The type of a dashed or underscored name. Raises NotFound."""
    dashed = name.replace("_", "-")
    return typed(dashed)


def known_fields(
    declared: ResourceType, fields: Mapping[str, Any], action: str, drop: bool
) -> Json:
    """The members of a body that the type has: its properties and references.

    Members of the envelope, children and back-references are left out, so that a whole answer
    can be sent back. Others are refused, or dropped if ``drop``.
    """
    known: Json = {}
    for key, value in fields.items():
        reference = declared.references.get(key)
        if reference is not None and references.is_system_made(declared.name, reference):
            continue
        if reference is not None:
            require_attr(reference, value, action)
        if reference is not None or key in declared.properties:
            known[key] = value
        elif not (drop or key in ENVELOPE or key in LEGACY or _computed(declared, key)):
            raise BadRequest(
                f"Bad property in {action}: Error validating property {echo(key)}: "
                f"{declared.name} does not have field {echo(key)}"
            )
    return known


def require_attr(reference: Reference, refs: Any, action: str) -> None:
    """References whose link can say something say it, or null."""
    if reference.attr is None or not isinstance(refs, list):
        return
    for ref in refs:
        if isinstance(ref, dict) and "attr" not in ref and (ref.get("to") or ref.get("uuid")):
            raise BadRequest(
                f"Bad reference in {action}: Error validating reference {reference.field} value "
                f"{echo(ref)}: it needs attr, what the link says; null is accepted"
            )


def _computed(declared: ResourceType, key: str) -> bool:
    return key in declared.children or key.endswith("_back_refs")


def decoded(declared: ResourceType, fields: Json, action: str) -> Resource:
    """The resource that a body describes. Raises BadRequest in the words of its clients."""
    try:
        return decode(declared.name, fields)
    except ValidationError as error:
        raise invalid(error, declared, action) from error


def invalid(error: ValidationError, declared: ResourceType, action: str) -> BadRequest:
    """The refusal of a value that does not fit its declaration."""
    if error.field in declared.references:
        where = f" at {error.field_path}" if len(error.path) > 2 else ""
        return BadRequest(
            f"Bad reference in {action}: Error validating reference {error.field} value "
            f"{echo(error.value)}{where}: {error.reason}"
        )
    return BadRequest(
        f"Bad property in {action}: Error validating property {error.field_path}: "
        f"{echo(error.reason)}"
    )


def stored(write: Write, declared: ResourceType, uuid: str) -> Record:
    """The record of an object of a type. Raises NotFound."""
    record = write.tx.get(uuid)
    if record is None:
        raise errors.unknown_id(uuid)
    if record.type != declared.name:
        raise errors.wrong_type(declared.name, uuid)
    return record


def refuse_derived(record: Record, new: Resource | None = None) -> None:
    """Raise Conflict for what the compiler derived: it is not for people to delete or change.

    What every object has (annotations, display name...) is people's on derived objects, too:
    ``new`` may differ in that.
    """
    if not record.provenance:
        return
    stored_now = from_record(record)
    if new is None or any(
        getattr(new, name) != getattr(stored_now, name)
        for name in stored_now.__struct_fields__
        if name not in COMMON
    ):
        raise Conflict(f"Cannot modify system resource {display(stored_now)}.")


# -- create ---------------------------------------------------------------------------------


def create(write: Write, declared: ResourceType, fields: Json, *, drop: bool = False) -> Resource:
    """Create an object from the members of its JSON form."""
    if not fields.get("fq_name"):
        raise BadRequest("Bad Request, no fq_name in POST body")
    name = bodies.fq_name(fields["fq_name"])
    if ":" in name[-1] and declared.name != "route-target":
        raise BadRequest("Bad Request, name has one of invalid chars {':'}")
    chosen = bodies.text(fields, "uuid")
    resource = decoded(declared, known_fields(declared, fields, "create", drop), "create")
    resource.fq_name = list(name)
    if authority.is_hidden(write.caller, resource):
        raise BadRequest("This object is not visible by users")
    hooks = hooks_of(declared.name)
    for rename in hooks.name:
        rename(write, resource)
    asked_parent = resource.parent_type or bodies.text(fields, "parent_type")
    resource.parent_type = parent_type(declared, resource, asked_parent)
    resource.uuid = bodies.uuid(chosen) if chosen else str(uuid4())
    parent = parent_of(write, resource)
    authority.require_parent(write.tx, write.caller, parent)
    refuse_taken(write, declared, resource, chosen=bool(chosen))
    resource.parent_uuid = parent.uuid if parent is not None else None
    permissions.fill_id_perms(resource, write.now, write.caller)
    permissions.fill_perms2(resource, parent, own_uuid=bool(chosen), caller=write.caller)
    if resource.display_name is None:
        resource.display_name = resource.fq_name[-1]
    references.resolve(write, resource, declared.references, "create")
    authority.require_links(write.tx, write.caller, resource)
    refuse_tag_twice(write, resource)
    for complete in hooks.create:
        complete(write, resource)
    quotas.check_new(write, resource)
    write.add(resource)
    return resource


def refuse_taken(write: Write, declared: ResourceType, resource: Resource, *, chosen: bool) -> None:
    """Raise Conflict when the name of a new object is another's, or the uuid that was chosen.

    It says whose only to those who may know of the other.
    """
    holder = write.tx.find(declared.name, tuple(resource.fq_name))
    if holder is not None:
        seen = authority.may_see(write.tx, write.caller, holder)
        raise errors.duplicate_name(resource.fq_name, holder.uuid if seen else None)
    holder = write.tx.get(resource.uuid) if chosen else None
    if holder is not None:
        seen = authority.may_see(write.tx, write.caller, holder)
        raise errors.duplicate_id(resource.uuid, holder.fq_name if seen else None)


def parent_type(declared: ResourceType, resource: Resource, asked: str | None) -> str | None:
    """The type of the parent of a new object, None for an object below the root.

    What a client leaves out is taken from the declaration where that leaves no choice.
    """
    allowed = list(declared.parents) or [ROOT]
    if asked is not None and asked not in allowed:
        raise BadRequest(f"Invalid parent type: {echo(asked)}. Allowed types: {allowed!r}")
    chosen = asked
    if chosen is None:
        if ROOT in allowed:
            chosen = ROOT
        elif len(allowed) == 1:
            chosen = allowed[0]
        else:
            raise BadRequest(f"Missing parent type: None. Allowed types: {allowed!r}")
    if chosen == ROOT:
        if len(resource.fq_name) != 1:
            raise BadRequest(
                f"Invalid fq-name of an object with no parent: {errors.name_list(resource.fq_name)}"
            )
        return None
    if len(resource.fq_name) < 2:
        raise BadRequest(
            f"Invalid fq-name for object with parent_type {chosen}: "
            f"{errors.name_list(resource.fq_name)}"
        )
    return chosen


def parent_of(write: Write, resource: Resource) -> Resource | None:
    """The parent that a new object names, to be read. Raises BadRequest when there is none."""
    if resource.parent_type is None:
        return None
    name = tuple(resource.fq_name[:-1])
    record = write.tx.find(resource.parent_type, name)
    if record is None:
        raise errors.missing_parent(name, resource.parent_type)
    return shared(record)


# -- update ---------------------------------------------------------------------------------


def update(
    write: Write, declared: ResourceType, uuid: str, fields: Json, *, drop: bool = False
) -> Resource:
    """Change the members of an object that ``fields`` has; null removes a property."""
    known = known_fields(declared, fields, "http_put", drop)
    changed = decoded(declared, known, "http_put")

    def apply(resource: Resource) -> list[str]:
        for key in known:
            if key == "id_perms":
                value: Any = permissions.change_id_perms(resource.id_perms, changed.id_perms)
            elif key == "perms2":
                value = permissions.merge_perms2(resource.perms2, changed.perms2)
            else:
                value = getattr(changed, key)
            setattr(resource, key, value)
        return [key for key in known if key in declared.references]

    return change(write, declared, uuid, apply, "update")


def change(
    write: Write,
    declared: ResourceType,
    uuid: str,
    apply: Callable[[Resource], list[str]],
    action: str,
) -> Resource:
    """Change an object by ``apply``, which returns the reference fields that it changed."""
    record, made = stored(write, declared, uuid), False
    if declared.name in drafts.TYPES and action != PERMISSIONS_ACTION:
        authority.require_record(write.tx, write.caller, record, authority.WRITE)
        record, made = drafts.to_change(write, record)
    mirror = references.Mirror(write.tx, declared)
    old, new = from_record(record), from_record(record)
    authority.require(write.tx, write.caller, old, authority.WRITE)
    mirror.show(old)
    for field in mirror.fields:
        setattr(new, field, list(references.refs_of(old, field)))
    fields = apply(new)
    references.resolve(write, new, fields, action)
    authority.require_links(write.tx, write.caller, new, old)
    if "tag_refs" in fields:
        refuse_tag_twice(write, new)
    for keep_rule in hooks_of(declared.name).update if action != PERMISSIONS_ACTION else ():
        keep_rule(write, old, new)
    authority.require_permissions_kept(write.tx, write.caller, old, new)
    for field in mirror.fields:
        if references.refs_of(new, field) == references.refs_of(old, field):
            setattr(new, field, references.refs_of(from_record(record), field))
        else:
            references.settle_symmetric(write, new, field)
    refuse_derived(record, new)
    quotas.check_changed(write, old, new)
    if new != from_record(record):  # what is sent back unchanged is no change
        write.touch(new)
        write.save(new, record)
        relaxing.forget_dropped(write.tx, record, new)
    elif made:
        write.tx.delete(record.uuid)
    return new


# -- delete ---------------------------------------------------------------------------------


def delete(write: Write, declared: ResourceType, uuid: str, base: str) -> None:
    """Delete an object and what was derived for it. ``base`` begins the hrefs of errors."""
    record = write.tx.get(uuid)
    if record is None:
        raise errors.NotFound(f"ID {echo(uuid)} does not exist")
    if record.type != declared.name:
        raise errors.wrong_type(declared.name, uuid)
    authority.require_delete(write.tx, write.caller, record)
    refuse_derived(record)
    if drafts.is_drafted(write.tx, record):
        _remove_later(write, record, base)
        return
    write.drafted = record.type in drafts.TYPES and drafts.is_draft(record.fq_name)
    remove(write, record, base)


def _remove_later(write: Write, record: Record, base: str) -> None:
    """Note in a draft that an object in force is to be deleted."""
    resource = from_record(record)
    for keep_rule in hooks_of(record.type).delete:
        keep_rule(write, resource)
    holders = [
        holder
        for holder in write.tx.referrers(record.uuid)
        if _keeps_target(write, holder, record.uuid) and drafts.holds(write.tx, holder)
    ]
    _refuse_if_held(write, holders, base)
    drafts.mark_deleted(write, record)


def _refuse_if_held(write: Write, holders: list[Record], base: str) -> None:
    if holders:
        raise errors.still_referred(_told(write, holders, base))


def _told(write: Write, records: list[Record], base: str) -> list[str]:
    """The addresses of those of the first type among ``records`` that the caller may know of."""
    seen = [one for one in records if authority.may_see(write.tx, write.caller, one)]
    return [href(base, one) for one in seen if one.type == seen[0].type]


def remove(write: Write, record: Record, base: str) -> None:
    """Delete a record, with all that goes with it."""
    resource, going = from_record(record), list[str]()
    if not record.provenance:
        for keep_rule in hooks_of(record.type).delete:
            keep_rule(write, resource)
        going = [uuid for tell in hooks_of(record.type).goes_with for uuid in tell(write, resource)]
    children = write.tx.children(record.uuid)
    blocking = [child for child in children if _keeps_parent(child, record)]
    if blocking:
        raise errors.children_present(_told(write, blocking, base))
    referrers = write.tx.referrers(record.uuid)
    if not record.provenance:
        holders = [holder for holder in referrers if _keeps_target(write, holder, record.uuid)]
        _refuse_if_held(write, holders, base)
    for child in children:
        remove(write, child, base)
    for holder in write.tx.referrers(record.uuid):
        references.drop(write, holder, record.uuid)
        relaxing.forget(write.tx, holder.uuid, record.uuid)
    write.tx.delete(record.uuid)
    for uuid in going:
        other = write.tx.get(uuid)
        if other is not None:
            remove(write, other, base)


def _keeps_parent(child: Record, parent: Record) -> bool:
    """Whether a child keeps its parent from being deleted."""
    link = resource_type(child.type).parent_links[parent.type]
    named = child.fq_name[-1] in (f"default-{child.type}", "draft-policy-management")
    return not (child.provenance or link.derived or named)


def _keeps_target(write: Write, holder: Record, target: str) -> bool:
    """Whether a referrer keeps its target from being deleted."""
    if holder.provenance:
        return False
    declared = resource_type(holder.type).references
    return any(
        edge.target == target
        and not edge.weak
        and not references.is_system_made(holder.type, declared[edge.field])
        for edge in holder.edges
    ) and not relaxing.is_relaxed(write.tx, holder.uuid, target)


def href(base: str, record: Record) -> str:
    """The address of an object."""
    return f"{base}/{record.type}/{record.uuid}"
