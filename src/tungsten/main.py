"""The ``tungsten`` command: finds the part that knows the word, and imports only that."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

PROCESSES = {"api", "compiler", "controller", "control", "agent", "config"}
STORE = {"backup", "restore", "db"}
INTROSPECT = {"ctr", "vr"}


def application(word: str | None) -> typer.Typer:
    """The commands to offer for the first word of a command line; all of them for help."""
    if word in PROCESSES | STORE:
        from tungsten.process import commands

        return commands.app
    if word == "lab":
        return _with_lab(typer.Typer(no_args_is_help=True))
    if word in INTROSPECT:
        return _with_introspect(typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False))
    from tungsten.cli.app import app

    if word is None or word.startswith("-"):
        return _everything(app)
    return app


def _everything(app: typer.Typer) -> typer.Typer:
    """All commands, for help and for the shell's completion."""
    from tungsten.process import commands

    _with_introspect(app)
    app.registered_commands.extend(commands.app.registered_commands)
    app.registered_groups.extend(commands.app.registered_groups)
    _with_lab(app)

    @app.callback()
    def tungsten(
        version: Annotated[
            bool,
            typer.Option(
                "--version", help="Show the version, and stop.", is_eager=True, callback=_version
            ),
        ] = False,
    ) -> None:
        """An open SDN. `tungsten COMMAND --help` tells of a command."""

    return app


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tungsten {version('tungsten')}")
        raise typer.Exit


def _with_introspect(app: typer.Typer) -> typer.Typer:
    from tungsten.cli import ctr, vr

    app.add_typer(ctr.app, name="ctr")
    app.add_typer(vr.app, name="vr")
    return app


def _with_lab(app: typer.Typer) -> typer.Typer:
    from tungsten.lab.commands import app as lab

    app.add_typer(lab, name="lab")
    if not app.registered_callback:
        app.callback()(lambda: None)
    return app


def main() -> None:
    """Entry point of the console script."""
    words = sys.argv[1:]
    app = application(words[0] if words else None)
    app.info.context_settings = {"help_option_names": ["--help", "-h"]}
    app()
