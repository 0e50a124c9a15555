"""Changing list and map properties element by element.

A list property is addressed by positions, the texts ``0``, ``1``, ...; what is added without a
position goes to the end. A map property is addressed by its keys. Positions are those of the
list as it is stored, so that element 10 comes after element 9.
"""

from __future__ import annotations

import re
from typing import Any

from tungsten.api import bodies, errors, objects
from tungsten.api.bodies import Json
from tungsten.api.errors import BadRequest, NotFound, echo
from tungsten.api.transactions import Write
from tungsten.model import (
    Field,
    ListOf,
    MapOf,
    Resource,
    ResourceType,
    ValidationError,
    resource_type,
    to_fields,
    validate_element,
)
from tungsten.store.base import Snapshot
from tungsten.store.records import from_record

_PLACE = re.compile(r"[0-9]{1,9}")
"""A position in a list."""


def get(snapshot: Snapshot, query: dict[str, str]) -> Json:
    """``GET /prop-collection-get``: elements with their positions."""
    uuid = query.get("uuid")
    if not uuid:
        raise BadRequest("Object uuid needed for property collection get")
    record = snapshot.get(uuid)
    if record is None:
        raise NotFound(f"Object Not Found: {echo(uuid)}")
    if not query.get("fields"):
        raise BadRequest("Bad Request, fields must be specified: list or map properties")
    declared = resource_type(record.type)
    stored = to_fields(from_record(record))
    position = query.get("position")
    shown: Json = {}
    for name in query["fields"].split(","):
        field = collection(declared, name)
        assert field.collection is not None
        elements = (stored.get(name) or {}).get(field.collection.element) or []
        pairs = [[one, place(field, one, at)] for at, one in enumerate(elements)]
        shown[name] = [pair for pair in pairs if position is None or pair[1] == position]
    return shown


def collection(declared: ResourceType, name: str) -> Field:
    """A list or map property. Raises BadRequest for what is none."""
    field = declared.properties.get(name)
    if field is None or field.collection is None:
        raise BadRequest(f'{echo(name)} neither "ListProperty" nor "MapProperty"')
    return field


def place(field: Field, element: Any, at: int) -> str:
    """The position of an element: its key in a map, its index in a list."""
    if isinstance(field.collection, MapOf):
        key = element.get(field.collection.key) if isinstance(element, dict) else None
        return "" if key is None else str(key)
    return str(at)


def update(write: Write, body: Json) -> None:
    """``POST /prop-collection-update``: apply a list of changes, all or none."""
    uuid = bodies.text(body, "uuid")
    if not uuid:
        raise BadRequest("Object uuid needed for property collection update")
    record = write.tx.get(uuid)
    if record is None:
        raise NotFound(f"Object Not Found: {echo(uuid)}")
    declared = resource_type(record.type)
    updates = body.get("updates") or []
    if not isinstance(updates, list) or not all(isinstance(one, dict) for one in updates):
        raise BadRequest("Bad Request, updates must be a list of objects")

    def apply(resource: Resource) -> list[str]:
        for one in updates:
            _apply(declared, resource, one)
        return []

    objects.change(write, declared, uuid, apply, "prop-collection-update")


def _apply(declared: ResourceType, resource: Resource, asked: Json) -> None:
    field = collection(declared, bodies.text(asked, "field") or "")
    elements = elements_of(resource, field)
    if isinstance(field.collection, ListOf):
        _change_list(declared, field, elements, asked)
    else:
        _change_map(declared, field, elements, asked)
    assert field.struct is not None
    assert field.collection is not None
    setattr(resource, field.name, field.struct(**{field.collection.element: elements}))


def _operation(asked: Json) -> str:
    return (bodies.text(asked, "operation") or "").lower()


def _position(asked: Json) -> str | None:
    position = asked.get("position")
    return str(position) if isinstance(position, int) else bodies.text(asked, "position")


def elements_of(resource: Resource, field: Field) -> list[Any]:
    """The elements of a collection."""
    assert field.collection is not None
    holder = getattr(resource, field.name)
    return list((getattr(holder, field.collection.element) if holder is not None else None) or [])


def _change_list(declared: ResourceType, field: Field, elements: list[Any], asked: Json) -> None:
    operation, position = _operation(asked), _position(asked)
    if operation == "add":
        elements.append(_value(declared, field, asked))
        return
    if operation not in ("modify", "delete"):
        raise _unsupported(operation, field, "add, modify, delete")
    if position is None or not _PLACE.fullmatch(position) or int(position) >= len(elements):
        raise BadRequest(
            f"{field.name} has no element at position {echo(position or 'None')}; it has "
            f"{len(elements)} elements"
        )
    if operation == "modify":
        elements[int(position)] = _value(declared, field, asked)
    else:
        del elements[int(position)]


def _change_map(declared: ResourceType, field: Field, elements: list[Any], asked: Json) -> None:
    operation, position = _operation(asked), _position(asked)
    assert isinstance(field.collection, MapOf)
    key_field = field.collection.key
    if operation == "set":
        value = _value(declared, field, asked)
        key = getattr(value, key_field)
        if key is None or key == "":
            raise BadRequest(f"{field.name}: the value to set needs a {key_field}")
        elements[:] = [one for one in elements if getattr(one, key_field) != key]
        elements.append(value)
    elif operation == "delete":
        # A key may be a number; a position is text.
        elements[:] = [one for one in elements if str(getattr(one, key_field)) != position]
    else:
        raise _unsupported(operation, field, "set, delete")


def _value(declared: ResourceType, field: Field, asked: Json) -> Any:
    try:
        value = validate_element(declared.name, field.name, asked.get("value"))
    except ValidationError as error:
        raise objects.invalid(error, declared, "prop-collection-update") from error
    if value is None:
        raise BadRequest(f"{field.name}: a value is needed, not {echo(asked.get('value'))}")
    return value


def _unsupported(operation: str, field: Field, accepted: str) -> errors.BadRequest:
    return BadRequest(
        f"Unsupported operation {echo(operation)} in field {field.name}, expected {accepted}"
    )
