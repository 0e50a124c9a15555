"""``tungsten apply|diff|plan|edit``: the configuration as files say it.

A file says what should be; the server finds out what differs and writes that, all or nothing.
Nothing here compares: ``diff`` and ``plan`` ask the server what it would do.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tungsten.cli import changes
from tungsten.cli.changes import Json, printable
from tungsten.cli.documents import Document, as_json, as_yaml, document, parse, read_files
from tungsten.cli.nouns import find_object, find_type
from tungsten.cli.session import DEFAULT_URL, Refused, UrlOption, session
from tungsten.client import BlockingClient
from tungsten.model import ResourceType

FilesOption = Annotated[
    list[str], typer.Option("-f", "--filename", help="YAML or JSON; - for standard input.")
]
DeleteOption = Annotated[bool, typer.Option("--delete", help="As if the objects were deleted.")]
JsonOption = Annotated[bool, typer.Option("--json", help="The server's answer.")]
ExitCodeOption = Annotated[
    bool, typer.Option("--exit-code", help="End with 1 when something would change.")
]


def apply(
    files: FilesOption,
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and stop.")] = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Make the configuration say what files say: all of it, or nothing."""
    with session(url) as client:
        documents = read_files(files)
        if dry_run:
            told = client.plan(documents, compiling=False)["objects"]
        else:
            told = client.apply(documents)
        for one in told:
            typer.echo(_result(one) + (" (dry run)" if dry_run else ""))


def _result(one: Json) -> str:
    return f"{one['type']} {printable(':'.join(one['fq_name']))} {one['result']}"


def diff(
    files: FilesOption,
    delete: DeleteOption = False,
    exit_code: ExitCodeOption = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Show what applying files would change of what people write."""
    with session(url) as client:
        told = _foretold(client, read_files(files), delete=delete, compiling=False)
    for line in changes.lines(told["intent"]):
        typer.echo(line)
    if exit_code and told["intent"]:
        raise typer.Exit(1)


def plan(
    files: FilesOption,
    delete: DeleteOption = False,
    as_json_: JsonOption = False,
    exit_code: ExitCodeOption = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Show what applying files would change, and all that would be compiled from it."""
    with session(url) as client:
        told = _foretold(client, read_files(files), delete=delete, compiling=True)
    both = [*told["intent"], *told["derived"]]
    if as_json_:
        typer.echo(as_json(told))
    else:
        _show_plan(told)
    if exit_code and both:
        raise typer.Exit(1)


def _foretold(
    client: BlockingClient, documents: Sequence[Document], *, delete: bool, compiling: bool
) -> Json:
    if delete:
        return client.plan([], delete=documents, compiling=compiling)
    return client.plan(documents, compiling=compiling)


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
    noun: Annotated[str, typer.Argument(help="A type or its short name.")],
    name: Annotated[str, typer.Argument(help="A name, or a tail that is of one object.")],
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Change an object in $EDITOR. What others change meanwhile stays, unless you do, too."""
    with session(url) as client:
        type_ = find_type(noun)
        before = document(find_object(client, type_, name))
        path = _scratch(as_yaml([before]))
        _open_editor(path)
        try:
            change = edited(type_, before, path.read_text())
            if change is None:
                typer.echo("Nothing was changed.")
            else:
                (told,) = client.apply([change])
                typer.echo(_result(told))
        except BaseException:
            typer.echo(f"What you wrote is in {path}", err=True)
            raise
    path.unlink()


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
