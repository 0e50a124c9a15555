"""Rules of tag and tag-type, and of the references to tags that every object may have.

A tag is named by its type and value, ``<type>=<value>``. Its id is the type's number followed
by the value's: ``0x00010000`` is the first value of ``application``. Each has four hexadecimal
digits; a value that needs more has eight (``0x000100010000``).

The system knows a few types of tags; others are made when a tag of a new type is made, or by
themselves, and go with their last tag. The numbers of both kinds are of one range, and so are
those of values: the system gives the first free one, users take any that is not given.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tungsten.api.errors import BadRequest, Conflict, echo, name_list
from tungsten.api.ids import TAG_TYPE_IDS, IdSpace, tag_value_ids
from tungsten.api.resources.hooks import Hooks
from tungsten.api.resources.making import make
from tungsten.api.transactions import Write, find
from tungsten.model import Ref, Resource, Tag, type_of
from tungsten.model.security import TagType

TAG_TYPES = {
    "label": 0x0000,
    "application": 0x0001,
    "tier": 0x0002,
    "deployment": 0x0003,
    "site": 0x0004,
    "neutron_fwaas": 0x0005,
    "neutron_tag": 0x0006,
}
"""The types of tags that the system knows, and their numbers."""

MANY = frozenset({"label", "neutron_fwaas", "neutron_tag"})
"""Types of which an object may have several tags."""

USER_TYPES = range(16, 0x10000)
"""Numbers of types that users choose."""

USER_VALUES = range(0x8000, 0x1_0000_0000)
"""Numbers of values that users choose."""


# -- tags -----------------------------------------------------------------------------------


def tag_name(tag: Tag) -> str:
    """The name that a tag's type and value make."""
    return f"{(tag.tag_type_name or '').lower()}={tag.tag_value}"


def settle_tag_name(write: Write, tag: Tag) -> None:
    """A tag is called after its type and value, whatever name was sent."""
    if not tag.tag_type_name or not tag.tag_value:
        raise BadRequest("Tag must be created with a type and a value")
    if tag.tag_type_refs:
        raise BadRequest("Tag Type reference is not setable")
    if "=" in tag.tag_type_name or ":" in tag_name(tag):
        raise BadRequest(
            f"A tag's type has neither ':' nor '=', its value no ':', not {echo(tag_name(tag))}"
        )
    tag.tag_type_name = tag.tag_type_name.lower()
    name = tag_name(tag)
    tag.fq_name = [*tag.fq_name[:-1], name]
    tag.display_name = name


def value_ids(tag: Tag) -> IdSpace:
    """The numbers of the values of a tag's type."""
    return tag_value_ids(tag.tag_type_name or "")


def give_tag_id(write: Write, tag: Tag) -> None:
    """A tag has the id that its maker chose in the users' range, or the next one."""
    assert tag.tag_type_name is not None
    type_id, tag.tag_type_refs = _type_of_tag(write, tag.tag_type_name)
    ids = value_ids(tag)
    if tag.tag_id is None:
        value = ids.allocate(write.tx, tag.uuid)
    else:
        asked_type, value = split_tag_id(tag.tag_id)
        if value not in USER_VALUES or asked_type != type_id:
            raise BadRequest(
                f"Tag id can be set only for user defined tags in range "
                f"{USER_VALUES.start}-{USER_VALUES.stop - 1} of type {type_id:#06x}, "
                f"not {tag.tag_id}"
            )
        if not ids.take(write.tx, value, tag.uuid):
            raise BadRequest("Requested Tag id is already allocated")
    tag.tag_id = join_tag_id(type_id, value)


def _type_of_tag(write: Write, name: str) -> tuple[int, list[Ref[None]]]:
    """The number of a type of tags and a reference to it; a type that is new is made."""
    known = find(write.tx, TagType, "tag-type", [name])
    if known is None:
        made = TagType(uuid=str(uuid4()), fq_name=[name])
        number = TAG_TYPE_IDS.allocate(write.tx, made.uuid)
        made.tag_type_id = f"0x{number:04x}"
        return number, [make(write, made, visible=False)]
    return int(known.tag_type_id or "0", 16), [Ref(list(known.fq_name), known.uuid)]


