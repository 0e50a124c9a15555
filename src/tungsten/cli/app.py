"""The ``tungsten`` commands that ask the API about objects."""

from __future__ import annotations

import typer

from tungsten.cli import intent, objects
from tungsten.cli.past import history
from tungsten.cli.schema import schema
from tungsten.cli.watch import watch

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(objects.get)
app.command()(objects.describe)
app.command()(objects.create)
app.command()(objects.delete)
app.command()(intent.apply)
app.command()(intent.diff)
app.command()(intent.plan)
app.command()(intent.edit)
app.command()(watch)
app.command()(history)
app.command()(schema)
