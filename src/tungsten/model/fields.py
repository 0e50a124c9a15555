"""The vocabulary of declarations: what an annotation may say about a field, and reading it.

A declaration is a class with annotated fields. What the Python type cannot say stands beside it
in ``Annotated``::

    mtu: Annotated[int, Range(0, 9216)] | None = None
    forwarding_mode: Annotated[str, OneOf("l2_l3", "l2", "l3")] | None = None
    enable_dhcp: Annotated[bool | None, Default(True)] = None

Every field of a complex type and every property defaults to None, which means "not said": what
is kept is only what was said, and :func:`effective` gives the schema's default to a reader.
Limits are checked on what clients send (:mod:`tungsten.model.validation`), not on what is read
back from the store, so that an object which was once accepted can always be loaded.

:func:`fields_of` reads a class once and keeps what it found as :class:`Field` values.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec


class Complex(msgspec.Struct, omit_defaults=True, repr_omit_defaults=True, kw_only=True):
    """Base of the structured values of properties and references (upstream's complex types).

    Field names are those of the REST form.
    """

    def checked(self) -> Complex:
        """Check what concerns several fields and bring the value to its normal form.

        Called on what clients send. Returns itself or a replacement; raises ValueError with
        the reason. Types with such rules override it.
        """
        return self


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds of an integer."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, init=False)
class OneOf:
    """The accepted strings."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", values)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression that the whole string matches; ``expects`` says it in words."""

    regex: re.Pattern[str]
    expects: str


@dataclass(frozen=True, slots=True)
class Check:
    """A function that returns the string in its normal form, or raises ValueError (reason)."""

    function: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Default:
    """What the absence of the field means to a reader."""

    value: Any


@dataclass(frozen=True, slots=True)
class AtMost:
    """Most elements of a list."""

    count: int


@dataclass(frozen=True, slots=True)
class ListOf:
    """The property is a list of elements that can be changed one by one.

    ``element`` names the field of the property's type that holds the list.
    """

    element: str


@dataclass(frozen=True, slots=True)
class MapOf:
    """The property is a map: a list whose elements are told apart by their field ``key``."""

    element: str
    key: str


class Presence(Enum):
    """Who is expected to set a field. Informational: absence is never an error by itself."""

    OPTIONAL = "optional"
    REQUIRED = "required"
    ADMIN = "admin-only"
    SYSTEM = "system-only"


#: Shorthands for annotations.
Required = Presence.REQUIRED
AdminOnly = Presence.ADMIN
SystemOnly = Presence.SYSTEM


@dataclass(frozen=True, slots=True)
class To:
    """A reference field: the target's type and the link's properties.

    ``link`` is the name of the link between the two in the configuration graph; by default
    ``<type>-<target>``. A ``derived`` reference is made by the system and does not keep its
    target from being deleted.
    """

    target: str
    link: str = ""
    derived: bool = False


class Kind(Enum):
    """What a field holds, or each of its elements."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    COMPLEX = "complex"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a complex type, or one property of a resource, as declared.

    ``many`` tells a list; ``struct`` is the complex type when ``kind`` is COMPLEX; ``limits``
    are the Range, OneOf, Pattern, Check and AtMost beside the type; ``collection`` is set on
    properties whose elements can be changed one by one.
    """

    name: str
    kind: Kind
    many: bool
    struct: type[Complex] | None
    limits: tuple[Any, ...]
    default: Any
    presence: Presence
    collection: ListOf | MapOf | None

    @property
    def required(self) -> bool:
        """People are expected to set it."""
        return self.presence is Presence.REQUIRED

    @property
    def system_only(self) -> bool:
        """Only the system sets it."""
        return self.presence is Presence.SYSTEM

    @property
    def type_name(self) -> str:
        """The complex type's name, or string, integer, boolean."""
        return self.struct.__name__ if self.struct else self.kind.value


_KINDS = {str: Kind.STRING, int: Kind.INTEGER, bool: Kind.BOOLEAN}


def unwrap(annotation: Any) -> tuple[Any, bool, list[Any]]:
    """Peel ``Annotated``, ``| None`` and ``list`` off: (inner type, was a list, the marks)."""
    many = False
    marks: list[Any] = []
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            marks += more
        elif origin in (Union, types.UnionType):
            (annotation,) = (a for a in get_args(annotation) if a is not type(None))
        elif origin is list:
            (annotation,) = get_args(annotation)
            many = True
        else:
            return annotation, many, marks


def read_field(name: str, annotation: Any) -> Field:
    """The :class:`Field` that an annotation declares. TypeError: it declares none."""
    inner, many, marks = unwrap(annotation)
    struct = inner if isinstance(inner, type) and issubclass(inner, Complex) else None
    kind = Kind.COMPLEX if struct else _KINDS.get(inner)
    if kind is None:
        raise TypeError(f"field {name} has type {inner!r}, which the model does not know")
    presence, default, collection = Presence.OPTIONAL, None, None
    limits = []
    for mark in marks:
        match mark:
            case Presence():
                presence = mark
            case Default(value):
                default = value
            case ListOf() | MapOf():
                collection = mark
            case _:
                limits.append(mark)
    return Field(name, kind, many, struct, tuple(limits), default, presence, collection)


@cache
def fields_of(cls: type[Complex]) -> dict[str, Field]:
    """The fields of a complex type by name, in the order of declaration."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: read_field(name, hints[name]) for name in cls.__struct_fields__}


def effective(value: Complex, name: str) -> Any:
    """The field's value, or the schema's default where it was not said."""
    said = getattr(value, name)
    return fields_of(type(value))[name].default if said is None else said
