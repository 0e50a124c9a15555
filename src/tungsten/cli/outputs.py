"""The forms that ``-o`` asks for: tables, JSON, YAML, names, and columns of one's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer

from tungsten.cli import explain
from tungsten.cli.columns import EMPTY, text
from tungsten.cli.documents import as_json, as_yaml, document
from tungsten.cli.nouns import UnclearName, full_name
from tungsten.cli.tables import object_table, one_line, plain_table, terminal_width
from tungsten.model import Resource, ResourceType

CUSTOM = "custom-columns"

IDENTITY = ("name", "fq_name", "uuid", "parent_type")
"""What custom columns show of any object, beside its properties and references."""


class Output(StrEnum):
    """How objects are printed."""

    table = "table"
    wide = "wide"
    json = "json"
    yaml = "yaml"
    name = "name"
    custom = CUSTOM


@dataclass(frozen=True, slots=True)
class Form:
    """An output, and the columns (title, path) of a table of one's own."""

    output: Output
    columns: tuple[tuple[str, str], ...] = ()


def _checked(said: str) -> str:
    form(said)
    return said


OutputOption = Annotated[
    str,
    typer.Option(
        "-o",
        "--output",
        metavar="FORM",
        callback=_checked,
        help="table, wide, json, yaml, name or custom-columns=TITLE:member.member,...",
    ),
]


def form(said: str) -> Form:
    """The form that an option names. Raises BadParameter."""
    kind, equals, spec = said.partition("=")
    if kind == CUSTOM:
        columns = [tuple(column.split(":", 1)) for column in spec.split(",")]
        if not spec or not all(len(column) == 2 and all(column) for column in columns):
            raise typer.BadParameter(
                f"{CUSTOM} are given as TITLE:member.member,..., for example "
                f"{CUSTOM}=NAME:name,IPAM:network_ipam_refs.to"
            )
        return Form(Output.custom, tuple((title, path) for title, path in columns))
    if equals or kind not in set(Output):
        raise typer.BadParameter(f"{said!r} is not one of {', '.join(Output)}=...")
    return Form(Output(kind))


def check_columns(form_: Form, type_: ResourceType) -> None:
    """Raise UnclearName for a column of a member that a type does not have."""
    for title, path in form_.columns:
        first, *rest = path.strip(".").split(".")
        if first in IDENTITY and not rest:
            continue
        try:
            explain.follow(type_.name, [first, *rest])
        except UnclearName as error:
            own = f", {', '.join(IDENTITY)}" if first not in IDENTITY and not rest else ""
            raise UnclearName(f"column {title}: {error}{own}") from error


def show(found: Sequence[Resource], form_: Form, *, one: bool = False) -> None:
    """Print objects. ``one``: JSON and YAML of the object itself, not of a list."""
    output = form_.output
    match output:
        case Output.name:
            typer.echo("".join(f"{full_name(each)}\n" for each in found), nl=False)
        case Output.json:
            documents = [document(each) for each in found]
            typer.echo(as_json(documents[0] if one else documents))
        case Output.yaml:
            typer.echo(as_yaml([document(each) for each in found]), nl=False)
        case Output.custom:
            rows = [custom_row(each, form_) for each in found]
            typer.echo(plain_table([title for title, _ in form_.columns], rows, None), nl=False)
        case _:
            width = terminal_width(sys.stdout.isatty()) if output is Output.table else None
            typer.echo(object_table(found, wide=output is Output.wide, width=width), nl=False)


def custom_row(resource: Resource, form_: Form) -> list[str]:
    """The cells of an object in columns of one's own."""
    ((_, fields),) = document(resource).items()
    fields = {"name": resource.fq_name[-1] if resource.fq_name else "", **fields}
    return [one_line(_cell(fields, path)) for _, path in form_.columns]


def _cell(fields: dict[str, Any], path: str) -> str:
    names = path.strip(".").split(".")
    joined = ":" if names[-1] in ("to", "fq_name") else ","
    found = [
        joined.join(map(str, value)) if isinstance(value, list) else text(value)
        for value in _values(fields, names)
    ]
    return ",".join(each for each in found if each != EMPTY) or EMPTY


def _values(value: Any, names: Sequence[str]) -> Iterator[Any]:
    """The values at a path; of each element of a list on the way."""
    if not names:
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _values(each, names)
    elif isinstance(value, dict) and names[0] in value:
        yield from _values(value[names[0]], names[1:])
