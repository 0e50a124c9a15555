"""``id_perms`` and ``perms2``: what every object carries about itself and who may use it.

The server fills both. Of ``id_perms`` a client chooses ``enable``, ``description``,
``user_visible`` and ``creator`` at creation, and the first two later; of ``perms2`` all parts,
merged over what is stored.
"""

from __future__ import annotations

from uuid import UUID

from tungsten.api.callers import SYSTEM, Caller
from tungsten.api.errors import BadRequest
from tungsten.model import Resource, type_of
from tungsten.model.common import IdPermsType, PermType, PermType2, ShareType, UuidType

OWNER = "cloud-admin"
GROUP = "cloud-admin-group"
ALL = 7
READ_LINK = 5
READ_WRITE = 6
_LOW_64 = (1 << 64) - 1


def halves(uuid: str) -> UuidType:
    """A uuid as its two unsigned 64-bit halves."""
    value = UUID(uuid).int
    return UuidType(uuid_mslong=value >> 64, uuid_lslong=value & _LOW_64)


def fill_id_perms(resource: Resource, now: str, caller: Caller = SYSTEM) -> None:
    """Complete the ``id_perms`` of a new object."""
    given = resource.id_perms or IdPermsType()
    resource.id_perms = IdPermsType(
        enable=True if given.enable is None else given.enable,
        description=given.description,
        creator=given.creator,
        user_visible=True if given.user_visible is None else given.user_visible,
        created=now,
        last_modified=now,
        uuid=halves(resource.uuid),
        permissions=PermType(
            owner=caller.user or OWNER,
            owner_access=ALL,
            group=caller.roles[0] if caller.roles else GROUP,
            group_access=ALL,
            other_access=ALL,
        ),
    )


def change_id_perms(old: IdPermsType | None, new: IdPermsType | None) -> IdPermsType | None:
    """The ``id_perms`` after an update: only ``enable`` and ``description`` follow the client."""
    if old is None or new is None:
        return old
    if new.enable is not None:
        old.enable = new.enable
    if new.description is not None:
        old.description = new.description
    return old


def fill_perms2(
    resource: Resource, parent: Resource | None, *, own_uuid: bool, caller: Caller = SYSTEM
) -> None:
    """Complete the ``perms2`` of a new object.

    ``own_uuid`` says that the client chose the uuid: a project so made owns itself, since the
    uuid is then its identity at the orchestrator. What is below no project belongs to the
    caller's.
    """
    given = resource.perms2 or PermType2()
    resource.perms2 = PermType2(
        owner=_owner(resource, given, parent, own_uuid, caller),
        owner_access=ALL if given.owner_access is None else given.owner_access,
        global_access=given.global_access or 0,
        share=list(given.share or []),
    )
    share_with_domain(resource)


def _owner(
    resource: Resource, given: PermType2, parent: Resource | None, own_uuid: bool, caller: Caller
) -> str:
    if own_uuid and type_of(resource).name == "project":
        return resource.uuid.replace("-", "")
    if given.owner:
        return given.owner
    above_projects = parent is None or type_of(parent).name in ("domain", "fabric")
    if above_projects or parent is None or parent.perms2 is None:
        return caller.project_id.replace("-", "") or OWNER
    return parent.perms2.owner or OWNER


def share_with_domain(resource: Resource) -> None:
    """A domain is shared with itself, and a virtual-DNS with its domain."""
    assert resource.perms2 is not None
    match type_of(resource).name:
        case "domain":
            share = ShareType(tenant=f"domain:{resource.uuid}", tenant_access=READ_WRITE)
        case "virtual-DNS" | "service-template":
            share = ShareType(tenant=f"domain:{resource.parent_uuid}", tenant_access=READ_LINK)
        case _:
            return
    shares = list(resource.perms2.share or [])
    if all(one.tenant != share.tenant for one in shares):
        resource.perms2.share = [*shares, share]


def merge_perms2(old: PermType2 | None, new: PermType2 | None) -> PermType2 | None:
    """The ``perms2`` after an update. Raises BadRequest when the client names no owner."""
    if new is None:
        return old
    if not new.owner:
        raise BadRequest("owner in perms2 must be present")
    merged = old or PermType2(owner_access=ALL, global_access=0, share=[])
    merged.owner = new.owner
    if new.owner_access is not None:
        merged.owner_access = new.owner_access
    if new.global_access is not None:
        merged.global_access = new.global_access
    if new.share is not None:
        merged.share = new.share
    return merged
