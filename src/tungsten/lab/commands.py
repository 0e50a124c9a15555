"""``tungsten lab up|status|exec|demo|restart|down``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from tungsten.client import ClientError
from tungsten.lab import demo as demos
from tungsten.lab import lab as labs
from tungsten.lab import spec as specs
from tungsten.lab import state
from tungsten.lab.netns import NamespaceError
from tungsten.lab.spec import LabError, LabSpec, StoreKind

app = typer.Typer(no_args_is_help=True, help="Networks of namespaces on this machine.")

T = TypeVar("T")
Name = Annotated[str, typer.Option("--name", help="Name of the lab.")]
File = Annotated[Path | None, typer.Argument(help="Lab file (YAML); the demo's if none is given.")]
StoreOption = Annotated[
    StoreKind | None, typer.Option("--store", help="Where the configuration is kept.")
]


def _spec(file: Path | None, store: StoreKind | None = None) -> LabSpec:
    spec = specs.load(file or Path(__file__).with_name("demo.yaml"))
    return spec if store is None else msgspec.structs.replace(spec, store=store)


def _do(work: Callable[[], T]) -> T:
    """Run a command's work; failures become a line on stderr and exit status 1."""
    try:
        return work()
    except (LabError, NamespaceError, ClientError, OSError) as error:
        typer.echo(f"tungsten lab: {error}", err=True)
        raise typer.Exit(1) from None


def _as_root() -> None:
    if os.geteuid() != 0:
        raise LabError("labs are made of network namespaces: run this as root")


@contextlib.contextmanager
def _making(name: str) -> Iterator[None]:
    """Says what to do with a lab whose making failed or was ended by Ctrl-C or SIGTERM."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise LabError(f"interrupted; {_remains(name)}") from None
    except (LabError, NamespaceError, ClientError, OSError) as error:
        raise LabError(f"{error}\n{_remains(name)}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _remains(name: str) -> str:
    return f"`tungsten lab down --name {name}` removes what was made"


@app.command()
def up(file: File = None, name: Name = "demo", store: StoreOption = None) -> None:
    """Make a lab and leave it running; one that is up as the file says is left as it is."""

    def work() -> None:
        _as_root()
        spec = _spec(file, store)
        with labs.locked(name), _making(name):
            if labs.is_whole(name, spec):
                typer.echo(f"lab {name} is up already, as this file says")
                return
            lab = labs.create(name, spec)
            asyncio.run(labs.up(lab, typer.echo))
            typer.echo(f"lab {name} is up; `tungsten lab down --name {name}` removes it")

    _do(work)


@app.command()
def demo(file: File = None, name: Name = "demo", store: StoreOption = None) -> None:
    """Make a lab step by step, show its routes, pings and a packet on the fabric."""
    console = Console(no_color="NO_COLOR" in os.environ or None)

    def work() -> bool:
        _as_root()
        spec = _spec(file, store)
        with labs.locked(name), _making(name):
            right = asyncio.run(demos.run(name, spec, console))
            console.print("\n[bold]What to try next[/bold]")
            console.print(demos.what_next(labs.attach(name)), highlight=False, soft_wrap=True)
            return right

    if not _do(work):
        typer.echo("tungsten lab: something above is not as it should be", err=True)
        raise typer.Exit(1)


@app.command()
def status(name: Name = "demo", as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show hosts, processes, networks and workloads."""
    found = _do(lambda: labs.attach(name).status())
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    console = Console()
    console.print(f"lab {found['name']}, REST API at {found['api']}", highlight=False)
    _table(
        console,
        ("HOST", "ROLE", "ADDRESS", "NAMESPACE", "PROCESS", "PID", "STATE"),
        [
            (name, host["role"], host["address"], host["namespace"], *_process(found, name))
            for name, host in found["hosts"].items()
        ],
    )
    _table(
        console,
        ("WORKLOAD", "HOST", "NETWORK", "ADDRESS", "MAC", "NAMESPACE"),
        [
            (name, one["host"], one["network"], one["address"], one["mac"], one["namespace"])
            for name, one in found["workloads"].items()
        ],
    )


def _process(found: dict[str, Any], host: str) -> tuple[str, str, str]:
    process = found["processes"].get(host)
    if process is None:
        return "-", "-", "-"
    return process["command"], str(process["pid"]), "running" if process["alive"] else "ended"


def _table(console: Console, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if not sys.stdout.isatty():
        for row in (head, *rows):
            typer.echo("\t".join(row))
        return
    table = Table(box=None, pad_edge=False)
    for column in head:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)


@app.command("list")
def list_labs() -> None:
    """Name the labs of this machine."""
    for name in state.names():
        typer.echo(name)


@app.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
def execute(
    part: Annotated[str, typer.Argument(help="A workload or host.")],
    argv: Annotated[list[str], typer.Argument(help="The command, after --.")],
    name: Name = "demo",
) -> None:
    """Run a command in the network of a workload or host."""
    _do(_as_root)
    lab = _do(lambda: labs.attach(name))
    if argv[0] == "--":
        del argv[0]
    command = _do(lambda: lab.namespace(part).argv(*argv))
    sys.stdout.flush()
    # Console scripts of this installation (vif, nh, tungsten...) are found inside as well, and
    # those that read a host's datapath read that host's.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    env = {**os.environ, "PATH": path, "TUNGSTEN_BPF_DIR": str(lab.bpf_dir(part))}
    try:
        os.execvpe(command[0], command, env)  # noqa: S606
    except OSError as error:
        typer.echo(f"tungsten lab: {command[0]}: {error.strerror}", err=True)
        raise typer.Exit(1) from None


@app.command()
def restart(
    host: Annotated[str, typer.Argument(help="A host of the lab.")],
    name: Name = "demo",
    kill: Annotated[bool, typer.Option("--kill", help="End it by SIGKILL.")] = False,
) -> None:
    """End a host's daemon and start it again."""
    number = signal.SIGKILL if kill else signal.SIGTERM

    def work() -> None:
        _as_root()
        with labs.locked(name):
            process = labs.attach(name).restart(host, number)
            typer.echo(f"{process.name} on {host}: pid {process.pid}, ready")

    _do(work)


@app.command()
def down(name: Name = "demo") -> None:
    """Remove a lab: processes, namespaces, links, mounts, files. Fails where there is none."""

    def work() -> None:
        _as_root()
        with labs.locked(name):
            if not labs.remove(name):
                raise LabError(f"there is no lab {name!r} (labs: {labs.others()})")
        typer.echo(f"lab {name} is removed")

    _do(work)
