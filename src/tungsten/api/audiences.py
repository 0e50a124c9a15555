"""Who may read what, the other way round: the objects of a type that an audience may read.

An audience is a project, a domain, or everybody. Each object has a claim for every audience that
its ``perms2`` lets read it, in a space that is named by its type and the audience, so that a list
for one project costs what that project may see and not what there is. The claims change in the
transaction that changes the object.

What is found so is a superset: whoever asks still looks at the object itself. Objects that do
not say (what the compiler derived) are as their parents are, and have no claims; lists of their
types read all of the type. So do all lists until :func:`build` has been over the objects that
were there before.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tungsten.api import pairs
from tungsten.api.callers import Caller
from tungsten.api.permissions import OWNER
from tungsten.model import RESOURCE_TYPES, Resource, type_of
from tungsten.model.common import PermType2
from tungsten.store.base import Record, Snapshot, Store, Transaction

READ = 4
SPACE = "audience:"
DERIVED = frozenset({"access-control-list", "route-target", "routing-instance"})
"""Types whose objects may be the compiler's."""

SETTINGS, BUILT = "settings", "audiences"
"""Where it is noted that all objects have their claims."""

BATCH = 25
"""Objects that are given their claims in one transaction."""


class _Perms(msgspec.Struct):
    """What of an object's body is about who may read it."""

    perms2: PermType2 | None = None


_perms = msgspec.json.Decoder(_Perms)


def _id(text: str) -> str:
    return text.replace("-", "").lower()


def audiences_of(perms2: PermType2 | None) -> set[str]:
    """The audiences that permissions let read: ``global``, ``tenant:<id>``, ``domain:<id>``."""
    if perms2 is None:
        return set()
    found = set()
    owner, access = perms2.owner or OWNER, perms2.owner_access
    if owner != OWNER and (access is None or access & READ):
        found.add(f"tenant:{_id(owner)}")
    for share in perms2.share or []:
        kind, colon, uuid = (share.tenant or "").rpartition(":")
        if (share.tenant_access or 0) & READ:
            found.add(f"{'domain' if colon and kind == 'domain' else 'tenant'}:{_id(uuid)}")
    if (perms2.global_access or 0) & READ:
        found.add("global")
    return found


def _space(type_: str, audience: str) -> str:
    return f"{SPACE}{type_}:{audience}"


def note_new(tx: Transaction, resource: Resource) -> None:
    """A new object is found by those who may read it."""
    type_ = type_of(resource).name
    for audience in sorted(audiences_of(resource.perms2)):
        tx.claim(_space(type_, audience), resource.uuid, resource.uuid)


def note_changed(tx: Transaction, before: Record, resource: Resource) -> None:
    """An object that changed is found by those who may read it now."""
    old = _perms.decode(before.body).perms2
    if old == resource.perms2:
        return
    had, has = audiences_of(old), audiences_of(resource.perms2)
    for audience in sorted(had - has):
        tx.release(_space(before.type, audience), before.uuid)
    for audience in sorted(has - had):
        tx.claim(_space(before.type, audience), before.uuid, before.uuid)


def readable(
    snapshot: Snapshot, type_: str, caller: Caller, projects: Iterable[str] | None = None
) -> list[Record] | None:
    """All objects of a type that a caller may read, and perhaps more, by name.

    ``projects`` are asked for in place of the caller's. None: only reading all of the type tells.
    """
    if type_ in DERIVED or pairs.get(snapshot, SETTINGS, BUILT) is None:
        return None
    asked = [caller.project_id] if projects is None else projects
    audiences = ["global", *(f"tenant:{_id(one)}" for one in asked if one)]
    if caller.domain_id:
        audiences.append(f"domain:{_id(caller.domain_id)}")
    uuids = {uuid for one in audiences for uuid, _ in snapshot.claims(_space(type_, one))}
    found = (snapshot.get(uuid) for uuid in uuids)
    return sorted((one for one in found if one is not None), key=lambda one: one.fq_name)


async def build(store: Store) -> None:
    """Give the objects of a store that was written before there were these claims theirs."""
    if await store.read(lambda snapshot: pairs.get(snapshot, SETTINGS, BUILT)) is not None:
        return

    def without(snapshot: Snapshot) -> list[str]:
        return [
            record.uuid
            for type_ in RESOURCE_TYPES
            for record in snapshot.records(type_)
            if audiences_of(_perms.decode(record.body).perms2)
        ]

    uuids = await store.read(without)
    for at in range(0, len(uuids), BATCH):
        batch = uuids[at : at + BATCH]

        def give(tx: Transaction, batch: list[str] = batch) -> None:
            for record in (tx.get(uuid) for uuid in batch):
                if record is not None:
                    for audience in sorted(audiences_of(_perms.decode(record.body).perms2)):
                        tx.claim(_space(record.type, audience), record.uuid, record.uuid)

        await store.transact(give)
    await store.transact(lambda tx: pairs.put(tx, SETTINGS, BUILT, "1"))
