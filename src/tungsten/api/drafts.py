"""Drafts of security policies: changes that wait to be reviewed before they hold.

A *scope* is a project, or the whole system. While drafts are on in a scope (its
``enable_security_policy_draft``) it has a policy-management called ``draft-policy-management``,
and what is written to its firewall objects is written to *drafts* below that: copies whose
``draft_mode_state`` says what becomes of the object in force, ``created``, ``updated`` or
``deleted``. Objects in force stay as they are until a review takes the drafts over or throws them
away (:mod:`tungsten.api.draft_review`).

A draft refers to objects in force, and to drafts of its own scope that will be new ones; its
uuid is then the uuid of the new object. Nothing in force refers to a draft.

Names are fq_names; a scope is the fq_name of its project, empty for the system.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from tungsten.api import authority, errors
from tungsten.api.errors import BadRequest
from tungsten.api.permissions import halves
from tungsten.api.transactions import Write
from tungsten.model import Resource, type_of
from tungsten.store.base import Record, Snapshot
from tungsten.store.records import from_record

TYPES = (
    "address-group",
    "service-group",
    "firewall-rule",
    "firewall-policy",
    "application-policy-set",
)
"""Types that have drafts: each after those that it refers to."""

MANAGEMENT = "draft-policy-management"
GLOBAL_MANAGEMENT = "default-policy-management"
CREATED, UPDATED, DELETED = "created", "updated", "deleted"

Name = tuple[str, ...]


# -- names ----------------------------------------------------------------------------------


def is_draft(fq_name: Sequence[str]) -> bool:
    """Whether a name of a firewall object is that of a draft."""
    return len(fq_name) > 1 and fq_name[-2] == MANAGEMENT


def scope_of(fq_name: Sequence[str]) -> Name:
    """The scope that a firewall object is of."""
    above = tuple(fq_name[:-1])
    if is_draft(fq_name):
        return above[:-1]
    return () if above == (GLOBAL_MANAGEMENT,) else above


def name_in_force(fq_name: Sequence[str]) -> Name:
    """The name of the object in force, of a draft or of itself."""
    if not is_draft(fq_name):
        return tuple(fq_name)
    return (*(scope_of(fq_name) or (GLOBAL_MANAGEMENT,)), fq_name[-1])


def draft_name(fq_name: Sequence[str]) -> Name:
    """The name of the draft of an object."""
    return (*scope_of(fq_name), MANAGEMENT, fq_name[-1])


# -- what there is --------------------------------------------------------------------------


def management(snapshot: Snapshot, scope: Name) -> Record | None:
    """Where the drafts of a scope are; None while drafts are off."""
    return snapshot.find("policy-management", (*scope, MANAGEMENT))


def draft_of(snapshot: Snapshot, type_: str, fq_name: Sequence[str]) -> Record | None:
    """The draft of an object in force."""
    return snapshot.find(type_, draft_name(fq_name))


def written(snapshot: Snapshot, type_: str, fq_name: Name) -> Record | None:
    """The object that a write by this name goes to: its draft where there is one."""
    found = snapshot.find(type_, fq_name)
    if type_ not in TYPES or is_draft(fq_name):
        return found
    return draft_of(snapshot, type_, fq_name) or found


def state_of(draft: Record) -> str:
    """What becomes of the object in force by a draft."""
    return getattr(from_record(draft), "draft_mode_state", None) or UPDATED


def is_drafted(snapshot: Snapshot, record: Record) -> bool:
    """Whether a write to this object goes to a draft: it is in force, and drafts are on."""
    if record.type not in TYPES or is_draft(record.fq_name):
        return False
    return management(snapshot, scope_of(record.fq_name)) is not None


def shown(record: Record) -> str:
    """A record as texts about drafts name it: ``Firewall Rule resource 'a:b' (uuid)``."""
    words = record.type.replace("-", " ").title()
    return f"{words} resource '{':'.join(record.fq_name)}' ({record.uuid})"


# -- writes ---------------------------------------------------------------------------------


def redirect_new(write: Write, resource: Resource) -> None:
    """What is made while drafts are on is made as a draft (a rule asked before names are)."""
    type_, name = type_of(resource).name, tuple(resource.fq_name)
    if len(name) < 2:
        return
    place = management(write.tx, scope_of(name))
    if not is_draft(name) and place is None:
        return
    if place is not None:  # who may not write here is not told what is taken
        authority.require_record(write.tx, write.caller, place, authority.WRITE)
    holder = write.tx.find(type_, name_in_force(name))
    if holder is not None:
        raise errors.duplicate_name(holder.fq_name, holder.uuid)
    resource.fq_name = list(draft_name(name))
    resource.parent_type = "policy-management"
    setattr(resource, "draft_mode_state", CREATED)  # noqa: B010 - all of TYPES have it
    write.drafted = True


def to_change(write: Write, record: Record) -> tuple[Record, bool]:
    """The record that a change of ``record`` goes to, and whether it was made for that.

    Raises BadRequest for what is to be deleted.
    """
    if record.type not in TYPES:
        return record, False
    draft: Record | None = record
    if not is_draft(record.fq_name):
        if management(write.tx, scope_of(record.fq_name)) is None:
            return record, False
        draft = draft_of(write.tx, record.type, record.fq_name)
    write.drafted = True
    if draft is None:
        return _copy(write, record, UPDATED), True
    if state_of(draft) == DELETED:
        raise BadRequest(f"{shown(record)} is in pending delete state, it cannot be updated")
    return draft, False


def mark_deleted(write: Write, record: Record) -> None:
    """The object in force is to be deleted, whatever else was to become of it."""
    draft = draft_of(write.tx, record.type, record.fq_name)
    if draft is not None:
        write.tx.delete(draft.uuid)
    _copy(write, record, DELETED)
    write.drafted = True


def _copy(write: Write, record: Record, state: str) -> Record:
    """A draft of an object in force, as that stands."""
    holder = management(write.tx, scope_of(record.fq_name))
    assert holder is not None
    copy = from_record(record)
    copy.uuid = str(uuid4())
    copy.fq_name = list(draft_name(record.fq_name))
    copy.parent_type, copy.parent_uuid = holder.type, holder.uuid
    setattr(copy, "draft_mode_state", state)  # noqa: B010 - all of TYPES have it
    if copy.id_perms is not None:
        copy.id_perms.uuid = halves(copy.uuid)
        copy.id_perms.created = write.now
    write.touch(copy)
    write.add(copy)
    made = write.tx.get(copy.uuid)
    assert made is not None
    return made


# -- references -----------------------------------------------------------------------------


def writing_scope(snapshot: Snapshot, type_: str, fq_name: Sequence[str]) -> Name | None:
    """The scope whose drafts an object may refer to when it is written; None: it may to none."""
    if type_ not in TYPES:
        return None
    scope = scope_of(fq_name)
    return scope if is_draft(fq_name) or management(snapshot, scope) is not None else None


def target(
    snapshot: Snapshot, holder: Resource, type_: str, to: Sequence[str], found: Record | None
) -> Record | None:
    """What ``holder`` refers to when it names an object of ``type_`` that is ``found``, or not.

    The draft of an object in force stands for that object, and the name that a new object will
    have for its draft. Raises BadRequest for what is to be deleted, and for drafts of others.
    """
    if type_ not in TYPES:
        return found
    scope = writing_scope(snapshot, type_of(holder).name, holder.fq_name)
    if found is None:
        if scope is None or not to or scope_of(to) != scope:
            return None
        return snapshot.find(type_, draft_name(to))
    if is_draft(found.fq_name):
        in_force = snapshot.find(type_, name_in_force(found.fq_name))
        if in_force is None:
            if scope_of(found.fq_name) != scope:
                raise BadRequest(
                    f"Referenced {shown(found)} is a draft, only drafts of its scope may refer "
                    "to it"
                )
            return found
        found = in_force
    draft = draft_of(snapshot, type_, found.fq_name)
    if draft is not None and state_of(draft) == DELETED:
        raise BadRequest(
            f"Referenced {shown(found)} is in pending delete state, it cannot be referenced"
        )
    return found


def holds(snapshot: Snapshot, holder: Record) -> bool:
    """Whether the references of an object will stand once the drafts of its scope hold."""
    if holder.type not in TYPES:
        return True
    if is_draft(holder.fq_name):
        return state_of(holder) != DELETED
    return draft_of(snapshot, holder.type, holder.fq_name) is None
