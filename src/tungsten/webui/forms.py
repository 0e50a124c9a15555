"""Reading the bodies of the web UI's calls: what is not as expected is refused, by its place."""

from __future__ import annotations

from typing import Any

from tungsten.api import objects
from tungsten.api.bodies import Json, text
from tungsten.api.errors import BadRequest, echo
from tungsten.model import RESOURCE_TYPES, ResourceType

MOST = 1000
"""Objects, or questions, of one request."""


def listed(value: Any, where: str) -> list[Json]:
    """A list of objects that is not empty."""
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        raise BadRequest(f"Bad Request, {where} must be a list of objects, not {echo(value)}")
    if len(value) > MOST:
        raise BadRequest(f"Bad Request, {where} has {len(value)} elements, more than {MOST}")
    return value


def strings(value: Any, where: str) -> list[str]:
    """A list of strings that is not empty; a string alone is one."""
    found = [value] if isinstance(value, str) and value else value
    if not isinstance(found, list) or not found or not all(isinstance(one, str) for one in found):
        raise BadRequest(f"Bad Request, {where} must be a list of strings, not {echo(value)}")
    if len(found) > MOST:
        raise BadRequest(f"Bad Request, {where} has {len(found)} elements, more than {MOST}")
    return found


def whole(value: Any) -> Json:
    """A body that must be an object."""
    if not isinstance(value, dict):
        raise BadRequest(f"Bad Request, the body must be a JSON object, not {echo(value)}")
    return value


def type_in(one: Json, where: str) -> ResourceType:
    """The type that the member ``type`` names."""
    name = text(one, "type")
    if not name:
        raise BadRequest(f"Bad Request, {where}.type must be given")
    return objects.typed_any(name)


def typed_object(body: Json) -> tuple[str, Json]:
    """Type and members of ``{"<type>": {...}, ...}``: the first key is the type."""
    for key, value in body.items():
        declared = objects.typed_any(key)
        if not isinstance(value, dict):
            raise BadRequest(f"Bad Request, {echo(key)} must be an object, not {echo(value)}")
        return declared.name, value
    raise BadRequest('Bad Request, the body must be {"<type>": {...}}')


def elements(body: Any) -> list[tuple[str, Json, Json]]:
    """The objects of a bulk form: type, members and the body that a form of its own would be.

    An element is ``{"data": {"<type>": {...}}}``, or ``{"type": T, "data": {...members...}}``.
    """
    found = []
    items = body.get("data") if isinstance(body, dict) else body
    for at, one in enumerate(listed(items, "data")):
        data = one.get("data")
        if not isinstance(data, dict) or not data:
            raise BadRequest(f"Bad Request, data[{at}].data must be an object, not {echo(data)}")
        first = next(iter(data))
        if first.replace("_", "-") in RESOURCE_TYPES and isinstance(data[first], dict):
            found.append((*typed_object(data), data))
        else:
            name = type_in(one, f"data[{at}]").name
            found.append((name, data, {name: data}))
    return found


def uuid_in(fields: Json, type_: str) -> str:
    """The uuid that an update must name."""
    uuid = text(fields, "uuid")
    if not uuid:
        raise BadRequest(f"Bad Request, {type_}.uuid must be given")
    return uuid
