"""``tungsten watch TYPE``: the objects there are, then every change of them as it happens.

The stream goes on after the server was away: it resumes after the last revision that it saw.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from tungsten.cli import outputs
from tungsten.cli.changes import printable
from tungsten.cli.columns import columns_of
from tungsten.cli.nouns import find_type, full_name
from tungsten.cli.session import DEFAULT_URL, UrlOption, token, told
from tungsten.cli.tables import one_line
from tungsten.client import ApiError, Client, NotOffered, Unreachable, Watched
from tungsten.model import Resource, ResourceType, to_fields, type_of

#: Seconds before a broken stream is resumed, at first and at most.
PAUSE, PAUSE_MOST = 0.5, 10.0


class Form(StrEnum):
    """How a change is printed."""

    table = "table"
    json = "json"


def watch(
    nouns: Annotated[list[str], typer.Argument(help="Types or their short names.")],
    changes_only: Annotated[
        bool, typer.Option("--changes-only", help="Without the objects there are.")
    ] = False,
    output: Annotated[Form, typer.Option("-o", "--output", help="A line, or JSON.")] = Form.table,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Show the objects of types, then each change of them, until Ctrl-C."""
    with told():
        types = [find_type(noun).name for noun in nouns]
        _follow(_Follower(url, types, changes_only, output))


def rows(
    url: str, type_: ResourceType, form: outputs.Form, wanted: Callable[[Resource], bool]
) -> None:
    """Print the objects of a type, then each change of them as a row or a line of JSON."""
    with told():
        _follow(_Rows(url, type_, form, wanted))


def _follow(follower: _Follower) -> None:
    try:
        asyncio.run(follower.follow())
    except KeyboardInterrupt:
        return


class _Follower:
    """Prints one stream, over as many connections as it takes."""

    def __init__(self, url: str, types: list[str], changes_only: bool, output: Form) -> None:
        self._url = url
        self._types = types
        self._changes_only = changes_only
        self._output = output
        self._after: int | None = None
        self._names: dict[str, str] = {}

    async def follow(self) -> None:
        pause = PAUSE
        async with Client(self._url, token=token()) as client:
            while True:
                try:
                    stream = client.watch(*self._types, after=self._after)
                    async with aclosing(stream):
                        async for one in stream:
                            self._show(one)
                            pause = PAUSE
                except ApiError as error:
                    if error.status != 404:
                        raise
                    raise NotOffered(404, f"the server at {self._url} has no /watch") from error
                except Unreachable as error:
                    if self._after is None:
                        raise
                    typer.echo(f"tungsten: {error}; trying again", err=True)
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_MOST)

    def _show(self, one: Watched) -> None:
        self._after = one.revision or self._after
        if one.resource is not None:
            self._names[one.uuid] = full_name(one.resource)
        name = self._names.get(one.uuid, one.uuid)
        if one.event == "delete":
            self._names.pop(one.uuid, None)
        if one.event == "init" and self._changes_only:
            return
        if self._output is Form.json:
            _print_json(one)
        else:
            typer.echo(f"{one.event:<8}{one.type}  {printable(name)}")


def _print_json(one: Watched) -> None:
    told_ = {
        "event": one.event,
        "revision": one.revision,
        "type": one.type,
        "uuid": one.uuid,
        "object": None if one.resource is None else to_fields(one.resource),
    }
    typer.echo(msgspec.json.encode(told_).decode())


class _Rows(_Follower):
    """Prints the objects of one type as rows, columns as wide as the first row needs."""

    def __init__(
        self,
        url: str,
        type_: ResourceType,
        form: outputs.Form,
        wanted: Callable[[Resource], bool],
    ) -> None:
        super().__init__(url, [type_.name], changes_only=False, output=Form.table)
        self._form = form
        self._wanted = wanted
        self._shown: dict[str, Resource] = {}
        self._sizes: list[int] = []

    def _show(self, one: Watched) -> None:
        self._after = one.revision or self._after
        resource = one.resource if one.resource is not None else self._shown.pop(one.uuid, None)
        if resource is None or not self._wanted(resource):
            return
        if one.resource is not None:
            self._shown[one.uuid] = one.resource
        match self._form.output:
            case outputs.Output.json:
                _print_json(one)
            case outputs.Output.name:
                typer.echo(printable(full_name(resource)))
            case _:
                self._print_row(one.event, resource)

    def _print_row(self, event: str, resource: Resource) -> None:
        if self._form.columns:
            titles = [title for title, _ in self._form.columns]
            cells = outputs.custom_row(resource, self._form)
        else:
            wide = self._form.output is outputs.Output.wide
            columns = columns_of(type_of(resource), wide=wide)
            titles = [title for title, _ in columns]
            cells = [one_line(read(resource)) for _, read in columns]
        if not self._sizes:
            both = zip(titles, cells, strict=True)
            self._sizes = [max(len(cell) for cell in pair) for pair in both]
            self._print_cells("EVENT", titles)
        self._print_cells(event, cells)

    def _print_cells(self, event: str, cells: Sequence[str]) -> None:
        padded = (cell.ljust(size) for cell, size in zip(cells, self._sizes, strict=True))
        typer.echo((f"{event:<8}" + "  ".join(padded)).rstrip())
