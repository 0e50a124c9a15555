"""Reading what clients send: JSON in, resource or a refusal out.

The rules are the upstream server's, since its clients depend on them:

* fields that the type does not have are dropped at the top of a resource (clients put back whole
  answers, with ``href`` and back-references) and refused inside complex values;
* an integer may come as a string of digits; a boolean is only ``true`` or ``false``;
* values that Python holds false (0, "", null, [], {}) are not checked: zero stays zero and an
  empty string a string, and where they do not even have the field's type, or are an empty
  string where only certain words are accepted, they mean "not said";
* subnets are brought to their network address, and types may have rules of their own
  (:meth:`tungsten.model.fields.Complex.checked`).

Beyond upstream, integers must fit in 64 bits and strings must be text that UTF-8 can carry, so
that whatever was accepted can also be encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tungsten.model.base import Ref, Reference, Resource, ResourceType, resource_type
from tungsten.model.errors import Path, ValidationError
from tungsten.model.fields import (
    AtMost,
    Check,
    Complex,
    Field,
    Kind,
    OneOf,
    Pattern,
    Range,
    fields_of,
)

#: Fields whose values are told to nobody, not in a refusal and not in a log; so are passwords.
_SECRETS = frozenset({"auth_data"})
_HIDDEN = "(a secret)"

_LOWEST, _HIGHEST = -(2**63), 2**64 - 1


class _Reader:
    """Reads one resource; knows its type's name for the errors."""

    def __init__(self, type_: str) -> None:
        self.type = type_

    def refuse(self, path: Path, value: object, reason: str) -> ValidationError:
        if value and any(step in _SECRETS or str(step).endswith("password") for step in path):
            reason, value = reason.replace(str(value), _HIDDEN), _HIDDEN
        return ValidationError(self.type, path, value, reason)

    def field(self, field: Field, raw: Any, path: Path) -> Any:
        """The value of a field; None when not said."""
        if raw is None:
            return None
        if not field.many:
            return self.element(field, raw, path)
        if not raw:
            return []
        if not isinstance(raw, list):
            raise self.refuse(
                path, raw, f"Field {field.name} must be a list. Received value: {raw}"
            )
        most = next((mark.count for mark in field.limits if isinstance(mark, AtMost)), None)
        if most is not None and len(raw) > most:
            raise self.refuse(path, raw, f"at most {most} elements are accepted")
        values = (self.element(field, item, (*path, at)) for at, item in enumerate(raw))
        return [value for value in values if value is not None]

    def element(self, field: Field, raw: Any, path: Path) -> Any:
        match field.kind:
            case Kind.COMPLEX:
                assert field.struct is not None
                return self.complex(field.struct, raw, path)
            case Kind.INTEGER:
                return self.integer(field, raw, path)
            case Kind.BOOLEAN:
                return self.boolean(raw, path)
            case Kind.STRING:
                return self.string(field, raw, path)

    def integer(self, field: Field, raw: Any, path: Path) -> int | None:
        if not raw:
            return 0 if raw == 0 and raw is not False else None
        expected = f"integer value expected instead of {raw}"
        if isinstance(raw, bool) or not isinstance(raw, int | str | float):
            raise self.refuse(path, raw, expected)
        try:
            value = int(raw)
        except (ValueError, OverflowError):
            raise self.refuse(path, raw, expected) from None
        if isinstance(raw, float) and value != raw:
            raise self.refuse(path, raw, expected)
        low, high = _LOWEST, _HIGHEST
        for mark in field.limits:
            if isinstance(mark, Range):
                low, high = mark.low, mark.high
        if value and not low <= value <= high:
            raise self.refuse(path, raw, f"value must be between {low} and {high}")
        return value

    def boolean(self, raw: Any, path: Path) -> bool | None:
        if isinstance(raw, bool):
            return raw
        if not raw:
            return None
        raise self.refuse(path, raw, f"true/false expected instead of {raw}")

    def string(self, field: Field, raw: Any, path: Path) -> str | None:
        if not isinstance(raw, str):
            if not raw:
                return None
            raise self.refuse(path, raw, f"string value expected instead of {raw}")
        if not raw:
            return None if any(isinstance(mark, OneOf) for mark in field.limits) else raw
        text: str = raw
        if not raw.isascii():
            try:
                raw.encode()
            except UnicodeEncodeError:
                raise self.refuse(path, raw, "text expected, with no lone surrogates") from None
        for mark in field.limits:
            match mark:
                case OneOf(values) if text not in values:
                    raise self.refuse(path, raw, f"value must be one of {list(values)}")
                case Pattern(regex, expects) if not regex.fullmatch(text):
                    raise self.refuse(path, raw, f"{expects} expected instead of {raw}")
                case Check(function):
                    try:
                        text = function(text)
                    except ValueError as error:
                        raise self.refuse(path, raw, str(error)) from None
                case _:
                    pass
        return text

    def complex(self, cls: type[Complex], raw: Any, path: Path) -> Complex | None:
        if not isinstance(raw, dict):
            if not raw:
                return None
            raise self.refuse(path, raw, f"an object of type {cls.__name__} expected")
        fields = fields_of(cls)
        values = {}
        for key, item in raw.items():
            field = fields.get(key)
            if field is None:
                accepted = ", ".join(fields)
                reason = f"{cls.__name__} does not have field {key} (it has {accepted})"
                raise self.refuse((*path, str(key)), item, reason)
            values[key] = self.field(field, item, (*path, key))
        try:
            return cls(**values).checked()
        except ValueError as error:
            raise self.refuse(path, raw, str(error)) from None

    def references(self, reference: Reference, raw: Any) -> list[Ref[Any]]:
        name = reference.field
        if not raw:
            return []
        if not isinstance(raw, list):
            raise self.refuse((name,), raw, f"Field {name} must be a list. Received value: {raw}")
        return [self.reference(reference, item, (name, at)) for at, item in enumerate(raw)]

    def reference(self, reference: Reference, raw: Any, path: Path) -> Ref[Any]:
        if not isinstance(raw, dict):
            raise self.refuse(path, raw, "an object with to or uuid, and attr, expected")
        to = self.names(raw.get("to"), (*path, "to"))
        uuid = self.text(raw.get("uuid"), (*path, "uuid"))
        if not to and not uuid:
            raise self.refuse(path, raw, f"to or uuid of a {reference.target} expected")
        attr = raw.get("attr")
        if reference.attr is not None:
            attr = self.complex(reference.attr, attr, (*path, "attr"))
        elif attr:
            raise self.refuse((*path, "attr"), attr, f"the link {reference.link} has no attributes")
        else:
            attr = None
        return Ref(to, uuid or "", attr)

    def names(self, raw: Any, path: Path) -> list[str]:
        if raw is None:
            return []
        if not isinstance(raw, list) or not all(isinstance(item, str) and item for item in raw):
            raise self.refuse(path, raw, "a list of names expected")
        return [self.text(item, (*path, at)) or "" for at, item in enumerate(raw)]

    def text(self, raw: Any, path: Path) -> str | None:
        if raw is None:
            return None
        if not isinstance(raw, str):
            raise self.refuse(path, raw, f"string value expected instead of {raw}")
        try:
            raw.encode()
        except UnicodeEncodeError:
            raise self.refuse(path, raw, "text expected, with no lone surrogates") from None
        return raw


