"""``tungsten schema [TYPE]``: what can be said to the system, from the model's declarations.

Without a type it lists all of them by area; of a type it tells parents and children, properties,
references and back-references; of a path into one (``vn.network_ipam_refs.attr``) what it leads
to. ``--json`` prints the same as data, complex types included.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from typing import Annotated

import msgspec
import typer

from tungsten.cli import explain
from tungsten.cli.columns import text
from tungsten.cli.nouns import UnclearName, UnknownNoun, find_type
from tungsten.cli.session import misused
from tungsten.cli.tables import plain_table, terminal_width
from tungsten.model import RESOURCE_TYPES, Complex, Field, Reference, ResourceType, fields_of
from tungsten.model import schema as declarations

COMMON = ("id_perms", "perms2", "annotations", "display_name", "tag_refs")
"""What every type has; told once, not with each."""


def schema(
    noun: Annotated[
        str | None,
        typer.Argument(
            metavar="[TYPE[.FIELD...]]",
            help="A type, its short name, a complex type, or a path of fields into one.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the declarations as data.")
    ] = False,
) -> None:
    """Show the types of objects: their parents, properties, references."""
    width = terminal_width(sys.stdout.isatty())
    if noun is None:
        told = declarations.describe()
        typer.echo(_as_json(told) if as_json else _all_types(width), nl=as_json)
        return
    known = declarations.complex_types()
    word, *path = noun.split(".")
    if (path or noun in known) and not as_json:
        typer.echo(_at(word, path, width), nl=False)
        return
    try:
        declared = find_type(noun)
    except UnknownNoun as error:
        misused(str(error))
    if as_json:
        typer.echo(_as_json(declarations.describe([declared])))
    else:
        typer.echo("\n".join(_one_type(declared, width)), nl=False)


def _at(word: str, path: list[str], width: int | None) -> str:
    """What a path of fields leads to: the last field, and the fields that it has itself."""
    try:
        _, above = explain.follow(word, path[:-1])
        title, place = explain.follow(word, path)
    except UnclearName as error:
        misused(str(error))
    shown = f"{title}\n" if path else ""
    if path and above is not None:
        shown += "\n" + _table("FIELD", [_field_row(above, path[-1])], width)
    if isinstance(place, Reference):
        rows = [_field_row(place, name) for name in explain.fields_at(place)]
        shown += "\n" + _table("FIELD OF EACH", rows, width)
    elif place is not None and not isinstance(place, ResourceType):
        shown += ("\n" if path else "") + _complex_type(place, width)
    return shown


def _field_row(place: explain.Place, name: str) -> tuple[str, str, str, str]:
    """A field of what a path leads to, as tables show it."""
    if isinstance(place, Reference):
        attr = place.attr.__name__ if place.attr is not None else "nothing"
        kinds = {
            "to": ("list of string", f"the {place.target}'s fq_name"),
            "uuid": ("string", f"the {place.target}'s uuid, in place of its name"),
            "attr": (attr, "what the reference itself says"),
        }
        kind, note = kinds[name]
        return name, kind, "optional", note
    if isinstance(place, ResourceType):
        notes = declarations.meanings(place.cls)
        reference = place.references.get(name)
        if reference is not None:
            return _reference_row(reference, notes)
        return _row(place.properties[name], notes)
    return _row(fields_of(place)[name], declarations.meanings(place))


def _reference_row(one: Reference, notes: dict[str, str]) -> tuple[str, str, str, str]:
    kind = one.target + (f" with {one.attr.__name__}" if one.attr else "")
    return one.field, kind, one.presence.value, notes.get(one.field, "")


def _as_json(told: declarations.Json) -> str:
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode()


def _all_types(width: int | None) -> str:
    """All types by area, each with what it stands for."""
    ordered = sorted(RESOURCE_TYPES.values(), key=lambda one: (declarations.area(one), one.name))
    parts = []
    for _, group in groupby(ordered, key=declarations.area):
        types = list(group)
        module = inspect.getmodule(types[0].cls)
        head = (inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " ")
        rows = [(one.name, _first(declarations.meaning(one.cls))) for one in types]
        body = plain_table(("", ""), rows, width).partition("\n")[2]
        parts.append(head + "\n" + "".join(f"  {line}\n" for line in body.splitlines()))
    return "\n".join(parts)


def _one_type(declared: ResourceType, width: int | None) -> Iterator[str]:
    """The sections about one type, each a text that ends its line."""
    meaning = declarations.meaning(declared.cls)
    parents = ", ".join(
        one.type + (" (made by the system)" if one.derived else "")
        for one in declared.parent_links.values()
    )
    yield f"{declared.name}: {meaning}\n"
    yield f"PATH      /{declared.plural}\nPARENTS   {parents or 'none: it hangs below nothing'}\n"
    notes = declarations.meanings(declared.cls)
    fields = [one for name, one in declared.properties.items() if name not in COMMON]
    if fields:
        yield _table("PROPERTY", [_row(one, notes) for one in fields], width)
    references = [
        _reference_row(one, notes)
        for one in declared.references.values()
        if one.field not in COMMON
    ]
    if references:
        yield _table("REFERENCE", references, width)
    yield f"EVERY TYPE HAS  {', '.join(COMMON)}\n"
    children = [(one.field, one.type) for one in declared.children.values()]
    if children:
        yield plain_table(("CHILDREN", "TYPE"), children, width)
    referrers = [(one.field, one.type) for one in declared.back_references.values()]
    if referrers:
        yield plain_table(("BACK-REFERENCE", "TYPE"), referrers, width)
    used = [name for name in declarations.complex_types([declared]) if name not in _shared_types()]
    if used:
        yield f"`tungsten schema TYPE` tells of {', '.join(used)}, too.\n"


@cache
def _shared_types() -> frozenset[str]:
    """The complex types that a type without properties of its own uses."""
    return frozenset(declarations.complex_types([RESOURCE_TYPES["config-root"]]))


def _complex_type(cls: type[Complex], width: int | None) -> str:
    notes = declarations.meanings(cls)
    rows = [_row(field, notes) for field in fields_of(cls).values()]
    return f"{cls.__name__}: {declarations.meaning(cls)}\n\n" + _table("FIELD", rows, width)


def _table(title: str, rows: list[tuple[str, str, str, str]], width: int | None) -> str:
    return plain_table((title, "TYPE", "PRESENCE", "MEANING"), rows, width)


def _row(field: Field, notes: dict[str, str]) -> tuple[str, str, str, str]:
    """A field: its name, its type with what is accepted, who sets it, what it stands for."""
    kind = f"list of {field.type_name}" if field.many else field.type_name
    limits = declarations.limits(field)
    if "enum" in limits:
        kind += " " + "|".join(limits["enum"])
    if "minimum" in limits:
        kind += f" {limits['minimum']}..{limits['maximum']}"
    if field.default is not None:
        kind += f", default {text(field.default)}"
    return field.name, kind, field.presence.value, notes.get(field.name, "")


def _first(paragraphs: str) -> str:
    return paragraphs.partition("\n")[0]
