"""``POST /transaction``: many creates, updates and deletes, all or none.

The operations run in the order in which they are sent, each sees what those before it did, and
all become one commit. The first that is refused undoes them all; the refusal says which one it
was, by its index from 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tungsten.api import actions, bodies, collections, errors, objects
from tungsten.api.bodies import Json
from tungsten.api.errors import ApiFault, BadRequest, echo
from tungsten.api.transactions import Write
from tungsten.model import Resource, ResourceType

MOST = 10_000
"""Operations of one transaction."""


BRIEF = 16
"""Operations up to which a transaction is likely to be brief."""


def is_brief(body: Json) -> bool:
    """Whether a transaction is likely to read and write little."""
    asked = body.get("operations")
    return isinstance(asked, list) and len(asked) <= BRIEF


def run(write: Write, body: Json, base: str, *, drop: bool) -> Json:
    """Run all operations; what each did, in their order."""
    asked = body.get("operations")
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise BadRequest("Bad Request, operations must be a list of objects")
    if len(asked) > MOST:
        raise BadRequest(f"Bad Request, {len(asked)} operations are more than {MOST}")
    return {"results": [_numbered(write, at, one, base, drop) for at, one in enumerate(asked)]}


def _numbered(write: Write, at: int, asked: Json, base: str, drop: bool) -> Json:
    try:
        return _one(write, asked, base, drop)
    except ApiFault as fault:
        what = " ".join(echo(str(asked[key])) for key in ("operation", "type") if asked.get(key))
        raise ApiFault(f"operation {at} ({what}): {fault.text}", status=fault.status) from fault


def _one(write: Write, asked: Json, base: str, drop: bool) -> Json:
    operation = bodies.text(asked, "operation") or ""
    if operation in _ACTIONS:
        return _ACTIONS[operation](write, asked) or {}
    if operation not in ("create", "update", "delete"):
        accepted = ", ".join(("create", "update", "delete", *_ACTIONS))
        raise BadRequest(f"Bad Request, operation must be one of {accepted}: {echo(operation)}")
    declared = objects.typed_any(bodies.text(asked, "type") or "")
    if operation == "create":
        return _said(objects.create(write, declared, _object(asked), drop=drop), declared, base)
    uuid = _uuid(write, declared, asked)
    if operation == "delete":
        objects.delete(write, declared, uuid, base)
        return {"type": declared.name, "uuid": uuid}
    changed = objects.update(write, declared, uuid, _object(asked), drop=drop)
    return _said(changed, declared, base)


def _object(asked: Json) -> Json:
    value = asked.get("object")
    if not isinstance(value, dict):
        raise BadRequest(f"Bad Request, object must be a JSON object, not {echo(value)}")
    return value


def _uuid(write: Write, declared: ResourceType, asked: Json) -> str:
    uuid = bodies.text(asked, "uuid")
    if uuid:
        return uuid
    name = bodies.fq_name(asked.get("fq_name"))
    record = write.tx.find(declared.name, name)
    if record is None:
        raise errors.NotFound(f"Name {errors.name_list(name)} not found")
    return record.uuid


def _said(resource: Resource, declared: ResourceType, base: str) -> Json:
    href = f"{base}/{declared.name}/{resource.uuid}"
    return {
        "type": declared.name,
        "uuid": resource.uuid,
        "fq_name": resource.fq_name,
        "href": href,
    }


_ACTIONS: dict[str, Callable[[Write, Json], Any]] = {
    "ref-update": actions.ref_update,
    "prop-collection-update": collections.update,
    "set-tag": lambda write, asked: actions.set_tag(
        write, {key: value for key, value in asked.items() if key != "operation"}
    ),
}
