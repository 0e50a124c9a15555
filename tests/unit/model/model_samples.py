"""Resources with everything set, made from the declarations; the same each time."""

from __future__ import annotations

from typing import Any

from tungsten.model import Complex, Field, Kind, ResourceType, fields_of
from tungsten.model.fields import AtMost, Check, OneOf, Pattern, Range
from tungsten.model.scalars import CommunityAttribute, IpAddress

_ADDRESS = IpAddress.__metadata__[0].function  # type: ignore[attr-defined]
_COMMUNITY = CommunityAttribute.__metadata__[0].function  # type: ignore[attr-defined]

_FITTING = {
    "management, left, right or other<number>": "other{n}",
    "a uuid in lower-case digits": "00000000-0000-4000-8000-{n:012d}",
    "0x and 4 hex digits": "0x80{n:02x}",
    "0x and 8 or 12 hex digits": "0x000180{n:02x}",
}
"""For each pattern a string that fits, made of a number."""


def sample(field: Field, n: int) -> Any:
    """The ``n``-th value of a field, in the form that clients send."""
    if not field.many:
        return element(field, n)
    most = next((mark.count for mark in field.limits if isinstance(mark, AtMost)), 2)
    return [element(field, n + at) for at in range(min(most, 2))]


def element(field: Field, n: int) -> Any:
    match field.kind:
        case Kind.COMPLEX:
            assert field.struct is not None
            return complex_value(field.struct, n)
        case Kind.BOOLEAN:
            return n % 2 == 0
        case Kind.INTEGER:
            return integer(field, n)
        case Kind.STRING:
            return string(field, n)


def integer(field: Field, n: int) -> int:
    for mark in field.limits:
        if isinstance(mark, Range):
            return mark.low + (mark.high - mark.low) * (n % 3) // 2 or mark.high
    return n + 1


def string(field: Field, n: int) -> str:
    for mark in field.limits:
        match mark:
            case OneOf(values):
                return values[n % len(values)]
            case Pattern(_, expects):
                return _FITTING[expects].format(n=n)
            case Check(function) if function is _ADDRESS:
                return f"10.1.0.{n + 1}"
            case Check(function) if function is _COMMUNITY:
                return f"64512:{n}"
            case _:
                pass
    return f"{field.name} {n}"


def complex_value(cls: type[Complex], n: int) -> dict[str, Any]:
    if cls.__name__ == "SubnetType":
        return {"ip_prefix": f"10.{n}.0.0", "ip_prefix_len": 16}
    value = {name: sample(field, n) for name, field in fields_of(cls).items()}
    if cls.__name__ == "AllowedAddressPair":
        value["address_mode"] = "active-active"
    return value


def full(declared: ResourceType, n: int = 0) -> dict[str, Any]:
    """All properties of a type."""
    return {name: sample(field, n) for name, field in declared.properties.items()}


def wrong_values(field: Field) -> list[Any]:
    """Values that a field does not take."""
    wrong = _wrong_elements(field)
    if not field.many:
        return wrong
    most = next((mark.count for mark in field.limits if isinstance(mark, AtMost)), None)
    too_many = [[element(field, 0)] * (most + 1)] if most is not None and most < 10 else []
    return [*([one] for one in wrong), "no list", *too_many]


def _wrong_elements(field: Field) -> list[Any]:
    match field.kind:
        case Kind.COMPLEX:
            return ["no object", 7, ["no object"], {"no_such_field": 1}]
        case Kind.BOOLEAN:
            return ["yes", 1, {"a": 1}]
        case Kind.INTEGER:
            ranges = [mark for mark in field.limits if isinstance(mark, Range)]
            out = [one for mark in ranges for one in (mark.low - 1, mark.high + 1) if one]
            return ["many", 1.5, True, {"a": 1}, 2**64, *out]
        case Kind.STRING:
            wrong: list[Any] = [7, {"a": 1}, ["text"]]
            free = not any(isinstance(mark, OneOf | Pattern | Check) for mark in field.limits)
            return wrong if free else [*wrong, "no such word"]
