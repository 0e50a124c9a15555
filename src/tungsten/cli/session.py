"""What commands that ask the API share: the server's address, a client, and how they fail.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage. What goes wrong is told on stderr.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from tungsten.cli.nouns import UnclearName, UnknownNoun
from tungsten.cli.tables import one_line
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
        fail(f"{error.text} (HTTP {error.status}){_no_api(error)}")
    except ClientError as error:
        fail(f"{error}; is the API server running there? See --url")
    except UnknownNoun as error:
        misused(str(error))
    except (ModelError, UnclearName, Refused) as error:
        fail(str(error))


def _no_api(error: ApiError) -> str:
    """What to look at when another kind of server has answered."""
    strange = error.status in (404, 405, 501) and not error.text.startswith(
        ("Resource type", "Name", "Unknown", "No ", "ID ", "Tag", "UUID", "Object")
    )
    basic = error.request.endswith(("/list-bulk-collection", "/fqname-to-id"))
    return "; is it the API server that runs there? See --url" if strange and basic else ""


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
        try:
            yield client
        except NotOffered:
            raise
        except ApiError as error:
            text = with_names(client, error.text)
            raise ApiError(error.status, text, error.request) from error


_HREF = re.compile(r"'https?://[^/'\s]+/[A-Za-z][A-Za-z0-9-]*/([0-9a-f-]{36})'")
MOST_NAMES = 20
"""Objects that a refusal tells by name; more are told by their addresses."""


def with_names(client: BlockingClient, text: str) -> str:
    """A refusal with the names of the objects that it tells by their addresses."""
    for match in [*_HREF.finditer(text)][:MOST_NAMES]:
        try:
            type_, name = client.name_of(match[1])
        except ClientError:
            continue
        text = text.replace(match[0], one_line(f"{type_} {':'.join(name)}"))
    return text


def fail(reason: str) -> NoReturn:
    """End the command: it was refused or it failed."""
    typer.echo(f"tungsten: {reason}", err=True)
    raise typer.Exit(1)


def misused(reason: str) -> NoReturn:
    """End the command: it was used wrongly."""
    typer.echo(f"tungsten: {reason}", err=True)
    raise typer.Exit(2)
