"""Backups: a store at one revision as a file, and a file as a store again.

The form is JSON, a line each, so that a backup can be looked at and compared with any tool:

1. a head: the ``format``, its ``version``, the ``revision`` of the store, the time it was
   ``written``;
2. the records, by type and name: what :class:`~tungsten.store.base.Record` has, and the
   ``claims`` that the record owns, as pairs of space and key;
3. an end: how many ``records`` and ``claims`` there are, and the ``sha256`` of all lines before.

A file whose name ends in ``.gz`` is compressed. A backup is written beside its name and put in
its place when it is whole and on disk. It is read twice: nothing is restored from a file that is
not whole to its last line.

What a backup does not have: the past (the restored store begins a new one), and claims in
spaces of which no record owns any, since a claim's owner always is a record.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, TypeVar, cast
from zlib import error as ZlibError

import msgspec

from tungsten.model import RESOURCE_TYPES
from tungsten.store.base import Edge, Record, Snapshot, Store, StoreError, Transaction

T = TypeVar("T")

FORMAT, VERSION = "tungsten-backup", 1

#: Longest line that is read; a record is at most of a few megabytes.
LONGEST = 256 << 20


class BackupError(StoreError):
    """A file that is no whole backup, or a store that none can be restored into."""


class NoBackup(BackupError):
    """A file that is no whole backup, or cannot become one; the text begins with its name."""


class _Head(msgspec.Struct):
    format: str
    version: int
    revision: int
    written: str


class _Line(msgspec.Struct, omit_defaults=True):
    uuid: str
    type: str
    fq_name: list[str]
    body: msgspec.Raw
    parent: str | None = None
    provenance: str = ""
    edges: list[tuple[str, str, bool]] = []
    claims: list[tuple[str, str]] = []


class _End(msgspec.Struct):
    records: int
    claims: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in a backup."""

    revision: int
    records: int
    claims: int


@dataclass(frozen=True, slots=True)
class Item:
    """A record and the claims, (space, key), that it owns."""

    record: Record
    claims: tuple[tuple[str, str], ...]


# Writing.


async def backup(store: Store, path: Path) -> Summary:
    """Write the store, as it is now, to a file that is not there yet.

    Raises BackupError when it is there, OSError when it cannot be written.
    """
    return await write_file(store, path, _write)


async def write_file(store: Store, path: Path, write: Callable[[Snapshot, IO[bytes]], T]) -> T:
    """Write something of one state of a store to a file, whole or not at all.

    Compressed when the name ends in ``.gz``. Raises as :func:`backup` does.
    """
    if path.exists():
        raise NoBackup(f"{path} exists; a backup is never written over another")
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        summary = await store.read(
            lambda snapshot: _write_file(snapshot, scratch, path.suffix, write)
        )
        os.link(scratch, path)
    except FileExistsError as error:
        raise NoBackup(f"{path} exists; a backup is never written over another") from error
    finally:
        scratch.unlink(missing_ok=True)
    _sync_directory(path.parent)
    return summary


def _write_file(
    snapshot: Snapshot, path: Path, suffix: str, write: Callable[[Snapshot, IO[bytes]], T]
) -> T:
    """Write a file anew, whatever an earlier run of this read has left of it.

    Only its owner may read it, as the store itself: it has all that the store has, passwords of
    devices among it.
    """
    path.unlink(missing_ok=True)
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as raw:
        with _written(raw, suffix == ".gz") as file:
            summary = write(snapshot, file)
        raw.flush()
        os.fsync(raw.fileno())
    return summary


