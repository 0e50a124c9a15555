"""``tungsten apply|diff|plan|edit``: the configuration as files say it.

A file says what should be; the server finds out what differs and writes that, all or nothing.
Nothing here compares: ``diff`` and ``plan`` ask the server what it would do.
"""

# ruff: noqa: PLR0917 - the options of a command are its parameters

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tungsten.cli import changes, plain
from tungsten.cli.changes import Json, printable
from tungsten.cli.completion import complete_name, complete_noun
from tungsten.cli.documents import (
    Document,
    as_json,
    as_yaml,
    document,
    parse,
    read_file,
    read_files,
)
from tungsten.cli.nouns import find_object, find_type
from tungsten.cli.session import DEFAULT_URL, Refused, UrlOption, busy, misused, session
from tungsten.client import CHANGED, ApiError, BlockingClient, NotOffered
from tungsten.model import ResourceType

FilesOption = Annotated[
    list[str],
    typer.Option(
        "-f", "--filename", help="YAML or JSON, or a directory of such; - for standard input."
    ),
]
DeleteOption = Annotated[bool, typer.Option("--delete", help="As if the objects were deleted.")]
OwnerOption = Annotated[
    str, typer.Option("--owner", help="Mark the objects as this set's, by an annotation.")
]
PruneOption = Annotated[
    bool,
    typer.Option("--prune", help="Delete what has the owner's mark and is not in the files."),
]
ExitCodeOption = Annotated[
    bool, typer.Option("--detailed-exitcode", help="End with 2 when something would change.")
]

#: How often an edit is tried while others keep changing the object.
RACES = 5

#: Exit status that says that something would change, where that is asked for.
CHANGES = 2


class PlanForm(StrEnum):
    """How a plan is printed."""

    text = "text"
    json = "json"


