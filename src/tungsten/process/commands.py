"""The commands that run processes, ``tungsten api|compiler|controller|control|agent``, and more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from tungsten.agent.settings import SettingsError
from tungsten.process import config, daemons, store_commands
from tungsten.process.runtime import configure_logging
from tungsten.process.settings import Settings
from tungsten.store import StoreUnusable

log = structlog.get_logger("tungsten.process")

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.command()(store_commands.backup)
app.command()(store_commands.restore)
app.add_typer(store_commands.db, name="db")

File = Annotated[Path | None, typer.Option("--config", help="TOML settings file.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value, over file and environment.")
]


def _run(
    daemon: Callable[[Settings], Coroutine[Any, Any, int]], file: Path | None, sets: list[str]
) -> None:
    try:
        settings = config.load(file, os.environ, sets)
    except config.ConfigError as error:
        typer.echo(f"tungsten: {error}", err=True)
        raise typer.Exit(2) from None
    configure_logging(settings.log)
    for name, nearest in config.unknown_variables(os.environ).items():
        log.warning("unknown_variable", name=name, nearest=nearest or None)
    try:
        status = asyncio.run(daemon(settings))
    except StoreUnusable as error:
        typer.echo(f"tungsten: store.url {settings.store.url}: {error}", err=True)
        raise typer.Exit(1) from None
    except SettingsError as error:
        typer.echo(f"tungsten: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(status)


@app.command()
def api(
    file: File = None,
    sets: Sets = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT of the REST server.")] = None,
    store: Annotated[str | None, typer.Option(help="sqlite:FILE or etcd:HOST:PORT/PREFIX.")] = None,
) -> None:
    """Run the configuration API server alone."""
    short = [f"api.listen={listen}"] if listen else []
    short += [f"store.url={store}"] if store else []
    _run(daemons.api, file, [*(sets or []), *short])


@app.command()
def controller(file: File = None, sets: Sets = None) -> None:
    """Run API, compiler and control node in one process."""
    _run(daemons.controller, file, sets or [])


@app.command()
def compiler(file: File = None, sets: Sets = None) -> None:
    """Run the compiler alone on a cluster store: one is active, others wait."""
    _run(daemons.compiler, file, sets or [])


@app.command()
def control(file: File = None, sets: Sets = None) -> None:
    """Run one more control node beside a controller."""
    _run(daemons.control, file, sets or [])


@app.command()
def agent(file: File = None, sets: Sets = None) -> None:
    """Run the vRouter agent of this host."""
    _run(daemons.agent, file, sets or [])


@app.command("config")
def show_config() -> None:
    """Print a commented settings file with every key and its default."""
    typer.echo(config.example(), nl=False)