def split_tag_id(text: str) -> tuple[int, int]:
    """The numbers of type and value that an id of eight or twelve digits says."""
    digits = text.removeprefix("0x")
    return int(digits[:4], 16), int(digits[4:], 16)


def join_tag_id(type_id: int, value: int) -> str:
    """The inverse, as short as it can be."""
    return f"0x{type_id:04x}{value:0{4 if value <= 0xFFFF else 8}x}"


def keep_tag(write: Write, old: Tag, new: Tag) -> None:
    """What a tag is never changes."""
    for name in ("tag_type_name", "tag_value", "tag_id"):
        if getattr(old, name) != getattr(new, name):
            raise BadRequest("Tag name, type, value or ID cannot be updated")
    if old.tag_type_refs != new.tag_type_refs:
        raise BadRequest("Tag-type reference cannot be updated")


def drop_unused_type(write: Write, tag: Tag) -> None:
    """A type that is not the system's goes with its last tag."""
    for ref in tag.tag_type_refs:
        others = [one for one in write.tx.referrers(ref.uuid, "tag") if one.uuid != tag.uuid]
        if not others and ref.to[-1] not in TAG_TYPES:
            write.tx.delete(ref.uuid)


# -- types ----------------------------------------------------------------------------------


def give_type_id(write: Write, tag_type: TagType) -> None:
    """A type has the number that its maker chose in the users' range, or the next one."""
    if tag_type.name in TAG_TYPES:
        tag_type.tag_type_id = f"0x{TAG_TYPES[tag_type.name]:04x}"
        return
    if tag_type.name != tag_type.name.lower() or "=" in tag_type.name:
        raise BadRequest(f"Tag type {echo(tag_type.name)} must be lower-case, without '='")
    if tag_type.tag_type_id is None:
        number = TAG_TYPE_IDS.allocate(write.tx, tag_type.uuid)
    else:
        number = int(tag_type.tag_type_id, 16)
        if number not in USER_TYPES:
            raise BadRequest(
                "Tag type must be created with an explicit id in user-defined range "
                f"16-65535 (0x0010-0xFFFF), not {number}"
            )
        if not TAG_TYPE_IDS.take(write.tx, number, tag_type.uuid):
            raise BadRequest(f"Tag Type ID {number} already in use")
    tag_type.tag_type_id = f"0x{number:04x}"


def keep_type(write: Write, old: TagType, new: TagType) -> None:
    """The number of a type is part of the ids of its tags; it stays."""
    if old.tag_type_id != new.tag_type_id:
        raise BadRequest("Tag Type value cannot be updated")


def refuse_known_type(write: Write, tag_type: TagType) -> None:
    """The types that the system knows stay."""
    if tag_type.name in TAG_TYPES:
        raise Conflict(f"Tag type {tag_type.name} is one that the system needs")


# -- references to tags ---------------------------------------------------------------------


def refuse_tag_twice(write: Write, resource: Resource) -> None:
    """An object has one tag of a type, except of the types of which it may have many.

    A firewall rule has the tags of both its ends; an address group only has labels.
    """
    type_ = type_of(resource)
    seen = set()
    for ref in resource.tag_refs:
        kind = ref.to[-1].partition("=")[0]
        if type_.name == "address-group" and kind != "label":
            raise BadRequest(f"Invalid tag type {kind} for object type {type_.object_type}")
        if kind in MANY or type_.name == "firewall-rule":
            continue
        if kind in seen:
            words = type_.name.replace("-", " ").title()
            raise BadRequest(
                f"Tag type '{kind}' cannot be set multiple times on the same {words} resource "
                f"type: {name_list(resource.fq_name)}"
            )
        seen.add(kind)


HOOKS: dict[str, Hooks[Any]] = {
    "tag": Hooks[Tag](
        name=(settle_tag_name,),
        create=(give_tag_id,),
        update=(keep_tag,),
        delete=(drop_unused_type,),
    ),
    "tag-type": Hooks[TagType](
        create=(give_type_id,), update=(keep_type,), delete=(refuse_known_type,)
    ),
}
