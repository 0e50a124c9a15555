"""``GET /history`` and ``GET /past``: what changed when, and how things stood at a revision.

Both read the commits that the store keeps (:mod:`tungsten.store.history`). A past that it no
longer keeps is 410, with the revision from which it does.

``/history`` tells the newest changes first: of all objects, of a ``type``, or of the object with
a ``uuid`` or ``fq_name_str``; ``limit`` of them (100), those ``since`` and ``until`` a time, and
those ``before`` a revision to read on. A change says ``when`` it was made, for which ``user``, by
which ``request`` and from which ``client``, null where that is not known. It has ``before`` and
``after``, the members that are not the same; of a change whose before is too old to be known,
``before`` is null and ``known`` false.

``/past`` tells the objects of a ``type`` at a ``revision`` or a ``time``, or the one with a
``uuid`` or ``fq_name_str``, as they were said then. Times are of ISO 8601, UTC if they have no
zone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tungsten.api import errors, objects
from tungsten.api.bodies import Json
from tungsten.api.errors import ApiFault, BadRequest, NotFound, echo
from tungsten.api.plan import document
from tungsten.model import ResourceType
from tungsten.store import history
from tungsten.store.base import ChangeKind, Compacted, Record, Store, StoreError

ACTIONS = {
    ChangeKind.CREATED: "create",
    ChangeKind.UPDATED: "update",
    ChangeKind.DELETED: "delete",
}

MOST = 1000
"""Changes of one answer."""

_NUMBER = re.compile(r"[0-9]{1,18}")


async def changes(store: Store, query: Mapping[str, str]) -> Json:
    """``GET /history``."""
    _known(query, {"type", "uuid", "fq_name_str", "limit", "before", "since", "until"})
    declared = _type(query)
    wanted = _wanted(query, declared)
    limit = _number(query, "limit", 100)
    if not 1 <= limit <= MOST:
        raise BadRequest(f"limit must be from 1 to {MOST}, not {limit}")
    before = _number(query, "before", None)
    try:
        entries = await history.changes(
            store,
            wanted,
            before=before,
            limit=limit,
            since=_time(query, "since", 0.0),
            until=_time(query, "until", float("inf")),
        )
        revision, since = await history.revision_of(store), await history.kept_since(store)
    except StoreError as error:
        raise errors.of_store(error) from error
    return {
        "revision": revision,
        "kept_since": since,
        "changes": [_entry(one) for one in entries],
    }


async def stood(store: Store, query: Mapping[str, str]) -> Json:
    """``GET /past``."""
    _known(query, {"type", "uuid", "fq_name_str", "revision", "time"})
    declared = _type(query)
    revision, when = _number(query, "revision", None), _time(query, "time", None)
    if declared is None or (revision is None) == (when is None):
        raise BadRequest("type, and either revision or time, are needed")
    try:
        if when is not None:
            revision = await history.revision_at(store, when)
        found = await history.records_at(store, revision, declared.name, _wanted(query, declared))
    except Compacted as error:
        raise ApiFault(str(error), status=410) from error
    except StoreError as error:
        raise errors.of_store(error) from error
    if not found and ("uuid" in query or "fq_name_str" in query):
        named = query.get("fq_name_str") or query.get("uuid")
        raise NotFound(f"At revision {revision} there was no {declared.name} {echo(named)}")
    shown = [{declared.name: document(record)} for record in found]
    return {"revision": revision, declared.plural: shown}


def _entry(entry: history.Entry) -> Json:
    record = entry.change.record
    after = None if entry.change.kind is ChangeKind.DELETED else document(record)
    before = document(entry.before)
    origin = entry.origin
    shown: Json = {
        "revision": entry.revision,
        "action": ACTIONS[entry.change.kind],
        "type": record.type,
        "fq_name": [*record.fq_name],
        "uuid": record.uuid,
        "when": _when(origin.time, after),
        "user": origin.user or None,
        "request": origin.request or None,
        "client": origin.client or None,
        "known": entry.known,
        "before": before,
        "after": after,
    }
    if record.provenance:
        shown["derived_from"] = record.provenance
    if before is not None and after is not None:
        shown["before"], shown["after"] = differing(before, after)
    return shown


def _when(time: float, after: Any) -> str | None:
    """When a change was made; by what the object says where the commit does not."""
    if time:
        return datetime.fromtimestamp(time, UTC).isoformat(timespec="microseconds")[:26] + "Z"
    said = ((after or {}).get("id_perms") or {}).get("last_modified")
    return f"{said}Z" if said else None


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Json, Json]:
    """The members of two states of an object that are not the same."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return (
        {name: before[name] for name in names if name in before},
        {name: after[name] for name in names if name in after},
    )


def _known(query: Mapping[str, str], names: set[str]) -> None:
    for name in query:
        if name not in names:
            raise BadRequest(f"{echo(name)} is not one of {', '.join(sorted(names))}")


def _type(query: Mapping[str, str]) -> ResourceType | None:
    name = query.get("type")
    return None if not name else objects.typed_any(name)


def _number(query: Mapping[str, str], name: str, absent: Any) -> Any:
    text = query.get(name)
    if text is None:
        return absent
    if not _NUMBER.fullmatch(text):
        raise BadRequest(f"{name} must be a number, not {echo(text)}")
    return int(text)


def _time(query: Mapping[str, str], name: str, absent: Any) -> Any:
    """A time of a query in seconds since the epoch."""
    text = query.get(name)
    if text is None:
        return absent
    try:
        said = datetime.fromisoformat(text)
        return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadRequest(
            f"{name} must be a time such as 2026-11-27T14:00:00Z, not {echo(text)}"
        ) from None


def _wanted(query: Mapping[str, str], declared: ResourceType | None) -> Callable[[Record], bool]:
    """Which records are asked for: by type, and by uuid or name."""
    uuid, name = query.get("uuid"), query.get("fq_name_str")
    if name and declared is None:
        raise BadRequest("type is needed with fq_name_str")
    # Some names have colons in them, so they are compared whole.
    return lambda record: (
        (declared is None or record.type == declared.name)
        and (not uuid or record.uuid == uuid)
        and (not name or ":".join(record.fq_name) == name)
    )