@contextmanager
def _written(raw: IO[bytes], compressed: bool) -> Iterator[IO[bytes]]:
    if not compressed:
        yield raw
        return
    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0) as file:
        yield cast(IO[bytes], file)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(snapshot: Snapshot, file: IO[bytes]) -> Summary:
    digest = sha256()

    def put(line: Any) -> None:
        data = msgspec.json.encode(line) + b"\n"
        digest.update(data)
        file.write(data)

    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    revision = snapshot.revision
    put(_Head(FORMAT, VERSION, revision, now))
    records = claims = 0
    for type_ in sorted(RESOURCE_TYPES):
        for record in snapshot.records(type_):
            owned = snapshot.owned_claims(record.uuid)
            put(_line(record, owned))
            records, claims = records + 1, claims + len(owned)
    end = _End(records, claims, digest.hexdigest())
    file.write(msgspec.json.encode(end) + b"\n")
    return Summary(revision, records, claims)


def _line(record: Record, claims: list[tuple[str, str]]) -> _Line:
    body = record.body
    if b"\n" in body:
        body = msgspec.json.encode(msgspec.json.decode(body))
    return _Line(
        uuid=record.uuid,
        type=record.type,
        fq_name=[*record.fq_name],
        body=msgspec.Raw(body),
        parent=record.parent,
        provenance=record.provenance,
        edges=[(edge.field, edge.target, edge.weak) for edge in record.edges],
        claims=claims,
    )


# Reading.


