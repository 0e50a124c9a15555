"""The commands that take the store itself in hand: ``tungsten backup|restore`` and ``db check``.

They open the store of the settings, not the API, so they work when nothing else does. A backup
and a check only read, also beside running processes. A restore writes into an empty store and is
for the time before anything is started on it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from msgspec import structs

from tungsten.process import config
from tungsten.process.daemons import etcd_options, open_configured
from tungsten.process.runtime import configure_logging
from tungsten.process.settings import Settings, StoreSettings
from tungsten.store.backup import NoBackup
from tungsten.store.base import Store, StoreError

T = TypeVar("T")

File = Annotated[Path | None, typer.Option("--config", help="TOML settings file.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value, over file and environment.")
]
Url = Annotated[str | None, typer.Option("--store", help="sqlite:FILE or etcd:HOST:PORT/PREFIX.")]

#: How much one transaction of a restore writes into etcd, which takes 128 operations at once.
AT_ONCE = 100


class BackupForm(StrEnum):
    """How a backup is written."""

    tungsten = "tungsten"
    upstream = "db-json-exim"


db = typer.Typer(no_args_is_help=True, help="Look the store over.")


@contextmanager
def _settings(file: Path | None, sets: list[str] | None, url: str | None) -> Iterator[Settings]:
    """The settings; what they or the store refuse ends the command with the reason."""
    try:
        given = [*(sets or []), *([f"store.url={url}"] if url else [])]
        settings = config.load(file, os.environ, given)
    except config.ConfigError as error:
        typer.echo(f"tungsten: {error}", err=True)
        raise typer.Exit(2) from None
    configure_logging(settings.log)
    try:
        yield settings
    except NoBackup as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except StoreError as error:
        _fail(f"{settings.store.url}: {error}")


def _fail(reason: str) -> NoReturn:
    typer.echo(f"tungsten: {reason}", err=True)
    raise typer.Exit(1)


def _with_store(
    settings: Settings, work: Callable[[Store], Coroutine[Any, Any, T]], *, readonly: bool
) -> T:
    async def run() -> T:
        store = open_configured(settings, readonly=readonly)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Compressed if it ends in .gz.")],
    form: Annotated[
        BackupForm, typer.Option("--format", help="Our own, or upstream's db_json_exim.")
    ] = BackupForm.tungsten,
    file: File = None,
    sets: Sets = None,
    url: Url = None,
) -> None:
    """Write the whole store, as it is at one revision, to a file."""
    from tungsten.store import backup as backups

    with _settings(file, sets, url) as settings:
        if form is BackupForm.upstream:
            from tungsten.api import upstream_export

            count = _with_store(
                settings,
                lambda store: backups.write_file(store, target, upstream_export.write),
                readonly=True,
            )
            typer.echo(f"{target}: {count} objects, as db_json_exim imports them")
            return
        made = _with_store(settings, lambda store: backups.backup(store, target), readonly=True)
    typer.echo(f"{target}: revision {made.revision}, {made.records} records, {made.claims} claims")


def restore(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="A backup, or a dump of db_json_exim.")
    ],
    dry_run: Annotated[bool, typer.Option(help="Read the file to its end, and stop.")] = False,
    file: File = None,
    sets: Sets = None,
    url: Url = None,
) -> None:
    """Put a backup, or upstream's database, into a store in which there is nothing yet."""
    from tungsten.api.upstream_dump import is_dump

    with _settings(file, sets, url) as settings:
        if is_dump(source):
            _take_over(settings, source, dry_run=dry_run)
        else:
            _restore(settings, source, dry_run=dry_run)


def _restore(settings: Settings, source: Path, *, dry_run: bool) -> None:
    from tungsten.store import backup as backups

    made = backups.verify(source)
    if not dry_run:
        at_once = _at_once(settings)
        _with_store(
            settings,
            lambda store: backups.restore(store, source, at_once=at_once),
            readonly=False,
        )
    done = "is whole" if dry_run else f"restored into {settings.store.url}"
    typer.echo(
        f"{source} of revision {made.revision} {done}: {made.records} records, {made.claims} claims"
    )


def _at_once(settings: Settings) -> int:
    """How much one transaction of a restore may write; 0: everything."""
    return 0 if settings.store.url.startswith("sqlite:") else AT_ONCE


