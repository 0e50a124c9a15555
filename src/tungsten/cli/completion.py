"""What a shell offers after Tab: types with their short names, and names of objects."""

from __future__ import annotations

import os
from collections.abc import Iterator

import typer

from tungsten.cli.nouns import SHORT_NAMES, UnclearName, find_type, full_name
from tungsten.cli.session import DEFAULT_URL, token
from tungsten.client import BlockingClient, ClientError
from tungsten.model import RESOURCE_TYPES

#: Seconds that a server has to answer while somebody waits at a prompt.
PATIENCE = 2.0


def complete_noun(incomplete: str) -> Iterator[tuple[str, str]]:
    """Short names and types that begin so, each with the type it is."""
    known = {**SHORT_NAMES, **{name: name for name in RESOURCE_TYPES}}
    for word, type_ in sorted(known.items()):
        if word.startswith(incomplete):
            yield word, type_


def complete_name(context: typer.Context, incomplete: str) -> list[str]:
    """Names of objects of the type before, whole or their last part; none if nobody answers."""
    url = context.params.get("url") or os.environ.get("TUNGSTEN_API", DEFAULT_URL)
    try:
        type_ = find_type(context.params.get("noun") or "")
        with BlockingClient(str(url), timeout=PATIENCE, token=token()) as client:
            found = client.list(type_.name)
    except (ClientError, UnclearName, ValueError):
        return []
    names = {full_name(each) for each in found} | {each.fq_name[-1] for each in found}
    return sorted(name for name in names if name.startswith(incomplete))
