"""Changes that are only to happen to the state of an object that a client has seen.

A read tells an entity tag (``ETag``). A change that carries it (``If-Match``, RFC 9110 section
13.1.1) happens if nobody changed the object since, and is otherwise refused with 412. The tag is
compared inside the transaction of the change, so there is no moment between the two.
"""

from __future__ import annotations

import re

from tungsten.api.errors import ApiFault, BadRequest, echo
from tungsten.store.base import Record
from tungsten.store.records import from_record

ANY = "*"
"""What matches every object that exists."""

_ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_BETWEEN = re.compile(r"[ \t]*,[ \t]*")

Tags = frozenset[str]
"""Entity tags, with their quotes, of which one must be the object's; or :data:`ANY` alone."""


def tags(header: str | None) -> Tags | None:
    """The tags of an ``If-Match``; None without one. Weak ones match nothing. Raises BadRequest."""
    if header is None:
        return None
    said = header.strip(" \t")
    if said == ANY:
        return frozenset({ANY})
    found, at = set[str](), 0
    while (one := _ENTITY_TAG.match(said, at)) is not None:
        if one[1] is None:
            found.add(f'"{one[2]}"')
        at = one.end()
        if at == len(said):
            return frozenset(found)
        between = _BETWEEN.match(said, at)
        at = len(said) if between is None else between.end()
    raise BadRequest(f"Bad Request, If-Match must be * or entity tags, not {echo(header)}")


def tag_of(last_modified: str | None) -> str:
    """The entity tag of an object that was last modified then."""
    return f'"{last_modified}"'


def require_match(record: Record | None, wanted: Tags | None) -> None:
    """Raise 412 unless an object is in one of the states wanted; one that is not there passes,
    to be refused as such.
    """
    if wanted is None or ANY in wanted or record is None:
        return
    perms = from_record(record).id_perms
    now = tag_of(None if perms is None else perms.last_modified)
    if now not in wanted:
        raise ApiFault(
            f"Precondition Failed, {record.type} {record.uuid} was changed since it was read; "
            f"its ETag is {now} now",
            status=412,
        )