def _take_over(settings: Settings, source: Path, *, dry_run: bool) -> None:
    """Make records of a dump; tell what was not simply taken, a line each."""
    from tungsten.api import takeover
    from tungsten.api.upstream_dump import NoDump, read
    from tungsten.store.backup import fill

    try:
        dump = read(source)
    except NoDump as error:
        _fail(str(error))

    async def work(store: Store) -> takeover.Takeover:
        made = await store.read(lambda snapshot: takeover.take(snapshot, dump))
        if not dry_run:
            await fill(store, made.items, at_once=_at_once(settings))
        return made

    if dry_run:
        with tempfile.TemporaryDirectory() as directory:
            empty = StoreSettings(url=f"sqlite:{directory}/config.db")
            made = _with_store(structs.replace(settings, store=empty), work, readonly=False)
    else:
        made = _with_store(settings, work, readonly=False)
    for finding in made.findings:
        typer.echo(str(finding))
    counts = Counter(finding.kind for finding in made.findings)
    told = ", ".join(
        f"{counts[kind]} {kind}" for kind in (takeover.LEFT_OUT, takeover.CHANGED, takeover.NOTICED)
    )
    done = "would become" if dry_run else f"taken over into {settings.store.url}:"
    typer.echo(f"{source} {done} {len(made.items)} of {len(dump.rows)} objects; {told}")


@db.command()
def check(file: File = None, sets: Sets = None, url: Url = None) -> None:
    """Look everything over that must hold. There should never be anything to find."""
    from tungsten.api.audit import audit

    async def look(store: Store) -> list[str]:
        return await store.read(audit)

    with _settings(file, sets, url) as settings:
        found = _check_engine(settings.store)
        found = found or _with_store(settings, look, readonly=True)
    for finding in found:
        typer.echo(finding)
    if found:
        _fail(f"{settings.store.url}: {len(found)} findings; see docs/model-and-store.md")
    typer.echo(f"{settings.store.url}: nothing found")


def _key_file(settings: Settings) -> Path:
    """Where the keys for secrets are; ends the command where no settings say so."""
    from tungsten.api import vault

    engine, _, rest = settings.store.url.partition(":")
    if settings.api.secrets_key_file:
        return Path(settings.api.secrets_key_file)
    if engine != "sqlite":
        _fail("set api.secrets_key_file, the file with the keys for passwords")
    return vault.beside(Path(rest))


@db.command(name="secrets")
def show_secrets(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="physical-router, fabric...")],
    name: Annotated[str, typer.Argument(help="The whole name, with colons.")],
    file: File = None,
    sets: Sets = None,
    url: Url = None,
) -> None:
    """Print the passwords of an object, decrypted with the servers' key file."""
    from tungsten.api import vault
    from tungsten.api.resources import secrets

    with _settings(file, sets, url) as settings:
        path = _key_file(settings)
        if not path.exists():
            _fail(f"{path} is not there: a server makes it when it starts")
        try:
            keys = vault.read(path)

            async def look(store: Store) -> dict[str, str]:
                wanted = tuple(name.split(":"))
                return await store.read(lambda one: secrets.opened(one, keys, type_, wanted))

            found = _with_store(settings, look, readonly=True)
        except (ValueError, KeyError) as error:
            _fail(str(error.args[0]))
    for field, value in found.items():
        typer.echo(f"{field}: {value}")


@db.command()
def new_key(file: File = None, sets: Sets = None, url: Url = None) -> None:
    """Put a new key first in the key file. Servers encrypt everything with it at their next start.

    Give the file to all servers of the store before they start; older keys may be taken out of it
    after that.
    """
    from tungsten.api import vault

    with _settings(file, sets, url) as settings:
        path = _key_file(settings)
        try:
            added = vault.add_key(path)
        except ValueError as error:
            _fail(str(error))
    typer.echo(f"{path}: key {added} is first; restart the API servers")


def _check_engine(store: StoreSettings) -> list[str]:
    """What the engine finds wrong with what it keeps."""
    engine, _, rest = store.url.partition(":")
    if engine == "sqlite":
        from tungsten.store.check import check as check_file

        return check_file(Path(rest))
    if engine == "etcd":
        _need_etcd(store)
        from tungsten.store.etcd_check import check as check_etcd

        return check_etcd(rest, etcd_options(store))
    return []


def _need_etcd(store: StoreSettings) -> None:
    """End the command when what talks to etcd is not installed."""
    if find_spec("aetcd") is None:
        _fail(f"{store.url!r} needs aetcd, which is not installed: install tungsten[etcd]")


@db.command()
def upgrade(file: File = None, sets: Sets = None, url: Url = None) -> None:
    """Make a store of an older version one of this version. Stop all that uses it before."""
    with _settings(file, sets, url) as settings:
        engine, _, rest = settings.store.url.partition(":")
        if engine == "etcd":
            _need_etcd(settings.store)
            from tungsten.store.etcd_layout import upgrade as upgrade_etcd

            was, now = upgrade_etcd(rest, etcd_options(settings.store))
            told = f"is of layout {now}" if was == now else f"was of layout {was}, is of {now}"
        else:
            _with_store(settings, _nothing, readonly=True)
            told = "is of this version's layout"
    typer.echo(f"{settings.store.url}: {told}")


async def _nothing(store: Store) -> None:
    """Opening is what is asked for: it refuses other layouts."""
