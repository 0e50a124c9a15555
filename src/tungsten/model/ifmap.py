"""The form in which hosts get their configuration: XML nodes and links of the graph.

The graph's nodes are resources, named by their fq_name joined with ``:``. A node carries its
properties as child elements, named as the fields with dashes for underscores; a list is the
element repeated. Links join two nodes and carry only their *metadata* name
(:func:`reference_link`, :func:`parent_link`). What a link says (the ``attr`` of a reference) is
a node of its own, whose type is the metadata name and whose name holds both ends' names
(:func:`attr_name`); each end is linked to it with the same metadata.

Inside complex values the schema's defaults are written out where nothing was said, as upstream's
encoder does: agents take an absent element for zero or false. Properties that were not said
are left out. Characters that XML cannot carry are written as U+FFFD.

References: upstream's control node to agent config channel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from tungsten.model.base import Resource, ResourceType, parent_link, resource_type, type_of
from tungsten.model.errors import ValidationError
from tungsten.model.fields import Complex, Field, Kind, fields_of

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(value: str) -> str:
    """A string as XML character data."""
    return escape(_ILLEGAL.sub("\ufffd", value), {'"': "&quot;", "\r": "&#13;"})


def element_name(field: str) -> str:
    """The XML element of a field: ``virtual_DNS_data`` is ``virtual-DNS-data``.

    An underscore at the end, which only JSON has, is left out: ``type_`` is ``type``.
    """
    return field.rstrip("_").replace("_", "-")


def node_name(resource: Resource) -> str:
    """The name of a resource's node."""
    return ":".join(resource.fq_name)


def fq_name_of(type_: ResourceType, name: str) -> list[str]:
    """The fq_name of a node's name. Types that only live at the root have one element."""
    return name.split(":") if type_.has_parents else [name]


def property_elements(resource: Resource) -> bytes:
    """The children that a node has besides its name."""
    parts: list[str] = []
    for name, field in type_of(resource).properties.items():
        value = getattr(resource, name)
        if value is not None:
            _write(parts, field, value)
    return "".join(parts).encode()


def node(resource: Resource) -> bytes:
    """A resource's whole node."""
    return _node(type_of(resource).name, node_name(resource), property_elements(resource))


def node_key(type_: str, name: str) -> bytes:
    """A node that says only which it is: in links, and when it is deleted."""
    return _node(type_, name, b"")


def _node(type_: str, name: str, inside: bytes) -> bytes:
    head = f'<node type="{text(type_)}"><name>{text(name)}</name>'
    return head.encode() + inside + b"</node>"


def link(left: tuple[str, str], right: tuple[str, str], metadata: str) -> bytes:
    """A link between two nodes, each given as (type, name)."""
    ends = node_key(*left) + node_key(*right)
    return b"<link>" + ends + f'<metadata type="{text(metadata)}"/></link>'.encode()


def reference_link(type_: str, field: str) -> str:
    """The metadata name of a reference field's links."""
    return resource_type(type_).references[field].link


def link_name(type_: str, other: str) -> str:
    """The metadata name of the link from a type to another it refers to, or hangs below.

    KeyError: there is none. When a type both refers to another and hangs below it, the
    reference is meant (:func:`~tungsten.model.parent_link` gives the other).
    """
    declared = resource_type(type_)
    for reference in declared.references.values():
        if reference.target == other:
            return reference.link
    return parent_link(declared, other)


def attr_name(one: str, other: str) -> str:
    """The name of the node that holds what a link says, from the names of its ends."""
    left, right = sorted((one, other))
    return f"attr({left},{right})"


def attr_node(metadata: str, one: str, other: str, attr: Complex) -> bytes:
    """The node that holds what a link says."""
    parts: list[str] = []
    _write_fields(parts, attr)
    inside = f"<value>{''.join(parts)}</value>".encode()
    return _node(metadata, attr_name(one, other), inside)


