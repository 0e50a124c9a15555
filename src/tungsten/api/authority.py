"""What a caller may do with an object: its ``perms2``, evaluated.

Bits are 4 to read, 2 to write, 1 to refer to. A caller has those of the owner when the object
belongs to the caller's project, those of the first share with the project or its domain, and
those that everybody has. An object that does not say (what the compiler derived) is as its
parent is. Objects that are not ``user_visible`` are only for those who see all.

Administrators are not asked; a role that reads everything is asked only for what is not reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tungsten.api.bodies import Json
from tungsten.api.callers import Caller, same_id
from tungsten.api.errors import Forbidden, NotFound
from tungsten.api.permissions import ALL
from tungsten.model import Resource, type_of
from tungsten.model.common import PermType2, ShareType
from tungsten.store.base import Record, Snapshot
from tungsten.store.records import from_record

READ, WRITE, LINK = 4, 2, 1
_VERBS = {READ: "read", WRITE: "write", LINK: "link", READ | WRITE: "read and write"}


def granted(caller: Caller, perms2: PermType2 | None) -> int:
    """The bits that an object's permissions give to a caller."""
    if caller.admin:
        return ALL
    bits = READ if caller.reader else 0
    if perms2 is None:
        return bits
    if same_id(caller.project_id, perms2.owner or ""):
        bits |= ALL if perms2.owner_access is None else perms2.owner_access
    share = next((one for one in perms2.share or [] if _is_for(one, caller)), None)
    if share is not None:
        bits |= share.tenant_access or 0
    return bits | (perms2.global_access or 0)


def _is_for(share: ShareType, caller: Caller) -> bool:
    kind, colon, uuid = (share.tenant or "").rpartition(":")
    wanted = caller.domain_id if colon and kind == "domain" else caller.project_id
    return same_id(wanted, uuid)


def perms2_of(snapshot: Snapshot, resource: Resource) -> PermType2 | None:
    """The permissions that hold for an object: its own, else those of what it is below."""
    while resource.perms2 is None and resource.parent_uuid:
        record = snapshot.get(resource.parent_uuid)
        if record is None:
            return None
        resource = from_record(record)
    return resource.perms2


def is_hidden(caller: Caller, resource: Resource) -> bool:
    """Whether an object is not for this caller to know of."""
    said = resource.id_perms
    return not caller.sees_all and said is not None and said.user_visible is False


def may(snapshot: Snapshot, caller: Caller, resource: Resource, bits: int) -> bool:
    """Whether a caller has all of ``bits`` on an object."""
    if caller.admin or (caller.reader and bits == READ):
        return True
    return granted(caller, perms2_of(snapshot, resource)) & bits == bits


def may_see(snapshot: Snapshot, caller: Caller, record: Record) -> bool:
    """Whether a caller may know of an object and read it."""
    if caller.sees_all:
        return True
    resource = from_record(record)
    return not is_hidden(caller, resource) and may(snapshot, caller, resource, READ)


def denied(caller: Caller, bits: int, owner: str) -> Forbidden:
    """The refusal of an operation on an object of ``owner``."""
    verb = _VERBS[bits]
    return Forbidden(
        f"Permission Denied for {list(caller.roles)!r} to {verb} operation in domain "
        f"'{caller.domain}' and project '{caller.project}' RBAC: {caller.user} doesn't have "
        f"{verb} permission in project '{owner}'"
    )


def require(snapshot: Snapshot, caller: Caller, resource: Resource, bits: int) -> None:
    """Raise Forbidden unless a caller has all of ``bits`` on an object; NotFound if hidden."""
    if caller.admin:
        return
    if is_hidden(caller, resource):
        raise NotFound(f"This object is not visible by users: {resource.uuid}")
    if not may(snapshot, caller, resource, bits):
        perms2 = perms2_of(snapshot, resource)
        raise denied(caller, bits, (perms2.owner if perms2 else None) or "")


def require_record(snapshot: Snapshot, caller: Caller, record: Record, bits: int) -> None:
    """:func:`require` for a stored object."""
    if not caller.admin:
        require(snapshot, caller, from_record(record), bits)


def require_parent(snapshot: Snapshot, caller: Caller, parent: Resource | None) -> None:
    """A child is made by whoever may write its parent; below a fabric, refer to it."""
    if parent is not None:
        bits = LINK if type_of(parent).name == "fabric" else WRITE
        require(snapshot, caller, parent, bits)


def require_links(
    snapshot: Snapshot, caller: Caller, resource: Resource, before: Resource | None = None
) -> None:
    """What an object newly refers to must be there for the caller to refer to."""
    if not caller.admin:
        known = _targets(before) if before else set()
        require_links_to(snapshot, caller, _targets(resource) - known)


def require_links_to(snapshot: Snapshot, caller: Caller, targets: Iterable[str]) -> None:
    """Raise Forbidden unless a caller may refer to all objects with these uuids."""
    for uuid in sorted(targets):
        record = snapshot.get(uuid)
        if record is not None:
            require_record(snapshot, caller, record, LINK)


def _targets(resource: Resource) -> set[str]:
    return {ref.uuid for field in type_of(resource).references for ref in getattr(resource, field)}


def require_owner(snapshot: Snapshot, caller: Caller, resource: Resource, bits: int) -> None:
    """Raise Forbidden unless a caller has all of ``bits`` on an object and owns it."""
    if caller.admin:
        return
    require(snapshot, caller, resource, bits)
    perms2 = perms2_of(snapshot, resource)
    owner = (perms2.owner if perms2 else None) or ""
    if not same_id(caller.project_id, owner):
        raise denied(caller, bits, owner)


def require_delete(snapshot: Snapshot, caller: Caller, record: Record) -> None:
    """An object is deleted by its owner, who may write it."""
    if not caller.admin:
        require_owner(snapshot, caller, from_record(record), WRITE)


def require_permissions_kept(
    snapshot: Snapshot, caller: Caller, old: Resource, new: Resource
) -> None:
    """Who may use an object is its owner's to say, however it is said.

    Otherwise whoever may write it could give it to itself, and then delete it.
    """
    if not caller.admin and new.perms2 != old.perms2:
        require_owner(snapshot, caller, old, READ | WRITE)


def without_unseen(snapshot: Snapshot, caller: Caller, shown: Json) -> Json:
    """An object as it is shown, without references, referrers and children not to be seen."""
    if caller.sees_all:
        return shown
    return {key: value for key, value in _seen(snapshot, caller, shown) if value != []}


def _seen(snapshot: Snapshot, caller: Caller, shown: Json) -> Iterable[tuple[str, Any]]:
    for key, value in shown.items():
        links = isinstance(value, list) and bool(value) and all(_is_link(one) for one in value)
        if not links:
            yield key, value
            continue
        found = ((one, snapshot.get(one["uuid"])) for one in value)
        yield (
            key,
            [one for one, there in found if there is not None and may_see(snapshot, caller, there)],
        )


def _is_link(value: Any) -> bool:
    return isinstance(value, dict) and "to" in value and "uuid" in value
