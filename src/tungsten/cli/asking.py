"""What ``ctr`` and ``vr`` share: which process to ask, asking it, and the common commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated
from xml.etree.ElementTree import Element

import typer

from tungsten.cli.answers import DEFAULT_WIDTH, dumps, table
from tungsten.introspect.client import Introspect, IntrospectError, rows


class Form(StrEnum):
    """How an answer is printed."""

    table = "table"
    text = "text"


FormOption = Annotated[Form, typer.Option("-f", "--format", help="A table, or all as text.")]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option("-c", "--columns", help="Fields to show; several with commas or again -c."),
]
WidthOption = Annotated[
    int, typer.Option("--max_width", "--max-width", min=4, help="Width to wrap a column at.")
]
Search = Annotated[str, typer.Argument(help="Show what contains this.")]


@dataclass(frozen=True)
class Look:
    """The options of a table command."""

    form: Form
    columns: Sequence[str]
    width: int

    @classmethod
    def of(cls, form: Form, columns: list[str] | None, width: int) -> Look:
        """From the command line; columns may be joined by commas."""
        names = [name for given in columns or [] for name in given.split(",") if name]
        return cls(form, names, width)


def choose(context: typer.Context, host: str, port: int, given: bool) -> None:
    """Remember the process that the commands of a group ask."""
    context.obj = Introspect(host, port)
    if given:
        typer.echo(f"Introspect Host: {host}")


def ask(
    context: typer.Context, request: str, parameters: Mapping[str, str] | None = None
) -> list[Element]:
    """The answer of the chosen process; ends the command when there is none."""
    process: Introspect = context.obj
    try:
        return process.get(request, parameters)
    except IntrospectError as error:
        if error.status is None:
            typer.echo("Failed to reach destination", err=True)
            typer.echo(f"URL: {error.url}\nReason: {error.reason}", err=True)
            typer.echo("Is the process running, and is this its host? See --host.", err=True)
        else:
            typer.echo("The server couldn't fulfill the request.", err=True)
            typer.echo(f"URL: {error.url}\nError code: {error.status}", err=True)
            typer.echo(f"Error text: {error.reason}", err=True)
        raise typer.Exit(1) from None


def show(found: Sequence[Element], look: Look, fields: Sequence[str] = ()) -> None:
    """Print rows in the chosen form; nothing when there are none."""
    if look.form is Form.text:
        typer.echo(dumps(found), nl=False)
    else:
        typer.echo(table(found, look.columns or fields, look.width), nl=False)


def add_common_commands(app: typer.Typer) -> None:
    """``status``, ``cpu``, ``trace`` and ``uve``, which every process answers."""
    app.command()(status)
    app.command()(cpu)
    app.command()(trace)
    app.command()(uve)


def status(
    context: typer.Context,
    raw: Annotated[bool, typer.Option("-r", "--raw", help="The whole object as text.")] = False,
) -> None:
    """Is the process working, and with whom is it connected?"""
    answer = ask(context, "SandeshUVECacheReq", {"tname": "NodeStatus"})
    if raw:
        typer.echo(dumps(rows(answer, "NodeStatus")), nl=False)
        return
    for process in rows(answer, "ProcessStatus"):
        fields = [process.find(name) for name in ("module_id", "state", "description")]
        typer.echo(dumps(field for field in fields if field is not None), nl=False)
    names = ("type", "name", "server_addrs", "status", "description")
    typer.echo(table(list(rows(answer, "ConnectionInfo")), names), nl=False)
    typer.echo(table(list(rows(answer, "ProcessInfo"))), nl=False)


def cpu(context: typer.Context) -> None:
    """Processor and memory use."""
    answer = ask(context, "CpuLoadInfoReq")
    for info in rows(answer, "CpuLoadInfo"):
        typer.echo(dumps(info), nl=False)


def trace(
    context: typer.Context, name: Annotated[str, typer.Argument(help="A buffer's name.")] = ""
) -> None:
    """The trace buffers, or the lines of one."""
    if name:
        found = list(rows(ask(context, "SandeshTraceRequest", {"x": name}), "element"))
    else:
        found = list(rows(ask(context, "SandeshTraceBufferListRequest"), "trace_buf_name"))
    typer.echo(dumps(found), nl=False)


def uve(
    context: typer.Context, name: Annotated[str, typer.Argument(help="An object type.")] = ""
) -> None:
    """The types of cached objects, or the objects of one."""
    if not name:
        answer = ask(context, "SandeshUVETypesReq")
        typer.echo(dumps(rows(answer, "type_name")), nl=False)
        return
    for root in ask(context, "SandeshUVECacheReq", {"x": name}):
        for data in root.iterfind("*[@type='sandesh']/data/*"):
            typer.echo(dumps([data]), nl=False)


__all__ = [
    "DEFAULT_WIDTH",
    "ColumnsOption",
    "Form",
    "FormOption",
    "Look",
    "Search",
    "WidthOption",
    "add_common_commands",
    "ask",
    "choose",
    "show",
]