def is_backup(path: Path) -> bool:
    """Whether a file begins as a backup does."""
    try:
        with _lines(path) as lines:
            return msgspec.json.decode(next(lines), type=_Head).format == FORMAT
    except (StopIteration, msgspec.DecodeError, BackupError):
        return False


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[bytes]]:
    """The lines of a file, whatever it is compressed with. Raises BackupError."""
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            source: Any = gzip.GzipFile(fileobj=raw) if compressed else raw
            yield iter(lambda: source.readline(LONGEST), b"")
    except (OSError, EOFError, ZlibError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise NoBackup(f"{path} cannot be read: {reason}") from error


def verify(path: Path) -> Summary:
    """Read a backup to its end; what is in it. Raises BackupError unless it is whole."""
    digest = sha256()
    records = claims = 0
    with _lines(path) as lines:
        first = next(lines, b"")
        head = _decoded(first, _Head, path, 1)
        if head.format != FORMAT:
            raise NoBackup(f"{path} is no backup: its format is {head.format!r}")
        if head.version != VERSION:
            raise NoBackup(
                f"{path} is a backup of version {head.version}; this reads version {VERSION}"
            )
        digest.update(first)
        last = b""
        for number, line in enumerate(lines, 2):
            if last:
                one = _decoded(last, _Line, path, number - 1)
                records, claims = records + 1, claims + len(one.claims)
                digest.update(last)
            last = line
        end = _decoded(last, _End, path, records + 2)
    if (end.records, end.claims, end.sha256) != (records, claims, digest.hexdigest()):
        raise NoBackup(
            f"{path} is damaged: its last line is of {end.records} records and {end.claims} "
            f"claims, there are {records} and {claims}, or something in them was changed"
        )
    return Summary(head.revision, records, claims)


def _decoded(line: bytes, type_: type[Any], path: Path, number: int) -> Any:
    try:
        if not line.endswith(b"\n"):
            raise NoBackup(f"{path} ends in line {number}: it is not whole")
        return msgspec.json.decode(line, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoBackup(f"{path} is no whole backup: line {number}: {error}") from error


def items(path: Path) -> Iterator[Item]:
    """The records of a backup that :func:`verify` has accepted."""
    with _lines(path) as lines:
        next(lines)
        last = b""
        for line in lines:
            if last:
                yield _item(msgspec.json.decode(last, type=_Line))
            last = line


def _item(line: _Line) -> Item:
    record = Record(
        uuid=line.uuid,
        type=line.type,
        fq_name=tuple(line.fq_name),
        parent=line.parent,
        edges=tuple(Edge(*edge) for edge in line.edges),
        body=bytes(line.body),
        provenance=line.provenance,
    )
    return Item(record, tuple(line.claims))


async def restore(store: Store, path: Path, *, at_once: int = 0) -> Summary:
    """Put a backup into a store in which there is nothing.

    It is one transaction, all or nothing, unless ``at_once`` limits how much one may write (see
    :attr:`_Step.weight`): then a failure leaves a part, and the text says so. Raises BackupError.
    """
    summary = verify(path)
    await fill(store, list(items(path)), at_once=at_once)
    return summary


async def fill(store: Store, held: Sequence[Item], *, at_once: int = 0) -> None:
    """Put records and claims into a store in which there is nothing. Raises BackupError."""
    if not at_once:
        await store.transact(partial(_do, [_Step(one.record, one.claims) for one in held]))
        return
    done = 0
    for piece in _pieces(_steps(held, at_once), at_once):
        try:
            await store.transact(partial(_do, piece, first=not done))
        except StoreError as error:
            if not done:
                raise
            raise BackupError(
                f"after {done} steps for {len(held)} records: {error}; what was written is there, "
                "so empty the store before the next attempt"
            ) from error
        done += len(piece)


def refuse_filled(snapshot: Snapshot) -> None:
    """Raise BackupError unless there is nothing."""
    for type_ in RESOURCE_TYPES:
        for record in snapshot.records(type_):
            raise BackupError(
                f"the store is not empty: it has {type_} {':'.join(record.fq_name)}; "
                "stop what uses it and give an empty one"
            )


@dataclass(frozen=True, slots=True)
class _Step:
    """A record to create or (``there``) to complete, and claims of it to make."""

    record: Record
    claims: tuple[tuple[str, str], ...] = ()
    there: bool = False

    @property
    def weight(self) -> int:
        """About how many keys it writes in a store that has a key for each fact."""
        return 4 + len(self.record.edges) + 2 * len(self.claims)


def _do(steps: Sequence[_Step], tx: Transaction, *, first: bool = True) -> None:
    if first:
        refuse_filled(tx)
    for step in steps:
        if not step.there:
            tx.create(step.record)
        elif not step.claims:
            tx.update(step.record)
        for space, key in step.claims:
            tx.claim(space, key, step.record.uuid)


def _steps(held: Sequence[Item], most: int) -> Iterator[_Step]:
    """Records after their parents and targets, so that every piece can be committed.

    Where edges run in a circle, one of them waits until both ends are there. Claims follow their
    record, few enough at a time.
    """
    by_uuid = {one.record.uuid: one for one in held}
    done: set[str] = set()
    late: list[Record] = []
    for item in _targets_first(by_uuid):
        record = item.record
        now = tuple(e for e in record.edges if e.target in done or e.target not in by_uuid)
        if now != record.edges:
            late.append(record)
        yield _Step(replace(record, edges=now))
        done.add(record.uuid)
        bare = replace(record, edges=())
        some = max(1, most // 4)
        for start in range(0, len(item.claims), some):
            yield _Step(bare, item.claims[start : start + some], there=True)
    for record in late:
        yield _Step(record, there=True)


def _pieces(steps: Iterable[_Step], most: int) -> Iterator[list[_Step]]:
    """Steps in pieces of at most this weight; one that is heavier is a piece of its own."""
    piece: list[_Step] = []
    weight = 0
    for step in steps:
        if piece and weight + step.weight > most:
            yield piece
            piece, weight = [], 0
        piece.append(step)
        weight += step.weight
    if piece:
        yield piece


def _targets_first(items_: dict[str, Item]) -> Iterator[Item]:
    entered: set[str] = set()
    for uuid in items_:
        # By hand, not by recursion: chains may be long.
        stack = [(uuid, False)]
        while stack:
            uuid_, complete = stack.pop()
            record = items_[uuid_].record
            if complete:
                yield items_[uuid_]
            elif uuid_ not in entered:
                entered.add(uuid_)
                stack.append((uuid_, True))
                targets = [edge.target for edge in record.edges]
                targets += [] if record.parent is None else [record.parent]
                stack += [(target, False) for target in targets if target in items_]
