"""The declarations of the model as JSON Schema (draft 2020-12), for the OpenAPI document.

A value that Python holds false is never checked (:mod:`tungsten.model.validation`), so every
integer may be 0 and every patterned string may be empty, whatever their limits; the schemas say
so. What is told is the form in which values are answered; requests may also write an integer as
a string of digits.
"""

from __future__ import annotations

from typing import Any

from tungsten.model import (
    Complex,
    Field,
    Kind,
    Reference,
    ResourceType,
    fields_of,
    schema,
)
from tungsten.model.fields import Pattern, Range

Json = dict[str, Any]

NAME = {"type": "string", "minLength": 1, "maxLength": 255}
FQ_NAME = {"type": "array", "items": NAME, "minItems": 1}
UUID = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
}
HREF = {"type": "string", "format": "uri"}
LARGEST, SMALLEST = 2**64 - 1, -(2**63)


def ref(name: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def element(field: Field) -> Json:
    """What a field holds, or each of its elements."""
    match field.kind:
        case Kind.COMPLEX:
            assert field.struct is not None
            return ref(field.struct.__name__)
        case Kind.BOOLEAN:
            return {"type": "boolean"}
        case Kind.INTEGER:
            return integer(field)
        case Kind.STRING:
            return string(field)


def integer(field: Field) -> Json:
    """An integer within its range, or 0."""
    low, high = SMALLEST, LARGEST
    for mark in field.limits:
        if isinstance(mark, Range):
            low, high = mark.low, mark.high
    told: Json = {"type": "integer", "minimum": low, "maximum": high}
    return told if low <= 0 else {"anyOf": [told, {"const": 0}]}


def string(field: Field) -> Json:
    """A string as its limits want it, or empty."""
    told: Json = {"type": "string"}
    limits = schema.limits(field)
    if "enum" in limits:
        told["enum"] = limits["enum"]
    for mark in field.limits:
        if isinstance(mark, Pattern):
            told["pattern"] = f"^({mark.regex.pattern})?$"
            told["description"] = mark.expects
    return told


def value(field: Field) -> Json:
    """A field as it is answered."""
    told = element(field)
    if field.many:
        limits = schema.limits(field)
        told = {"type": "array", "items": told}
        if "max_items" in limits:
            told["maxItems"] = limits["max_items"]
    if field.default is not None:
        told["default"] = field.default
    return told


def described(told: Json, text: str | None) -> Json:
    """A schema with what it stands for."""
    return {**told, "description": text} if text else told


def complex_type(cls: type[Complex]) -> Json:
    """A complex type: an object with no other members than its fields."""
    notes = schema.meanings(cls)
    return {
        "type": "object",
        "description": schema.meaning(cls),
        "properties": {
            name: described(value(field), notes.get(name)) for name, field in fields_of(cls).items()
        },
        "additionalProperties": False,
    }


def answered_reference(reference: Reference) -> Json:
    """A reference as it is answered."""
    attr: Json = {"type": "null"}
    if reference.attr is not None:
        attr = {"anyOf": [ref(reference.attr.__name__), attr]}
    members = {"to": FQ_NAME, "uuid": UUID, "attr": attr, "href": HREF}
    return {
        "type": "object",
        "properties": members,
        "required": ["to", "uuid", "attr"],
        "additionalProperties": False,
    }


def sent_reference(reference: Reference) -> Json:
    """A reference as it is sent: the target by name or by uuid, and what the link says."""
    members: Json = {"to": FQ_NAME, "uuid": UUID}
    needed: list[str] = []
    if reference.attr is not None:
        members["attr"] = {"anyOf": [ref(reference.attr.__name__), {"type": "null"}]}
        needed = ["attr"]
    return {
        "type": "object",
        "properties": members,
        "anyOf": [{"required": ["to", *needed]}, {"required": ["uuid", *needed]}],
    }


def answered(declared: ResourceType) -> Json:
    """A resource as it is read, with its children and those that refer to it."""
    notes = schema.meanings(declared.cls)
    members: Json = {
        "uuid": UUID,
        "name": NAME,
        "fq_name": FQ_NAME,
        "href": HREF,
        "parent_type": {"enum": list(declared.parents)} if declared.parents else {"type": "string"},
        "parent_uuid": UUID,
        "parent_href": HREF,
    }
    for name, field in declared.properties.items():
        members[name] = described(value(field), notes.get(name))
    for name, reference in declared.references.items():
        told = {"type": "array", "items": answered_reference(reference)}
        members[name] = described(told, notes.get(name))
    for name in declared.children:
        members[name] = {"type": "array", "items": ref("child")}
    for name, one in declared.back_references.items():
        members[name] = {"type": "array", "items": answered_reference(one.reference)}
    return {
        "type": "object",
        "description": schema.meaning(declared.cls),
        "properties": members,
        "required": ["uuid", "fq_name"],
        "additionalProperties": False,
    }


def sent(declared: ResourceType, *, new: bool) -> Json:
    """A resource as it is created (``new``) or changed: null removes a property."""
    notes = schema.meanings(declared.cls)
    members: Json = {}
    if new:
        members = {"uuid": UUID, "fq_name": FQ_NAME}
        if declared.parents:
            members["parent_type"] = {"enum": list(declared.parents)}
    for name, field in declared.properties.items():
        told = value(field)
        members[name] = described({"anyOf": [told, {"type": "null"}]}, notes.get(name))
    for name, reference in declared.references.items():
        told = {"type": "array", "items": sent_reference(reference)}
        members[name] = described(told, notes.get(name))
    told = {"type": "object", "properties": members}
    return {**told, "required": ["fq_name"]} if new else told
