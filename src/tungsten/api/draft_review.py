"""``POST /security-policy-draft``: the drafts of a scope are taken over, or thrown away.

Either is one transaction. Taking over: the drafts go; new and changed objects are stored, each
after those it refers to; what was to be deleted is deleted, each before what it refers to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tungsten.api import authority, bodies, drafts, errors, objects, permissions, quotas
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, echo, name_list
from tungsten.api.transactions import Write
from tungsten.model import Resource, type_of
from tungsten.store.base import Record
from tungsten.store.records import from_record

SCOPES = {"project": "Project", "global-system-config": "Global System Config"}
"""The types whose objects are scopes, and what texts call them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope with drafts: where its objects in force are, and its drafts, in order."""

    parent_type: str
    parent_uuid: str
    drafts: tuple[Record, ...]


def review(write: Write, body: Json, base: str) -> Json:
    """Commit or discard the drafts of a scope. ``base`` begins the hrefs of errors."""
    action = body.get("action")
    if action not in ("commit", "discard"):
        raise BadRequest("Only 'commit' or 'discard' actions are supported")
    scope = _scope(write, bodies.text(body, "scope_uuid") or "")
    for draft in reversed(scope.drafts):
        write.tx.delete(draft.uuid)
    if action == "commit":
        _commit(write, scope, base)
    return {}


def _scope(write: Write, uuid: str) -> Scope:
    record = write.tx.get(uuid)
    if record is None:
        raise errors.unknown_id(uuid)
    if record.type not in SCOPES:
        raise BadRequest(
            f"The scope of drafts is a {' or a '.join(SCOPES)}, not the {record.type} {echo(uuid)}"
        )
    authority.require_record(write.tx, write.caller, record, authority.WRITE)
    is_project = record.type == "project"
    holder = drafts.management(write.tx, record.fq_name if is_project else ())
    if holder is None:
        raise BadRequest(
            f"Security draft mode is not enabled on the {SCOPES[record.type]} "
            f"{name_list(record.fq_name)} ({record.uuid})"
        )
    parent: Record | None = record
    if not is_project:
        parent = write.tx.find("policy-management", (drafts.GLOBAL_MANAGEMENT,))
        assert parent is not None
    assert parent is not None
    order = {type_: at for at, type_ in enumerate(drafts.TYPES)}
    found = [one for one in write.tx.children(holder.uuid) if one.type in order]
    return Scope(parent.type, parent.uuid, tuple(sorted(found, key=lambda one: order[one.type])))


def _commit(write: Write, scope: Scope, base: str) -> None:
    going = []
    for draft in scope.drafts:
        in_force = write.tx.find(draft.type, drafts.name_in_force(draft.fq_name))
        state = drafts.state_of(draft)
        if state == drafts.DELETED:
            if in_force is not None:
                going.append(in_force.uuid)
        elif in_force is None:
            _create(write, scope, from_record(draft))
        elif state == drafts.CREATED:
            raise errors.duplicate_name(in_force.fq_name, in_force.uuid)
        else:
            _update(write, from_record(draft), in_force)
    for uuid in reversed(going):
        record = write.tx.get(uuid)
        if record is not None:
            objects.remove(write, record, base)


def _create(write: Write, scope: Scope, resource: Resource) -> None:
    """A draft becomes a new object with its uuid."""
    _put_in_force(resource)
    resource.parent_type, resource.parent_uuid = scope.parent_type, scope.parent_uuid
    write.touch(resource)
    quotas.check_new(write, resource)
    write.add(resource)


def _update(write: Write, draft: Resource, record: Record) -> None:
    """An object in force becomes what its draft says."""
    before = from_record(record)
    _put_in_force(draft)
    draft.uuid = before.uuid
    draft.parent_type, draft.parent_uuid = before.parent_type, before.parent_uuid
    draft.id_perms = permissions.change_id_perms(before.id_perms, draft.id_perms)
    draft.perms2 = before.perms2  # what was said of it since the draft was made stands
    write.touch(draft)
    write.save(draft, record)


def _put_in_force(draft: Resource) -> None:
    draft.fq_name = list(drafts.name_in_force(draft.fq_name))
    setattr(draft, "draft_mode_state", None)  # noqa: B010 - all drafts have it
    for field, reference in type_of(draft).references.items():
        if reference.target in drafts.TYPES:
            refs: list[Any] = getattr(draft, field)
            for ref in refs:
                ref.to = list(drafts.name_in_force(ref.to))
