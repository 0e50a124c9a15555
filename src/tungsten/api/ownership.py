"""Which objects belong to a set of documents: a mark on the objects themselves.

``POST /apply`` with ``"owner": NAME`` puts the mark, the annotation :data:`MARK`, on every object
that it applies, and with ``"prune": true`` deletes what has this mark and is no longer among the
documents. Nothing without the mark is ever pruned, and what has another owner's mark is refused,
not taken: two sets that name the same object are a mistake in one of them.

Whoever may write an object may write the mark on it. So the mark alone is not believed: that a
set has an object is noted beside the objects, as a claim that no client can make, for the project
that applied it. Only what that project itself marked is pruned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tungsten.api.bodies import Json
from tungsten.api.callers import Caller
from tungsten.api.errors import BadRequest, Conflict, echo
from tungsten.store.base import Record, Snapshot, Transaction
from tungsten.store.records import from_record

MARK = "tungsten.owner"
"""Key of the annotation that names the owner."""

LONGEST = 200

SPACE = "set:"
"""What the space of the claims of a project's set begins with."""

_TEXT = MARK.encode()


def read(body: Json) -> tuple[str, bool]:
    """The owner that a request names, or an empty text, and whether it prunes."""
    owner, prune = body.get("owner", ""), body.get("prune", False)
    if not isinstance(owner, str) or len(owner) > LONGEST or not owner.isprintable():
        raise BadRequest(
            f"Bad Request, owner must be a name of at most {LONGEST} characters, not {echo(owner)}"
        )
    if not isinstance(prune, bool):
        raise BadRequest(f"Bad Request, prune must be true or false, not {echo(prune)}")
    if prune and not owner:
        raise BadRequest("Bad Request, prune needs an owner: only what is its own is deleted")
    return owner, prune


def owner_of(record: Record) -> str:
    """Whose a record is; empty: nobody's."""
    if _TEXT not in record.body:
        return ""
    pairs = from_record(record).annotations
    found = (pairs.key_value_pair if pairs is not None else None) or ()
    return next((one.value or "" for one in found if one.key == MARK), "")


def _space(owner: str, project: str) -> str:
    return f"{SPACE}{project}:{owner}"


def note(tx: Transaction, record: Record, owner: str, caller: Caller) -> None:
    """Note that a caller's project made a record one of its set."""
    space = _space(owner, caller.project_id)
    if tx.claim_owner(space, record.uuid) is None:
        tx.claim(space, record.uuid, record.uuid)


def owned(snapshot: Snapshot, owner: str, project: str) -> Iterator[Record]:
    """The records that have an owner's mark and got it from this project."""
    for uuid, _ in snapshot.claims(_space(owner, project)):
        record = snapshot.get(uuid)
        if record is not None and owner_of(record) == owner:
            yield record


def marked(fields: Json, held: Record | None, owner: str) -> Json:
    """The members of a document with the owner's mark among its annotations.

    ``held`` is the object as it is. Raises Conflict when it is another's.
    """
    if held is not None and owner_of(held) not in ("", owner):
        raise Conflict(
            f"it belongs to the set {echo(owner_of(held))}, not to {echo(owner)}: apply it with "
            f"that one, or take its annotation {MARK} away first"
        )
    if "annotations" in fields:
        said = fields["annotations"] or {}
        pairs: Any = said.get("key_value_pair") if isinstance(said, dict) else None
    else:
        there = None if held is None else from_record(held).annotations
        pairs = msgspec.to_builtins(there.key_value_pair) if there is not None else None
    if pairs is not None and not isinstance(pairs, list):
        return fields  # for the model to refuse
    ours = {"key": MARK, "value": owner}
    taken = [ours if _key(pair) == MARK else pair for pair in pairs or ()]
    if ours not in taken:
        taken.append(ours)
    return {**fields, "annotations": {"key_value_pair": taken}}


def _key(pair: Any) -> Any:
    return pair.get("key") if isinstance(pair, dict) else None
