"""What commands that ask the API share: the server's address, a client, and how they fail.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage. What goes wrong is told on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from tungsten.cli.nouns import UnclearName, UnknownNoun
from tungsten.client import ApiError, BlockingClient, ClientError, NotOffered
from tungsten.model import ModelError

DEFAULT_URL = "http://127.0.0.1:8082"

UrlOption = Annotated[
    str, typer.Option("--url", envvar="TUNGSTEN_API", help="The API server.", show_default=True)
]


TOKEN_VARIABLE = "OS_TOKEN"  # noqa: S105 - a name, as OpenStack's own commands have it


def token() -> str:
    """The Keystone token to show to the server; empty: none.

    From the environment only: other users of a machine see the arguments of its commands.
    """
    return os.environ.get(TOKEN_VARIABLE, "")


class Refused(Exception):
    """A file or option that cannot be used; the text says what is accepted."""


@contextmanager
def told() -> Iterator[None]:
    """What the server, the model or a name refuses ends the command with the reason."""
    try:
        yield
    except NotOffered as error:
        fail(
            f"{error.text}: it is an upstream server or an older one; get, describe, create, "
            "apply and delete work there"
        )
    except ApiError as error:
        fail(f"{error.text} (HTTP {error.status})")
    except ClientError as error:
        fail(f"{error}; is the API server running there? See --url")
    except UnknownNoun as error:
        misused(str(error))
    except (ModelError, UnclearName, Refused) as error:
        fail(str(error))


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on a terminal that something takes its time; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    with Console(stderr=True).status(what):
        yield


@contextmanager
def session(url: str) -> Iterator[BlockingClient]:
    """A client whose refusals end the command."""
    if not url.startswith(("http://", "https://")):
        misused(f"--url (or TUNGSTEN_API) {url!r}: accepted is http://HOST:PORT or https://...")
    with told(), BlockingClient(url, token=token()) as client:
        yield client


def fail(reason: str) -> NoReturn:
    """End the command: it was refused or it failed."""
    typer.echo(f"tungsten: {reason}", err=True)
    raise typer.Exit(1)


def misused(reason: str) -> NoReturn:
    """End the command: it was used wrongly."""
    typer.echo(f"tungsten: {reason}", err=True)
    raise typer.Exit(2)
