"""``POST /useragent-kv``: texts that clients keep here under keys of their own.

Administrators share one set of keys. Anyone else shares those of its project, in bounds, and
neither reads nor changes others'.
"""

from __future__ import annotations

from typing import Any

from tungsten.api import pairs
from tungsten.api.bodies import Json
from tungsten.api.callers import Caller
from tungsten.api.errors import ApiFault, BadRequest, NotFound, echo
from tungsten.api.transactions import Write
from tungsten.store.base import Snapshot

SPACE = "useragent"
RETRIEVE = "RETRIEVE"

MOST_KEYS = 1000
"""Keys that a project may have."""

MAX_KEY = 1024
MAX_VALUE = 65_536
"""Bytes of a key and of a value of a project."""


def space_of(caller: Caller) -> str:
    """Where the texts of a caller are."""
    return SPACE if caller.admin else f"{SPACE}:{caller.project_id or caller.user_id}"


def operation(body: Json) -> str:
    """What is asked for. Raises BadRequest, NotFound."""
    for name in ("operation", "key"):
        if name not in body:
            raise BadRequest(f"Error: Key/value store API needs '{name}' parameter")
    asked = body["operation"]
    if asked not in ("STORE", RETRIEVE, "DELETE"):
        raise NotFound(f"Invalid Operation {echo(asked)}")
    return str(asked)


def retrieve(snapshot: Snapshot, caller: Caller, body: Json) -> Json:
    """The value of a key, the values of a list of keys, or everything there is."""
    key, space = body["key"], space_of(caller)
    if not key and key != []:
        return {"value": [{"key": k, "value": v} for k, v in pairs.items(snapshot, space)]}
    if isinstance(key, list):
        found = (pairs.get(snapshot, space, _text(one, "key")) for one in key)
        return {"value": [value for value in found if value is not None]}
    value = pairs.get(snapshot, space, _text(key, "key"))
    if value is None:
        raise NotFound(f"Unknown User-Agent key {echo(key)}")
    return {"value": value}


def change(write: Write, body: Json) -> None:
    """Store or delete the value of a key."""
    key, space = _text(body["key"], "key"), space_of(write.caller)
    if operation(body) == "STORE":
        value = _text(body.get("value"), "value", empty=True)
        if not write.caller.admin:
            _check_bounds(write, space, key, value)
        pairs.put(write.tx, space, key, value)
    elif not pairs.remove(write.tx, space, key):
        raise NotFound(f"Unknown User-Agent key {echo(key)}")


def _check_bounds(write: Write, space: str, key: str, value: str) -> None:
    if len(key.encode()) > MAX_KEY or len(value.encode()) > MAX_VALUE:
        raise BadRequest(
            f"Error: Key/value store API takes keys of {MAX_KEY} bytes and values of {MAX_VALUE}"
        )
    if pairs.get(write.tx, space, key) is not None:
        return
    if sum(1 for _ in pairs.items(write.tx, space)) >= MOST_KEYS:
        raise ApiFault(f"Error: a project has {MOST_KEYS} keys at most", status=412)


def _text(value: Any, name: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise BadRequest(f"Error: Key/value store API needs a string as {name}, not {echo(value)}")
    return value
