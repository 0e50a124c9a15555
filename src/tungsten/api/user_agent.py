"""``POST /useragent-kv``: texts that clients keep here under keys of their own."""

from __future__ import annotations

from typing import Any

from tungsten.api import pairs
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, NotFound, echo
from tungsten.api.transactions import Write
from tungsten.store.base import Snapshot

SPACE = "useragent"
RETRIEVE = "RETRIEVE"


def operation(body: Json) -> str:
    """What is asked for. Raises BadRequest, NotFound."""
    for name in ("operation", "key"):
        if name not in body:
            raise BadRequest(f"Error: Key/value store API needs '{name}' parameter")
    asked = body["operation"]
    if asked not in ("STORE", RETRIEVE, "DELETE"):
        raise NotFound(f"Invalid Operation {echo(asked)}")
    return str(asked)


def retrieve(snapshot: Snapshot, body: Json) -> Json:
    """The value of a key, the values of a list of keys, or everything there is."""
    key = body["key"]
    if not key and key != []:
        return {"value": [{"key": k, "value": v} for k, v in pairs.items(snapshot, SPACE)]}
    if isinstance(key, list):
        found = (pairs.get(snapshot, SPACE, _text(one, "key")) for one in key)
        return {"value": [value for value in found if value is not None]}
    value = pairs.get(snapshot, SPACE, _text(key, "key"))
    if value is None:
        raise NotFound(f"Unknown User-Agent key {echo(key)}")
    return {"value": value}


def change(write: Write, body: Json) -> None:
    """Store or delete the value of a key."""
    key = _text(body["key"], "key")
    if operation(body) == "STORE":
        pairs.put(write.tx, SPACE, key, _text(body.get("value"), "value", empty=True))
    elif not pairs.remove(write.tx, SPACE, key):
        raise NotFound(f"Unknown User-Agent key {echo(key)}")


def _text(value: Any, name: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise BadRequest(f"Error: Key/value store API needs a string as {name}, not {echo(value)}")
    return value
