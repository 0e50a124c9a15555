"""The file of the embedded store: its tables, opening it, and refusing what is not one.

Tables:

``records``
    one row per record. ``fq_name`` is bytes whose order is the order of the names, ``edges``
    the record's edges in MessagePack, ``sum`` a CRC-32 of the row's content: SQLite does not
    notice a flipped bit in a value, we do.
``edges``
    the same edges by target: who refers to a record.
``claims``
    keys of spaces and their owners.
``log``
    the commits, by revision: gap-free, the oldest are dropped when there are too many. Its
    highest revision is the store's.

The file says in its header that it is ours (``application_id``) and which layout it has
(``user_version``). One process may write: it holds a lock on ``FILE-lock`` while it lives, which
the kernel frees when it dies. WAL with ``synchronous=FULL``: what was acknowledged survives a
power cut.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from tungsten.store.base import StoreUnusable

#: "TUNG" in the header's application id.
APPLICATION_ID = 0x54554E47

#: The layout that this code reads and writes.
SCHEMA_VERSION = 1

_SCHEMA = f"""
CREATE TABLE records (
    uuid TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    fq_name BLOB NOT NULL,
    parent TEXT,
    provenance TEXT NOT NULL,
    created INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    edges BLOB NOT NULL,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL,
    UNIQUE (type, fq_name)
);
CREATE INDEX records_by_parent ON records (parent) WHERE parent IS NOT NULL;
CREATE TABLE edges (
    target TEXT NOT NULL,
    source TEXT NOT NULL,
    field TEXT NOT NULL,
    weak INTEGER NOT NULL,
    PRIMARY KEY (target, source, field)
) WITHOUT ROWID;
CREATE TABLE claims (
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID;
CREATE INDEX claims_by_owner ON claims (owner);
CREATE TABLE log (
    revision INTEGER PRIMARY KEY,
    changes BLOB NOT NULL
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


def encode_name(fq_name: tuple[str, ...]) -> bytes:
    """Names as bytes that sort as the tuples do. Bytes 0 and 1 in a name are written as two."""
    data = "\0".join(fq_name).encode()
    if b"\1" not in data and data.count(b"\0") == len(fq_name) - 1:
        return data
    return b"\0".join(
        part.encode().replace(b"\1", b"\1\2").replace(b"\0", b"\1\1") for part in fq_name
    )


def decode_name(data: bytes) -> tuple[str, ...]:
    """The inverse of :func:`encode_name`."""
    if b"\1" not in data:
        return tuple(data.decode().split("\0"))
    return tuple(
        part.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1").decode() for part in data.split(b"\0")
    )


class WriterLock:
    """The right to write a store, held by this process until released or dead."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + "-lock")
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode(errors="replace").strip()
            os.close(self._descriptor)
            who = f"process {holder}" if holder else "another process"
            raise StoreUnusable(f"{path} is being written by {who}; one may write") from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let others write."""
        os.close(self._descriptor)


def connect(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """A connection to a file that :func:`prepare` has accepted.

    May be handed from thread to thread; transactions are the caller's to begin.
    """
    mode = "ro" if readonly else "rw"
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        timeout=10.0,
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -32768")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    if readonly:
        connection.execute("PRAGMA query_only = ON")
    return connection


def _quoted(path: Path) -> str:
    text = str(path.absolute())
    return text.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def prepare(path: Path, *, readonly: bool) -> None:
    """Make the file if there is none, and check that it is a whole store of our layout.

    Raises :class:`~tungsten.store.base.StoreUnusable` with what is wrong and what to do.
    """
    if not path.exists():
        if readonly:
            raise StoreUnusable(f"{path} does not exist; the controller makes it when it starts")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if not path.is_file():
        raise StoreUnusable(f"{path} is not a regular file, so it cannot be a store")
    try:
        connection = connect(path, readonly=readonly)
    except sqlite3.Error as error:
        raise StoreUnusable(_refusal(path, error)) from error
    try:
        _check(connection, path, readonly=readonly)
    except sqlite3.Error as error:
        raise StoreUnusable(_refusal(path, error)) from error
    finally:
        connection.close()


def is_damage(error: sqlite3.Error) -> bool:
    """SQLite found that the file is not, or not wholly, a database."""
    code: int = getattr(error, "sqlite_errorcode", 0)  # absent on the module's own errors
    return code & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def _refusal(path: Path, error: sqlite3.Error) -> str:
    if is_damage(error):
        return f"{path} is not a store or is damaged ({error}): restore it from a backup"
    return f"{path} cannot be opened: {error}"


def _check(connection: sqlite3.Connection, path: Path, *, readonly: bool) -> None:
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables and not application and not version:
        if readonly:
            raise StoreUnusable(f"{path} is empty; the controller fills it when it starts")
        _create(connection, path)
        return
    if application != APPLICATION_ID:
        raise StoreUnusable(f"{path} is another program's database (id {application:#x})")
    if version != SCHEMA_VERSION:
        age = "newer" if version > SCHEMA_VERSION else "older"
        raise StoreUnusable(
            f"{path} has layout {version} of a {age} version; this one reads {SCHEMA_VERSION}"
        )
    if readonly:
        return
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise StoreUnusable(f"{path} is damaged ({found}): restore it from a backup")


def _create(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreUnusable(f"{path} is on a file system without shared memory; use a local one")
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
