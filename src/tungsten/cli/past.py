"""``tungsten history``: what changed when. (``tungsten get --at REVISION`` shows what was.)"""

# ruff: noqa: PLR0917 - the options of a command are its parameters

from __future__ import annotations

import sys
from typing import Annotated
from uuid import UUID

import typer

from tungsten.cli import changes
from tungsten.cli.changes import Json, printable
from tungsten.cli.documents import as_json
from tungsten.cli.nouns import find_type, full_name, matching
from tungsten.cli.objects import Output
from tungsten.cli.session import DEFAULT_URL, Refused, UrlOption, session
from tungsten.cli.tables import plain_table, terminal_width
from tungsten.client import BlockingClient
from tungsten.model import ResourceType

_TIMES = frozenset({"id_perms"})


def history(
    noun: Annotated[str | None, typer.Argument(help="A type or its short name.")] = None,
    name: Annotated[
        str | None, typer.Argument(help="A name; the whole name of an object that is gone.")
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=1000, help="How many.")] = 20,
    before: Annotated[
        int | None, typer.Option(min=1, help="Only before this revision, to read on.")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show the lines that changed.")] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="table or json.")] = Output.table,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """What changed when, the newest first: of everything, of a type, or of one object."""
    with session(url) as client:
        type_ = None if noun is None else find_type(noun)
        which = None if type_ is None or name is None else _which(client, type_, name)
        told = client.history(
            None if type_ is None else type_.name, which, before=before, limit=limit
        )
    if output is Output.json:
        typer.echo(as_json(told))
    elif output is not Output.table:
        raise typer.BadParameter("history is printed as table or json", param_hint="--output")
    elif diff:
        for change in told["changes"]:
            typer.echo(f"revision {change['revision']}  {_when(change)}")
            for line in changes.lines([change]):
                typer.echo(line)
    else:
        rows = [_row(change) for change in told["changes"]]
        names = ("REVISION", "WHEN", "ACTION", "TYPE", "NAME", "CHANGED")
        width = terminal_width(sys.stdout.isatty())
        typer.echo(plain_table(names, rows, width) if rows else "", nl=False)
    if told["kept_since"] and len(told["changes"]) < limit and output is Output.table:
        typer.echo(f"The past is kept from revision {told['kept_since']} on.", err=True)


def _which(client: BlockingClient, type_: ResourceType, name: str) -> str | list[str]:
    """The uuid or the whole name of an object that is there, or was."""
    try:
        if len(name) == 36:
            return str(UUID(name))
    except ValueError:
        pass
    found = matching(client.list(type_.name), name)
    if len(found) > 1:
        candidates = "\n  ".join(sorted(full_name(each) for each in found))
        raise Refused(f"{name!r} is the name of several; say more of it:\n  {candidates}")
    return found[0].fq_name if found else name.split(":")


def _when(change: Json) -> str:
    return f"{change['when'][:19]}Z" if change["when"] else "-"


def _row(change: Json) -> list[str]:
    changed = "-"
    if change["action"] == "update":
        names = {**(change["before"] or {}), **(change["after"] or {})}
        changed = ",".join(name for name in names if name not in _TIMES) or "-"
        changed = changed if change["known"] else "?"
    return [
        str(change["revision"]),
        _when(change),
        change["action"],
        change["type"],
        printable(":".join(change["fq_name"])),
        changed,
    ]
