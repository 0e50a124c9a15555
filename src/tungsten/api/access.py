"""``POST /chown`` and ``POST /chmod``: whose an object is, and who else may use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from tungsten.api import authority, bodies, drafts, errors, objects
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, Forbidden
from tungsten.api.permissions import ALL
from tungsten.api.transactions import Write
from tungsten.model import Resource, resource_type
from tungsten.model.common import PermType2, ShareType
from tungsten.store.records import from_record

KINDS = ("tenant", "domain")


def chown(write: Write, body: Json) -> Json:
    """Give an object to another project."""
    for key, what in (("uuid", "resource"), ("owner", "owner")):
        if not body.get(key):
            raise BadRequest(f"Bad Request, no {what} UUID provided to chown")
    uuid = _uuid(body["uuid"], "Bad Request, invalid resource UUID")
    owner = _uuid(body["owner"], "Bad Request, invalid owner UUID")

    def apply(perms2: PermType2) -> None:
        perms2.owner = owner.replace("-", "")

    return _change(write, uuid, apply)


def chmod(write: Write, body: Json) -> Json:
    """Say what owner, others and everybody may do with an object."""
    uuid = _uuid(body.get("uuid"), "Bad Request, invalid object id")

    def apply(perms2: PermType2) -> None:
        if body.get("owner") is not None:
            owner = _uuid(body["owner"], "Bad Request, invalid owner")
            perms2.owner = owner.replace("-", "")
        for name in ("owner_access", "global_access"):
            if body.get(name) is not None:
                setattr(perms2, name, _access(body[name], f"Bad Request, invalid {name} value"))
        if body.get("share") is not None:
            perms2.share = _shares(body["share"])

    return _change(write, uuid, apply, shares=body.get("global_access") is not None)


def _change(
    write: Write, uuid: str, apply: Callable[[PermType2], None], *, shares: bool = False
) -> Json:
    record = write.tx.get(uuid)
    if record is None:
        raise errors.unknown_id(uuid)
    stored = from_record(record)
    if authority.is_hidden(write.caller, stored) or not authority.may(
        write.tx, write.caller, stored, authority.READ | authority.WRITE
    ):
        raise Forbidden(" Permission denied")

    def run(resource: Resource) -> list[str]:
        perms2 = resource.perms2 or PermType2(owner_access=ALL, global_access=0, share=[])
        apply(perms2)
        resource.perms2 = perms2
        if shares and hasattr(resource, "is_shared"):
            resource.is_shared = bool(perms2.global_access)
        return []

    declared = resource_type(record.type)
    objects.change(write, declared, uuid, run, objects.PERMISSIONS_ACTION)
    if drafts.is_drafted(write.tx, record):
        draft = drafts.draft_of(write.tx, record.type, record.fq_name)
        if draft is not None:
            objects.change(write, declared, draft.uuid, run, objects.PERMISSIONS_ACTION)
    return {}


def _uuid(value: Any, refusal: str) -> str:
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError) as error:
        raise BadRequest(refusal) from error


def _access(value: Any, refusal: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= ALL:
        raise BadRequest(f"{refusal}: expected 0 to 7")
    return value


def _shares(value: Any) -> list[ShareType]:
    refusal = "Bad Request, invalid share list"
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise BadRequest(refusal)
    shares = []
    for one in value:
        tenant = bodies.text(one, "tenant") or ""
        kind, colon, uuid = tenant.rpartition(":")
        if colon and kind not in KINDS:
            raise BadRequest(f"{refusal}: {errors.echo(tenant)}")
        _uuid(uuid, f"{refusal}: {errors.echo(tenant)}")
        shares.append(
            ShareType(tenant=tenant, tenant_access=_access(one.get("tenant_access"), refusal))
        )
    return shares
