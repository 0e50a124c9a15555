"""The actions: what a client asks for that is not one object's create, read, update or delete.

Each is a function on a snapshot or a transaction, from the request's body to the answer's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tungsten.api import bodies, drafts, errors, objects, references, relaxing
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, NotFound, echo, name_list
from tungsten.api.transactions import Write
from tungsten.model import (
    Project,
    Ref,
    Resource,
    ResourceType,
    ValidationError,
    validate_attr,
)
from tungsten.store.base import Snapshot
from tungsten.store.records import from_record


def name_to_id(snapshot: Snapshot, body: Json) -> Json:
    """``POST /fqname-to-id``: the uuid of the object of a type and name."""
    type_ = bodies.text(body, "type")
    if not type_ or not body.get("fq_name"):
        raise BadRequest("Bad Request: type and fq_name must be specified")
    declared = objects.typed_any(type_)
    name = bodies.fq_name(body["fq_name"])
    record = snapshot.find(declared.name, name)
    if record is None:
        raise NotFound(f"Name {name_list(name)} not found")
    return {"uuid": record.uuid}


def id_to_name(snapshot: Snapshot, body: Json) -> Json:
    """``POST /id-to-fqname``: the type and name of the object with a uuid."""
    uuid = bodies.text(body, "uuid")
    if not uuid:
        raise BadRequest("Bad Request: uuid must be specified")
    record = snapshot.get(uuid)
    if record is None:
        raise NotFound(f"UUID {echo(uuid)} not found")
    return {"fq_name": list(record.fq_name), "type": record.type}


def ref_update(write: Write, body: Json) -> Json:
    """``POST /ref-update``: add one reference to an object, or take it away.

    Adding a reference that is there replaces what it says; taking away one that is not is no
    error.
    """
    asked = {key: bodies.text(body, key) for key in ("type", "uuid", "ref-type", "operation")}
    if not all(asked.values()):
        said = "/".join(str(value) for value in asked.values())
        raise BadRequest(f"Bad Request: type/uuid/ref-type/operation is null: {echo(said)}")
    type_, uuid, ref_type, operation = (value or "" for value in asked.values())
    if operation.upper() not in ("ADD", "DELETE"):
        raise BadRequest(f"Bad Request: operation should be add or delete: {echo(operation)}")
    ref_uuid, ref_name = bodies.text(body, "ref-uuid"), body.get("ref-fq-name")
    if not ref_uuid and not ref_name:
        raise BadRequest("Bad Request: ref-uuid or ref-fq-name must be specified")
    declared, target = objects.typed_any(type_), ref_type.replace("_", "-")
    reference = next((r for r in declared.references.values() if r.target == target), None)
    if reference is None:
        objects.typed(target)
        raise BadRequest(
            f"Bad Request: {declared.name} has no reference to {echo(ref_type)}; it has them to "
            + ", ".join(sorted({one.target for one in declared.references.values()}))
        )
    if references.is_system_made(declared.name, reference):
        raise errors.Forbidden(
            f"{reference.field} of {declared.name} {echo(uuid)} is set by the system"
        )
    asked_ref = Ref(
        list(bodies.fq_name(ref_name)) if ref_name and not ref_uuid else [],
        ref_uuid or "",
        _attr(declared, reference.field, body.get("attr")),
    )
    found = references.find_target(write.tx, reference, asked_ref)
    adding = operation.upper() == "ADD"
    if reference.target in drafts.TYPES:
        holder = from_record(objects.stored(write, declared, uuid))
        found = drafts.target(write.tx, holder, reference.target, asked_ref.to, found)
    if found is None and adding:
        named = ref_uuid or name_list(asked_ref.to)
        raise NotFound(f"{reference.target} {echo(named)} not found")

    def apply(resource: Resource) -> list[str]:
        held = references.refs_of(resource, reference.field)
        target_uuid = found.uuid if found is not None else ref_uuid
        kept = [ref for ref in held if ref.uuid != target_uuid]
        if adding and found is not None:
            new: Ref[Any] = Ref(list(found.fq_name), found.uuid, asked_ref.attr)
            at = next((i for i, ref in enumerate(held) if ref.uuid == found.uuid), len(kept))
            kept.insert(at, new)
        setattr(resource, reference.field, kept)
        return [reference.field]

    objects.change(write, declared, uuid, apply, "ref-update")
    if adding and found is not None and bodies.flag(body, "relax_ref_for_delete"):
        relaxing.note(write.tx, uuid, found.uuid)
    return {"uuid": uuid}


def _attr(declared: ResourceType, field: str, raw: Any) -> Any:
    try:
        return validate_attr(declared.name, field, raw)
    except ValidationError as error:
        raise objects.invalid(error, declared, "ref-update") from error


# -- tags -----------------------------------------------------------------------------------


def set_tag(write: Write, body: Json) -> Json:
    """``POST /set-tag``: set, add or remove tags of an object by type and value."""
    type_, uuid = bodies.text(body, "obj_type"), bodies.text(body, "obj_uuid")
    if not type_ or not uuid:
        raise BadRequest("Object type and UUID must be specified")
    declared = objects.typed_any(type_)

    def apply(resource: Resource) -> list[str]:
        for kind, wanted in body.items():
            if kind not in ("obj_type", "obj_uuid"):
                _set_kind(write, resource, kind.lower(), wanted)
        return ["tag_refs"]

    objects.change(write, declared, uuid, apply, "set-tag")
    return {}


def _set_kind(write: Write, resource: Resource, kind: str, wanted: Any) -> None:
    """Apply what is asked for the tags of one type."""
    others = [ref for ref in resource.tag_refs if ref.to[-1].partition("=")[0] != kind]
    mine = [ref for ref in resource.tag_refs if ref.to[-1].partition("=")[0] == kind]
    if wanted is None:
        resource.tag_refs = others
        return
    if not isinstance(wanted, Mapping):
        raise BadRequest(f"No valid value provided for tag type {echo(kind)}")
    value = wanted.get("value")
    add = [*([value] if value else []), *(wanted.get("add_values") or [])]
    remove = wanted.get("delete_values") or []
    if (not add and not remove) or not all(isinstance(one, str) for one in [*add, *remove]):
        raise BadRequest(f"No valid value provided for tag type {echo(kind)}")
    if kind not in ("label", "neutron_fwaas", "neutron_tag"):
        if len(add) > 1:
            raise BadRequest(f"Tag type {kind} cannot be set multiple times on a same object.")
        mine = [] if add else mine
    gone = {f"{kind}={one}" for one in remove}
    mine = [ref for ref in mine if ref.to[-1] not in gone]
    for one in add:
        ref = _find_tag(write, resource, f"{kind}={one}", bool(wanted.get("is_global")))
        if all(ref.uuid != held.uuid for held in mine):
            mine.append(ref)
    resource.tag_refs = [*others, *mine]


def _find_tag(write: Write, resource: Resource, name: str, is_global: bool) -> Ref[None]:
    fq_name = (name,) if is_global else (*_tag_scope(write, resource, name), name)
    record = write.tx.find("tag", fq_name)
    if record is None:
        raise NotFound(f"Tag with FQName {name_list(fq_name)} not found")
    return Ref(list(record.fq_name), record.uuid)


def _tag_scope(write: Write, resource: Resource, name: str) -> tuple[str, ...]:
    """The project in which an object's own tags are looked for."""
    if isinstance(resource, Project):
        return tuple(resource.fq_name)
    if resource.parent_type == "project":
        return tuple(resource.fq_name[:-1])
    owner = (resource.perms2.owner if resource.perms2 else None) or ""
    digits = owner.replace("-", "")
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    project = write.load(Project, uuid)
    if project is None:
        raise NotFound(f"Not able to determine the scope of the tag '{echo(name)}'")
    return tuple(project.fq_name)
