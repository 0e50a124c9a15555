"""The ``tungsten`` command: finds the part that knows the word, and imports only that."""

from __future__ import annotations

import sys

import typer

PROCESSES = {"api", "compiler", "controller", "control", "agent", "config"}
STORE = {"backup", "restore", "db"}


def application(word: str | None) -> typer.Typer:
    """The commands to offer for the first word of a command line; all of them for help."""
    if word in PROCESSES | STORE:
        from tungsten.process import commands

        return commands.app
    if word == "lab":
        return _with_lab(typer.Typer(no_args_is_help=True))
    from tungsten.cli.app import app
    from tungsten.process import commands

    if word is None or word.startswith("-"):
        for command in commands.app.registered_commands:
            app.registered_commands.append(command)
        app.registered_groups.extend(commands.app.registered_groups)
        _with_lab(app)
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
    application(words[0] if words else None)()
