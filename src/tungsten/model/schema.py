"""The declarations as data: what is served, type by type, for people and for comparisons.

The form follows that of the REST names: types are dashed, fields underscored. A restricted string
or integer is told by its base and its limits (``enum``, ``minimum`` and ``maximum``, ``pattern``),
since that is what clients meet; a complex type is told once, under ``types``, and named elsewhere.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from tungsten.model.base import RESOURCE_TYPES, ROOT, Resource, ResourceType, parent_link
from tungsten.model.fields import (
    AtMost,
    Complex,
    Field,
    ListOf,
    MapOf,
    OneOf,
    Pattern,
    Range,
    fields_of,
)

Json = dict[str, Any]

_FIELD = re.compile(r"    (\w+):")


def limits(field: Field) -> Json:
    """What is accepted in a field, beyond its type."""
    told: Json = {}
    for mark in field.limits:
        match mark:
            case Range(low, high):
                told["minimum"], told["maximum"] = low, high
            case OneOf(values):
                told["enum"] = list(values)
            case Pattern(regex, _):
                told["pattern"] = regex.pattern
            case AtMost(count):
                told["max_items"] = count
            case _:
                pass
    return told


def describe_field(field: Field) -> Json:
    """A field of a complex type."""
    told: Json = {"name": field.name, "type": field.type_name}
    if field.many:
        told["list"] = True
    if field.default is not None:
        told["default"] = field.default
    return told | limits(field)


def describe_property(field: Field) -> Json:
    """A property of a resource type."""
    told = describe_field(field) | {"presence": field.presence.value}
    match field.collection:
        case ListOf(element):
            told |= {"collection": "list", "element_field": element}
        case MapOf(element, key):
            told |= {"collection": "map", "element_field": element, "map_key": key}
        case None:
            pass
    return told


def describe_type(declared: ResourceType) -> Json:
    """A resource type: where it may be, what it says, what it refers to and what refers to it."""
    return {
        "class": declared.cls.__name__,
        "object_type": declared.object_type,
        "collection": declared.plural,
        "parents": [
            {
                "type": parent.type,
                "derived": parent.derived,
                "link": None if parent.type == ROOT else parent_link(declared, parent.type),
            }
            for parent in declared.parent_links.values()
        ],
        "children": [
            {"field": one.field, "type": one.type, "derived": one.derived, "link": one.link}
            for one in declared.children.values()
        ],
        "properties": [describe_property(field) for field in declared.properties.values()],
        "refs": [
            {
                "field": one.field,
                "type": one.target,
                "attr": one.attr.__name__ if one.attr else None,
                "derived": one.derived,
                "presence": one.presence.value,
                "link": one.link,
            }
            for one in declared.references.values()
        ],
        "back_refs": [
            {
                "field": one.field,
                "type": one.type,
                "attr": one.reference.attr.__name__ if one.reference.attr else None,
                "derived": one.reference.derived,
            }
            for one in declared.back_references.values()
        ],
    }


def complex_types(declared: Iterable[ResourceType] | None = None) -> dict[str, type[Complex]]:
    """The complex types that resource types use, directly or inside others, by name."""
    found: dict[str, type[Complex]] = {}

    def add(cls: type[Complex]) -> None:
        if cls.__name__ not in found:
            found[cls.__name__] = cls
            for field in fields_of(cls).values():
                if field.struct:
                    add(field.struct)

    for one in RESOURCE_TYPES.values() if declared is None else declared:
        for cls in _used(one):
            add(cls)
    return dict(sorted(found.items()))


def _used(declared: ResourceType) -> Iterator[type[Complex]]:
    for field in declared.properties.values():
        if field.struct:
            yield field.struct
    for reference in declared.references.values():
        if reference.attr:
            yield reference.attr


def describe(types: Iterable[ResourceType] | None = None) -> Json:
    """Resource types, all of them unless some are given, and the complex types they use."""
    chosen = list(RESOURCE_TYPES.values() if types is None else types)
    return {
        "objects": {one.name: describe_type(one) for one in sorted(chosen, key=lambda t: t.name)},
        "types": {
            name: {"fields": [describe_field(field) for field in fields_of(cls).values()]}
            for name, cls in complex_types(chosen).items()
        },
    }


@cache
def meaning(cls: type[Complex] | type[Resource]) -> str:
    """What a class stands for: its docstring, in one line a paragraph."""
    paragraphs = (inspect.getdoc(cls) or "").split("\n\n")
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


@cache
def meanings(cls: type[Complex] | type[Resource]) -> dict[str, str]:
    """What the fields of a class stand for: the ``#:`` comments above them.

    Empty where the source is not at hand.
    """
    try:
        lines = inspect.getsource(cls).splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    said: list[str] = []
    for line in lines:
        text = line.strip()
        if text.startswith("#:"):
            said.append(text[2:].strip())
            continue
        field = _FIELD.match(line)
        if field and said:
            found[field[1]] = " ".join(said)
        said = []
    return found


def area(declared: ResourceType) -> str:
    """The name of the area that a type belongs to: the module that declares it."""
    return declared.cls.__module__.rpartition(".")[2]