def validate(type_: ResourceType, fields: Mapping[str, Any]) -> Resource:
    """A resource from the fields that a client sent. Raises :class:`ValidationError`."""
    reader = _Reader(type_.name)
    values: dict[str, Any] = {
        "uuid": reader.text(fields.get("uuid"), ("uuid",)) or "",
        "fq_name": reader.names(fields.get("fq_name"), ("fq_name",)),
        "parent_type": reader.text(fields.get("parent_type"), ("parent_type",)),
        "parent_uuid": reader.text(fields.get("parent_uuid"), ("parent_uuid",)),
    }
    for name, raw in fields.items():
        if name in type_.properties:
            values[name] = reader.field(type_.properties[name], raw, (name,))
        elif name in type_.references:
            values[name] = reader.references(type_.references[name], raw)
    return type_.cls(**values)


def validate_property(type_: str, name: str, raw: Any) -> Any:
    """The value of one property. Raises :class:`ValidationError`; KeyError: no such property."""
    return _Reader(type_).field(resource_type(type_).properties[name], raw, (name,))


def validate_element(type_: str, name: str, raw: Any) -> Any:
    """One element of a list or map property (``prop-collection-update``).

    KeyError: no such property, or it is no collection.
    """
    field = resource_type(type_).properties[name]
    if field.collection is None or field.struct is None:
        raise KeyError(name)
    inside = fields_of(field.struct)[field.collection.element]
    return _Reader(type_).element(inside, raw, (name, field.collection.element))


def validate_attr(type_: str, name: str, raw: Any) -> Any:
    """What a link says (``ref-update``). KeyError: no such reference."""
    reference = resource_type(type_).references[name]
    reader = _Reader(type_)
    path = (name, "attr")
    if reference.attr is not None:
        return reader.complex(reference.attr, raw, path)
    if raw:
        raise reader.refuse(path, raw, f"the link {reference.link} has no attributes")
    return None


def decode(type_: str, data: bytes | str | Mapping[str, Any], *, strict: bool = True) -> Resource:
    """A resource of the dashed type from JSON text or from its parsed form.

    Strict reading applies the rules above; the other takes what :func:`encode` wrote, however
    old, and ignores what it does not know. Raises :class:`ValidationError`, UnknownType.
    """
    declared = resource_type(type_)
    try:
        if not strict:
            if isinstance(data, bytes | str):
                return msgspec.json.decode(data, type=declared.cls)
            return msgspec.convert(data, type=declared.cls)
        fields = msgspec.json.decode(data) if isinstance(data, bytes | str) else data
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValidationError(type_, (), data, f"not a {type_} in JSON: {error}") from error
    if not isinstance(fields, Mapping):
        raise ValidationError(type_, (), fields, "an object expected")
    return validate(declared, fields)


def encode(resource: Resource) -> bytes:
    """JSON of a resource: identity, properties and references that were said."""
    return msgspec.json.encode(resource)


def to_fields(resource: Resource) -> dict[str, Any]:
    """The same in Python's basic types."""
    fields: dict[str, Any] = msgspec.to_builtins(resource)
    return fields
