"""Rules of tag, and of the references to tags that every object may have.

A tag is named by its type and value, ``<type>=<value>``. Its id is the type's number followed
by the value's, each four hexadecimal digits: ``0x00010000`` is the first value of
``application``. Values that users number themselves are in the upper half.
"""

from __future__ import annotations

from typing import Any

from tungsten.api.errors import BadRequest, name_list
from tungsten.api.ids import IdSpace, tag_value_ids
from tungsten.api.resources.hooks import Hooks
from tungsten.api.transactions import Write
from tungsten.model import Resource, Tag, type_of

TAG_TYPES = {
    "label": 0x0000,
    "application": 0x0001,
    "tier": 0x0002,
    "deployment": 0x0003,
    "site": 0x0004,
    "neutron_fwaas": 0x0005,
    "neutron_tag": 0x0006,
}
"""The types of tags and their numbers."""

MANY = frozenset({"label", "neutron_fwaas", "neutron_tag"})
"""Types of which an object may have several tags."""

USER_VALUES = range(0x8000, 0xFFFF)
"""Numbers of values that users choose."""


def tag_name(tag: Tag) -> str:
    """The name that a tag's type and value make."""
    return f"{(tag.tag_type_name or '').lower()}={tag.tag_value}"


def settle_tag_name(write: Write, tag: Tag) -> None:
    """A tag is called after its type and value, whatever name was sent."""
    if not tag.tag_type_name or not tag.tag_value:
        raise BadRequest("Tag must be created with a type and a value")
    if tag.tag_type_refs:
        raise BadRequest("Tag Type reference is not setable")
    tag.tag_type_name = tag.tag_type_name.lower()
    if tag.tag_type_name not in TAG_TYPES:
        raise BadRequest(
            f"Tag type '{tag.tag_type_name}' does not exist; there are {', '.join(TAG_TYPES)}"
        )
    name = tag_name(tag)
    tag.fq_name = [*tag.fq_name[:-1], name]
    tag.display_name = name


def value_ids(tag: Tag) -> IdSpace:
    """The numbers of the values of a tag's type."""
    return tag_value_ids(tag.tag_type_name or "")


def give_tag_id(write: Write, tag: Tag) -> None:
    """A tag has the id that its maker chose in the users' range, or the next one."""
    assert tag.tag_type_name is not None
    type_id = TAG_TYPES[tag.tag_type_name]
    ids = value_ids(tag)
    if tag.tag_id is None:
        value = ids.allocate(write.tx, tag.uuid)
    else:
        number = int(tag.tag_id, 16)
        value = number & 0xFFFF
        if value not in USER_VALUES or number >> 16 != type_id:
            raise BadRequest(
                f"Tag id can be set only for user defined tags in range "
                f"{USER_VALUES.start}-{USER_VALUES.stop} of type {type_id:#06x}, not {tag.tag_id}"
            )
        if not ids.take(write.tx, value, tag.uuid):
            raise BadRequest("Requested Tag id is already allocated")
    tag.tag_id = f"0x{type_id:04x}{value:04x}"


def keep_tag(write: Write, old: Tag, new: Tag) -> None:
    """What a tag is never changes."""
    for name in ("tag_type_name", "tag_value", "tag_id"):
        if getattr(old, name) != getattr(new, name):
            raise BadRequest("Tag name, type, value or ID cannot be updated")
    if old.tag_type_refs != new.tag_type_refs:
        raise BadRequest("Tag-type reference cannot be updated")


def refuse_tag_twice(write: Write, resource: Resource) -> None:
    """An object has one tag of a type, except of the types of which it may have many."""
    seen = set()
    for ref in resource.tag_refs:
        kind = ref.to[-1].partition("=")[0]
        if kind in MANY:
            continue
        if kind in seen:
            words = type_of(resource).name.replace("-", " ").title()
            raise BadRequest(
                f"Tag type '{kind}' cannot be set multiple times on the same {words} resource "
                f"type: {name_list(resource.fq_name)}"
            )
        seen.add(kind)


HOOKS: dict[str, Hooks[Any]] = {
    "tag": Hooks[Tag](name=(settle_tag_name,), create=(give_tag_id,), update=(keep_tag,)),
}
