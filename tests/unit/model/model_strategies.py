"""Random resources of any type, made from the declarations."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from tungsten.model import RESOURCE_TYPES, Ref, Resource, ResourceType
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
from tungsten.model.scalars import IpAddress

_ADDRESS = IpAddress.__metadata__[0].function  # type: ignore[attr-defined]

#: Text that XML can carry and that is not empty.
xml_text = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=8,
)
uuids = st.integers(1, 2**128 - 1).map(lambda number: str(UUID(int=number)))


def strings(field: Field) -> st.SearchStrategy[str]:
    """Strings that the field accepts."""
    for limit in field.limits:
        match limit:
            case OneOf(values):
                return st.sampled_from(values)
            case Pattern(regex):
                return st.from_regex(regex, fullmatch=True)
            case Check(function) if function is _ADDRESS:
                return st.ip_addresses().map(str)
            case Check():
                return st.tuples(st.integers(0, 65535), st.integers(0, 99)).map(
                    lambda pair: f"{pair[0]}:{pair[1]}"
                )
            case _:
                pass
    return xml_text


def integers(field: Field) -> st.SearchStrategy[int]:
    """Integers that the field accepts."""
    for limit in field.limits:
        if isinstance(limit, Range):
            return st.integers(limit.low, limit.high)
    return st.integers(-(2**63), 2**63 - 1)


def elements(field: Field) -> st.SearchStrategy[Any]:
    """Values of a field, or of one of its elements."""
    match field.kind:
        case Kind.COMPLEX:
            assert field.struct is not None
            return complexes(field.struct)
        case Kind.INTEGER:
            return integers(field)
        case Kind.BOOLEAN:
            return st.booleans()
        case Kind.STRING:
            return strings(field)


def values(field: Field) -> st.SearchStrategy[Any]:
    """Values of a field."""
    if not field.many:
        return elements(field)
    most = min([3, *(mark.count for mark in field.limits if isinstance(mark, AtMost))])
    return st.lists(elements(field), min_size=1, max_size=most)


def complexes(cls: type[Complex]) -> st.SearchStrategy[Complex]:
    """Values of a complex type in their normal form."""
    if cls.__name__ == "SubnetType":
        return st.ip_addresses().flatmap(
            lambda address: st.integers(0, address.max_prefixlen).map(
                lambda length: cls(ip_prefix=str(address), ip_prefix_len=length).checked()
            )
        )
    fields = {name: values(field) for name, field in fields_of(cls).items()}
    if cls.__name__ == "AllowedAddressPair":
        fields["address_mode"] = st.just("active-active")
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: cls(**given))


@st.composite
def resources(draw: st.DrawFn, declared: ResourceType | None = None) -> Resource:
    """Resources with a few properties and references."""
    if declared is None:
        declared = RESOURCE_TYPES[draw(st.sampled_from(sorted(RESOURCE_TYPES)))]
    names = draw(st.lists(st.sampled_from(sorted(declared.properties)), max_size=4, unique=True))
    given: dict[str, Any] = {name: draw(values(declared.properties[name])) for name in names}
    for name in draw(st.lists(st.sampled_from(sorted(declared.references)), max_size=2)):
        attr = declared.references[name].attr
        link = st.none() | complexes(attr) if attr else st.none()
        made = st.builds(Ref, st.lists(xml_text, min_size=1, max_size=3), uuids, link)
        given[name] = draw(st.lists(made, min_size=1, max_size=2, unique_by=lambda ref: ref.uuid))
    depth = draw(st.integers(2, 4)) if declared.has_parents else 1
    plain = xml_text.map(lambda text: text.replace(":", "_"))
    given["fq_name"] = draw(st.lists(plain, min_size=depth, max_size=depth))
    given["uuid"] = draw(uuids)
    if declared.has_parents:
        given["parent_type"] = draw(st.sampled_from(sorted(declared.parents)))
        given["parent_uuid"] = draw(uuids)
    return declared.cls(**given)
