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
from tungsten.cli.outputs import Output, OutputOption, form
from tungsten.cli.session import DEFAULT_URL, Refused, UrlOption, session
from tungsten.cli.tables import plain_table, terminal_width
from tungsten.cli.times import local, moment
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
    since: Annotated[
        str, typer.Option(help="Only from then on: 10m (ago), 2d, 2026-11-27T14:00.")
    ] = "",
    until: Annotated[str, typer.Option(help="Only up to then.")] = "",
    diff: Annotated[bool, typer.Option("--diff", help="Show the lines that changed.")] = False,
    output: OutputOption = "table",
    url: UrlOption = DEFAULT_URL,
) -> None:
    """What changed when, the newest first: of everything, of a type, or of one object."""
    wanted = form(output).output
    if wanted not in (Output.table, Output.wide, Output.json):
        raise typer.BadParameter("history is printed as table, wide or json", param_hint="--output")
    with session(url) as client:
        type_ = None if noun is None else find_type(noun)
        which = None if type_ is None or name is None else _which(client, type_, name)
        told = client.history(
            None if type_ is None else type_.name,
            which,
            before=before,
            limit=limit,
            since=moment(since, "--since") if since else None,
            until=moment(until, "--until") if until else None,
        )
    if not told["changes"] and wanted is not Output.json:
        of = " of that name" if name else ""
        typer.echo(f"There is no such change{of}.", err=True)
    _print(told, wanted, diff=diff)
    if told["kept_since"] and len(told["changes"]) < limit and wanted is not Output.json:
        typer.echo(f"The past is kept from revision {told['kept_since']} on.", err=True)


def _print(told: Json, wanted: Output, *, diff: bool) -> None:
    if wanted is Output.json:
        typer.echo(as_json(told))
    elif diff:
        for change in told["changes"]:
            by = " ".join(word for word in _by(change) if word != "-")
            typer.echo(f"revision {change['revision']}  {local(change['when'])}  {by}".rstrip())
            for line in changes.lines([change]):
                typer.echo(line)
    else:
        wide = wanted is Output.wide
        rows = [_row(change, wide=wide) for change in told["changes"]]
        names = ["REVISION", "WHEN", "USER", "ACTION", "TYPE", "NAME", "CHANGED"]
        names += ["REQUEST", "FROM"] if wide else []
        width = None if wide else terminal_width(sys.stdout.isatty())
        typer.echo(plain_table(names, rows, width) if rows else "", nl=False)


def _which(client: BlockingClient, type_: ResourceType, name: str) -> str | list[str]:
    """The uuid or the whole name of an object that is there, or was."""
    try:
        if len(name) == 36:
            return str(UUID(name))
    except ValueError:
        pass
    found = matching(client.list(type_.name, names_only=True), name)
    if len(found) > 1:
        candidates = "\n  ".join(sorted(full_name(each) for each in found))
        raise Refused(f"{name!r} is the name of several; say more of it:\n  {candidates}")
    return found[0].fq_name if found else name.split(":")


def _when(change: Json) -> str:
    return f"{change['when'][:19]}Z" if change["when"] else "-"


def _by(change: Json) -> list[str]:
    """For whom, by what request and from where a change was made."""
    return [printable(change.get(name) or "-") for name in ("user", "request", "client")]


def _row(change: Json, *, wide: bool) -> list[str]:
    changed = "-"
    if change["action"] == "update":
        names = {**(change["before"] or {}), **(change["after"] or {})}
        changed = ",".join(name for name in names if name not in _TIMES) or "-"
        changed = changed if change["known"] else "?"
    user, *rest = _by(change)
    return [
        str(change["revision"]),
        local(change["when"]) if wide else _when(change),
        user,
        change["action"],
        change["type"],
        printable(":".join(change["fq_name"])),
        changed,
        *(rest if wide else ()),
    ]