def _write(parts: list[str], field: Field, value: Any) -> None:
    """Append the elements of one field that has a value."""
    name = element_name(field.name)
    for item in value if field.many else (value,):
        parts.append(f"<{name}>")
        match field.kind:
            case Kind.COMPLEX:
                _write_fields(parts, item)
            case Kind.BOOLEAN:
                parts.append("true" if item else "false")
            case Kind.INTEGER:
                parts.append(str(item))
            case Kind.STRING:
                parts.append(text(item))
        parts.append(f"</{name}>")


def _write_fields(parts: list[str], value: Complex) -> None:
    for name, field in fields_of(type(value)).items():
        said = getattr(value, name)
        if said is None:
            said = field.default
        if said is not None:
            _write(parts, field, said)


def from_ifmap(type_: str, element: Element) -> Resource:
    """The resource of a ``<node>`` element: its properties, without references.

    What the type does not know is ignored. The uuid is that of ``id-perms``; parent fields are
    not in the node. Raises :class:`~tungsten.model.ValidationError` for a value that does not
    have its field's type, UnknownType.
    """
    declared = resource_type(type_)
    name = element.findtext("name")
    if not name:
        raise ValidationError(type_, ("name",), name, "the node has no name")
    values = _read_fields(type_, declared.properties.values(), element)
    resource = declared.cls(fq_name=fq_name_of(declared, name), **values)
    halves = resource.id_perms.uuid if resource.id_perms else None
    if halves is not None:
        resource.uuid = join_uuid(halves.uuid_mslong or 0, halves.uuid_lslong or 0)
    return resource


def attr_from_ifmap(cls: type[Complex], element: Element) -> Complex:
    """What a link says, from the ``<node>`` of :func:`attr_node`."""
    value = element.find("value")
    if value is None:
        raise ValidationError(cls.__name__, ("value",), None, "the node has no value")
    return cls(**_read_fields(cls.__name__, fields_of(cls).values(), value))


def _read_fields(where: str, fields: Iterable[Field], element: Element) -> dict[str, Any]:
    inside: dict[str, list[Element]] = {}
    for child in element:
        inside.setdefault(child.tag, []).append(child)
    values = {}
    for field in fields:
        found = inside.get(element_name(field.name))
        if found is None:
            continue
        if field.many:
            items = [_read(where, field, child) for child in found]
            values[field.name] = [item for item in items if item is not None]
        else:
            values[field.name] = _read(where, field, found[-1])
    return values


def _read(where: str, field: Field, element: Element) -> Any:
    """The value in an element; None when it is empty and not an object."""
    if field.kind is Kind.COMPLEX:
        assert field.struct is not None
        return field.struct(**_read_fields(where, fields_of(field.struct).values(), element))
    content = element.text or ""
    if not content:
        return None
    match field.kind:
        case Kind.INTEGER:
            return _integer(where, field, content)
        case Kind.BOOLEAN:
            if content not in ("true", "false", "1", "0"):
                raise ValidationError(where, (field.name,), content, "true or false expected")
            return content in ("true", "1")
        case _:
            return content


def _integer(where: str, field: Field, content: str) -> int:
    try:
        value = int(content)
    except ValueError:
        value = 2**64
    if not -(2**63) <= value < 2**64:
        raise ValidationError(where, (field.name,), content, "an integer of 64 bits expected")
    return value


def split_uuid(uuid: str) -> tuple[int, int]:
    """The two unsigned halves of a UUID, as ``id_perms`` has them."""
    number = int(uuid.replace("-", ""), 16)
    return number >> 64, number & (2**64 - 1)


def join_uuid(upper: int, lower: int) -> str:
    """The inverse; halves that a client wrote as signed numbers are taken too."""
    digits = f"{upper % 2**64:016x}{lower % 2**64:016x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


__all__ = [
    "attr_from_ifmap",
    "attr_name",
    "attr_node",
    "element_name",
    "fq_name_of",
    "from_ifmap",
    "join_uuid",
    "link",
    "link_name",
    "node",
    "node_key",
    "node_name",
    "property_elements",
    "reference_link",
    "split_uuid",
    "text",
]
