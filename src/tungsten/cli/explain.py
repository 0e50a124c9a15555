"""A field of a type by its path, as ``tungsten schema vn.network_ipam_refs.attr`` explains it."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from tungsten.cli.nouns import UnclearName, find_type
from tungsten.model import Complex, Reference, ResourceType, fields_of
from tungsten.model import schema as declarations

Place = ResourceType | Reference | type[Complex]


def begin(word: str) -> ResourceType | type[Complex]:
    """What the first word of a path names. Raises UnknownNoun."""
    return declarations.complex_types().get(word) or find_type(word)


def follow(word: str, path: Sequence[str]) -> tuple[str, Place | None]:
    """Where a path leads: its title, and what is there; None: a value without fields.

    Raises UnclearName for a field that is not there; it names those that are.
    """
    place: Place | None = begin(word)
    names = [word]
    for name in path:
        there = {} if place is None else fields_at(place)
        if name not in there:
            told = f"it has {', '.join(there)}" if there else "it has no fields"
            near = get_close_matches(name, there, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise UnclearName(f"{'.'.join(names)} has no field {name!r}{meant}; {told}")
        place = there[name]
        names.append(name)
    return ".".join(names), place


def fields_at(place: Place) -> dict[str, Place | None]:
    """The fields there, and what each leads to."""
    if isinstance(place, ResourceType):
        found: dict[str, Place | None] = {
            name: one.struct for name, one in place.properties.items()
        }
        return {**found, **place.references}
    if isinstance(place, Reference):
        return {"to": None, "uuid": None, "attr": place.attr}
    return {name: one.struct for name, one in fields_of(place).items()}
