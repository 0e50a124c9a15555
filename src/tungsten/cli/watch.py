"""``tungsten watch TYPE``: the objects there are, then every change of them as it happens.

The stream goes on after the server was away: it resumes after the last revision that it saw.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from tungsten.cli.changes import printable
from tungsten.cli.nouns import find_type, full_name
from tungsten.cli.session import DEFAULT_URL, UrlOption, token, told
from tungsten.client import Client, Unreachable, Watched
from tungsten.model import to_fields

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
        try:
            asyncio.run(_Follower(url, types, changes_only, output).follow())
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
            fields = None if one.resource is None else to_fields(one.resource)
            told_ = {
                "event": one.event,
                "revision": one.revision,
                "type": one.type,
                "uuid": one.uuid,
                "object": fields,
            }
            typer.echo(msgspec.json.encode(told_).decode())
        else:
            typer.echo(f"{one.event:<8}{one.type}  {printable(name)}")
