"""References that no longer keep their target: ``POST /ref-relax-for-delete``.

A client that is about to replace the target of a reference may say that the reference shall not
keep the target from being deleted. It is then dropped with the target. What was said is a claim
of the referring object, and holds until the reference goes.
"""

from __future__ import annotations

from tungsten.api import authority, bodies
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, NotFound, echo
from tungsten.api.transactions import Write
from tungsten.model import Resource
from tungsten.store.base import Record, Snapshot, Transaction
from tungsten.store.records import edges_of

SPACE = "relaxed-reference"


def _key(holder: str, target: str) -> str:
    return f"{holder} {target}"


def relax(write: Write, body: Json) -> Json:
    """The reference of ``uuid`` to ``ref-uuid`` shall not keep its target."""
    uuid, target = bodies.text(body, "uuid"), bodies.text(body, "ref-uuid")
    if not uuid or not target:
        raise BadRequest(
            "Bad Request: Both uuid and ref-uuid should be specified: "
            f"{echo(str(uuid))}, {echo(str(target))}"
        )
    record = write.tx.get(uuid)
    if record is None:
        raise NotFound(f"uuid {echo(uuid)} not found")
    if all(edge.target != target for edge in record.edges):
        raise NotFound(f"{record.type} {uuid} has no reference to {echo(target)}")
    authority.require_record(write.tx, write.caller, record, authority.WRITE)
    note(write.tx, uuid, target)
    return {"uuid": uuid}


def note(tx: Transaction, holder: str, target: str) -> None:
    """Remember that a reference is relaxed."""
    tx.claim(SPACE, _key(holder, target), holder)


def is_relaxed(snapshot: Snapshot, holder: str, target: str) -> bool:
    """Whether a reference is relaxed."""
    return snapshot.claim_owner(SPACE, _key(holder, target)) is not None


def forget_dropped(tx: Transaction, before: Record, after: Resource) -> None:
    """What was said of references that an object no longer has does not hold any more."""
    targets = {edge.target for edge in before.edges}
    if targets:
        for target in targets - {edge.target for edge in edges_of(after)}:
            forget(tx, before.uuid, target)


def forget(tx: Transaction, holder: str, target: str) -> None:
    """A reference is gone, and what was said of it too."""
    tx.release(SPACE, _key(holder, target))