def apply(
    files: FilesOption,
    owner: OwnerOption = "",
    prune: PruneOption = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and stop.")] = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Make the configuration say what files say: all of it, or nothing."""
    _check_owner(owner, prune)
    with session(url) as client:
        documents = read_files(files)
        try:
            told: Iterable[Json]
            if dry_run:
                asked = _Asked(documents, owner, prune, delete=False)
                told = asked.foretold(client, compiling=False)["objects"]
            else:
                with busy(f"Applying {len(documents)} objects"):
                    told = client.apply(documents, owner=owner, prune=prune)
        except NotOffered:
            if owner:
                raise
            typer.echo(
                "tungsten: the server has no /apply, so this is done object by object", err=True
            )
            told = plain.apply(client, documents, dry_run=dry_run)
        for one in told:
            typer.echo(_result(one) + (" (dry run)" if dry_run else ""))


def _check_owner(owner: str, prune: bool) -> None:
    if prune and not owner:
        misused("--prune needs --owner NAME: only what has that owner's mark is deleted")


def _result(one: Json) -> str:
    return f"{one['type']} {printable(':'.join(one['fq_name']))} {one['result']}"


def diff(
    files: FilesOption,
    owner: OwnerOption = "",
    prune: PruneOption = False,
    delete: DeleteOption = False,
    exit_code: ExitCodeOption = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Show what applying files would change of what people write."""
    _check_owner(owner, prune)
    with session(url) as client:
        asked = _Asked(read_files(files), owner, prune, delete)
        told = asked.foretold(client, compiling=False)
    for line in changes.lines(told["intent"]):
        typer.echo(line)
    if exit_code and told["intent"]:
        raise typer.Exit(CHANGES)


def plan(
    files: Annotated[
        list[str] | None,
        typer.Option("-f", "--filename", help="As for apply; - for standard input."),
    ] = None,
    operations: Annotated[
        str, typer.Option(help="A file with the operations of POST /transaction instead.")
    ] = "",
    owner: OwnerOption = "",
    prune: PruneOption = False,
    delete: DeleteOption = False,
    output: Annotated[
        PlanForm, typer.Option("-o", "--output", help="For people, or the server's answer.")
    ] = PlanForm.text,
    exit_code: ExitCodeOption = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Show what applying files would change, and all that would be compiled from it."""
    _check_owner(owner, prune)
    if bool(files) == bool(operations):
        misused("give either -f FILE or --operations FILE")
    with session(url) as client, busy("Compiling what would be"):
        if operations:
            told = client.plan_operations(_operations(operations))
        else:
            asked = _Asked(read_files(files or ()), owner, prune, delete)
            told = asked.foretold(client, compiling=True)
    if output is PlanForm.json:
        typer.echo(as_json(told))
    else:
        _show_plan(told)
    if exit_code and (told["intent"] or told["derived"]):
        raise typer.Exit(CHANGES)


def _operations(file: str) -> list[Json]:
    """The operations of a file: a list, or what POST /transaction takes. Raises Refused."""
    try:
        said = msgspec.json.decode(read_file(file))
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(f"{file} is not JSON: {error}") from error
    found = said.get("operations") if isinstance(said, dict) else said
    if not isinstance(found, list):
        raise Refused(f'{file} has no operations: they are a list, or {{"operations": [...]}}')
    return found


@dataclass(frozen=True, slots=True)
class _Asked:
    """What ``diff`` and ``plan`` ask about."""

    documents: Sequence[Document]
    owner: str
    prune: bool
    delete: bool

    def foretold(self, client: BlockingClient, *, compiling: bool) -> Json:
        """The server's answer."""
        if self.delete:
            return client.plan([], delete=self.documents, compiling=compiling)
        return client.plan(self.documents, owner=self.owner, prune=self.prune, compiling=compiling)


def _show_plan(told: Json) -> None:
    for line in changes.lines(told["intent"]):
        typer.echo(line)
    if told["derived"]:
        typer.echo("\nCompiled from it:" if told["intent"] else "Compiled from it:")
        for line in changes.lines(told["derived"]):
            typer.echo(line)
    for fault in told["faults"]:
        typer.echo(f"tungsten: cannot be compiled: {fault}", err=True)
    if not told["intent"] and not told["derived"]:
        typer.echo(f"Nothing would change at revision {told['revision']}.")
        return
    typer.echo(
        f"\nAt revision {told['revision']}: {changes.counted(told['intent'])};"
        f" compiled: {changes.counted(told['derived'])}. Nothing was written."
    )


def edit(
    noun: Annotated[
        str, typer.Argument(help="A type or its short name.", autocompletion=complete_noun)
    ],
    name: Annotated[
        str,
        typer.Argument(
            help="A name, or a tail that is of one object.", autocompletion=complete_name
        ),
    ],
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Change an object in $EDITOR. What others change meanwhile stays, unless you do, too."""
    with session(url) as client:
        type_ = find_type(noun)
        found = find_object(client, type_, name)
        before, uuid = document(found), found.uuid
        path = _scratch(as_yaml([before]))
        _open_editor(path)
        try:
            change = edited(type_, before, path.read_text())
            if change is None:
                typer.echo("Nothing was changed.")
            else:
                _write(client, type_, uuid, before, change)
                typer.echo(f"{type_.name} {printable(':'.join(found.fq_name))} updated")
        except BaseException:
            typer.echo(f"What you wrote is in {path}", err=True)
            raise
    path.unlink()


def _write(
    client: BlockingClient, type_: ResourceType, uuid: str, before: Document, change: Document
) -> None:
    """Write a change to the object as it is now, if nobody else changed the same members.

    The server is told which state was looked at, so a change in between is seen, and looked at.
    """
    fields = {
        name: changes.by_name(value or []) if name in type_.references else value
        for name, value in change[type_.name].items()
    }
    for attempt in range(1, RACES + 1):
        now, tag = client.read_tagged(type_.name, uuid)
        _check_same(type_, before, document(now), change)
        try:
            client.update(type_.name, uuid, fields, match=tag)
        except ApiError as error:
            if not error.text.startswith(CHANGED) or attempt == RACES:
                raise
        else:
            return


def _check_same(type_: ResourceType, before: Document, now: Document, change: Document) -> None:
    """Refuse to write over what somebody else changed meanwhile."""
    old, new = before[type_.name], now[type_.name]
    both = [
        name
        for name in change[type_.name]
        if name not in ("fq_name", "id_perms") and old.get(name) != new.get(name)
    ]
    if both:
        raise Refused(
            f"somebody else changed {', '.join(both)} meanwhile; nothing was written: edit again"
        )


def edited(type_: ResourceType, before: Document, content: str) -> Document | None:
    """The members that an editor changed, as a document to apply; None when it changed none."""
    found = parse(content, "what you wrote")
    if len(found) != 1 or type_.name not in found[0]:
        raise Refused(f"what you wrote is not one {type_.name}")
    old, new = before[type_.name], found[0][type_.name]
    for fixed in ("uuid", "fq_name", "parent_type"):
        if new.get(fixed) != old.get(fixed):
            raise Refused(f"{fixed} of an object cannot be changed; it is {old.get(fixed)}")
    changed = {name: value for name, value in new.items() if old.get(name) != value}
    # What is no longer there is taken away.
    changed |= {name: None for name in old if name not in new}
    if not changed:
        return None
    return {type_.name: {"fq_name": old["fq_name"], **changed}}


def _scratch(content: str) -> Path:
    descriptor, path = tempfile.mkstemp(prefix="tungsten-", suffix=".yaml")
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    return Path(path)


def _open_editor(path: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        words = [*shlex.split(editor), str(path)]
        status = subprocess.run(words, check=False).returncode
    except (OSError, ValueError) as error:
        path.unlink()
        raise Refused(f"the editor {editor!r} cannot be run: {error}; set EDITOR") from error
    if status:
        path.unlink()
        raise Refused(f"the editor {editor!r} ended with status {status}; nothing was changed")
