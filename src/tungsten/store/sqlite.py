"""The embedded store: one SQLite file, one writer, any number of readers and watchers.

Who does what:

* The *writer* (:mod:`tungsten.store.sqlite_writer`) owns the connection that writes. Whatever
  transactions wait run one after another, each in a savepoint, and are committed together with one
  flush to disk (group commit); then the callers and the feed are told. So transactions are serial
  and a caller hears of success only when it is durable.
* *Readers*, a small pool of threads, run ``read`` functions, each on one snapshot of the file.
  A ``glance`` that reads up to :data:`GLANCE` rows runs in its caller's thread.
* *Watchers* pull from the feed (:mod:`tungsten.store.feed`) and, when they are far behind, from
  the log table, which keeps the newest :attr:`Limits.commits`.
* A store opened ``readonly``, usually by another process, has no writer; a thread asks SQLite
  every :data:`POLL` seconds whether the file has changed and wakes the watchers.

When a commit fails (disk full, input/output error) its callers get
:class:`~tungsten.store.base.StoreUnavailable` and the connection is opened anew, since after a
failed flush nothing it knows can be trusted; the next transactions try again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from tungsten.store.base import (
    Commit,
    Compacted,
    Record,
    Snapshot,
    StoreClosed,
    StoreError,
    StoreUnavailable,
    StoreUnusable,
    TooMuch,
    Transaction,
)
from tungsten.store.feed import BATCH, Feed
from tungsten.store.origin import ORIGIN, Origin
from tungsten.store.sqlite_file import WriterLock, connect, prepare
from tungsten.store.sqlite_known import KnowingTransaction
from tungsten.store.sqlite_rows import (
    SqliteGlance,
    SqliteSnapshot,
    decode_commit,
    last_revision,
)
from tungsten.store.sqlite_writer import Job, Limits, Writer, translated
from tungsten.store.touched import Touched

T = TypeVar("T")

#: Seconds between two looks at a file that another process writes.
POLL = 0.02

READERS = 2

#: Most rows that a glance reads in its caller's thread, which is an event loop's.
GLANCE = 64

log = structlog.get_logger("tungsten.store")


class _Poller(threading.Thread):
    """Sees that another process has written, and wakes the watchers here."""

    def __init__(self, path: Path, feed: Feed) -> None:
        super().__init__(name="tungsten-store-poller", daemon=True)
        self._path = path
        self._feed = feed
        self._ended = threading.Event()

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()

    def run(self) -> None:
        connection = connect(self._path, readonly=True)
        seen = None
        while not self._ended.wait(POLL):
            try:
                (version,) = connection.execute("PRAGMA data_version").fetchone()
                if version != seen:
                    last = last_revision(connection)
                    seen = version
                    if last != self._feed.last:
                        self._feed.restart(last)
                        self._feed.wake()
            except sqlite3.Error as error:
                log.warning("poll_failed", path=str(self._path), error=str(error))
        connection.close()


class SqliteStore:
    """An open store file; see :class:`tungsten.store.base.Store`."""

    def __init__(self, path: Path, *, readonly: bool, limits: Limits) -> None:
        """Use :meth:`open`."""
        self.path = path
        self.readonly = readonly
        self._lock = None if readonly else WriterLock(path)
        self._closed = False
        try:
            prepare(path, readonly=readonly)
            self._local = threading.local()
            self._connections: list[sqlite3.Connection] = []
            self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="tungsten-store-reader")
            connection = connect(path, readonly=True)
            self._feed = Feed(last_revision(connection))
            self.touched = Touched(self._feed.last)
            connection.close()
            self._writer = None if readonly else Writer(path, self._feed, limits, self.touched)
            self._poller = _Poller(path, self._feed) if readonly else None
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise
        for thread in (self._writer, self._poller):
            if thread is not None:
                thread.start()

    @classmethod
    def open(
        cls, path: Path | str, *, readonly: bool = False, limits: Limits | None = None
    ) -> SqliteStore:
        """Open a file, made if it does not exist.

        ``readonly`` opens a file that another process (or store) writes, to read and watch.
        Raises :class:`~tungsten.store.base.StoreUnusable`.
        """
        # One file has one lock and one log, whatever links lead to it.
        path = Path(path).resolve()
        try:
            if not readonly:
                _make_directory(path.parent)
            return cls(path, readonly=readonly, limits=limits or Limits())
        except (OSError, sqlite3.Error) as error:
            raise StoreUnusable(f"{path} cannot be opened: {error}") from error

    async def read(self, fn: Callable[[Snapshot], T]) -> T:
        """Run ``fn``, in a thread, on one consistent snapshot."""
        return await self._in_reader(self._read, fn)

    @property
    def reached(self) -> int:
        """A revision that reads from now on have reached."""
        return self._feed.last

    def look(self, fn: Callable[[Snapshot], T]) -> T:
        """Run ``fn`` here and now. Raises TooMuch when it reads more than GLANCE rows."""
        self._check_open()
        return self._read(fn, glance=True)

    async def glance(self, fn: Callable[[Snapshot], T]) -> T:
        """The same at once, if ``fn`` reads up to GLANCE rows; else it begins anew in a thread."""
        try:
            return self.look(fn)
        except TooMuch:
            return await self._in_reader(self._read, fn)

    async def transact(self, fn: Callable[[Transaction], T]) -> T:
        """Run ``fn`` in the writer's thread and commit."""
        self._check_open()
        if self._writer is None:
            raise StoreUnavailable(f"{self.path} is open for reading only")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._writer.submit(Job(fn, future, loop, ORIGIN.get()))
        return await future

    async def brief(self, fn: Callable[[Transaction], T]) -> T:
        """The same for a function that reads and writes little: the caller's loop runs it.

        One that needs more than a few rows is undone and run again by the writer's thread.
        """
        return await self.begin(fn, ORIGIN.get())

    def begin(self, fn: Callable[[Transaction], T], origin: Origin) -> asyncio.Future[T]:
        """Have the running loop do so; the future is settled once it is durable or refused."""
        self._check_open()
        if self._writer is None:
            raise StoreUnavailable(f"{self.path} is open for reading only")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._writer.submit_brief(Job(fn, future, loop, origin))
        return future

    async def probe(self) -> None:
        """Make sure that the file can be written: raises StoreUnavailable when it cannot.

        What is written is the layout's number that is there already: a commit without a revision.
        """

        def write_again(tx: Transaction) -> None:
            assert isinstance(tx, KnowingTransaction)
            tx.write_header()

        await self.transact(write_again)

    async def load(self) -> tuple[int, list[Record]]:
        """All records, by type and name, and the revision they stand at."""
        return await self._in_reader(self._read, _load)

    async def scan(self, fn: Callable[[Snapshot, Iterator[Record]], T]) -> T:
        """Run ``fn``, in a thread, over all records of one consistent snapshot."""
        return await self.read(partial(_scan, fn))

    async def watch(self, after: int) -> AsyncIterator[Commit]:
        """Every commit after a revision, as it comes. Ends by :class:`StoreClosed`."""
        self._check_open()
        position = after
        if position > self._feed.last:
            await self._check_reached(position)
        with self._feed.waiting() as news:
            while True:
                news.clear()
                commits = self._feed.after(position)
                if commits is None:
                    commits = await self._in_reader(self._read_log, position)
                for commit in commits:
                    position = commit.revision
                    yield commit
                if self._feed.closed:
                    raise StoreClosed(f"{self.path} was closed")
                if not commits:
                    await news.wait()

    async def close(self) -> None:
        """Finish the transactions that wait, then let go of the file. Again is no error."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(None, self._shut)
        self._feed.close()

    def _shut(self) -> None:
        if self._writer is not None:
            self._writer.end()
            self._writer.join()
        if self._poller is not None:
            self._poller.end()
            self._poller.join()
        self._readers.shutdown(wait=True)
        for connection in self._connections:
            connection.close()
        if self._lock is not None:
            self._lock.release()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"{self.path} was closed")

    async def _check_reached(self, revision: int) -> None:
        last = await self.read(lambda snapshot: snapshot.revision)
        if revision > last:
            raise Compacted(f"{self.path} stands at revision {last}, {revision} is not its own")

    async def _in_reader(self, function: Callable[..., T], *arguments: object) -> T:
        self._check_open()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, function, *arguments)

    def _read(self, fn: Callable[[Snapshot], T], *, glance: bool = False) -> T:
        try:
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                return fn(
                    SqliteGlance(connection, GLANCE) if glance else SqliteSnapshot(connection)
                )
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def _read_log(self, after: int) -> list[Commit]:
        query = "SELECT revision, changes FROM log WHERE revision > ? ORDER BY revision LIMIT ?"
        try:
            rows = self._connection().execute(query, (after, BATCH)).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        if rows and rows[0][0] != after + 1:
            raise Compacted(f"{self.path} keeps commits from {rows[0][0]} on, not {after + 1}")
        return [decode_commit(revision, data) for revision, data in rows]

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self.path, readonly=True)
            self._connections.append(connection)
        return connection


def _make_directory(path: Path) -> None:
    """Make a directory and those above it that are missing, for nobody else to look into."""
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def _load(snapshot: Snapshot) -> tuple[int, list[Record]]:
    assert isinstance(snapshot, SqliteSnapshot)
    return snapshot.revision, list(snapshot.every())


def _scan(fn: Callable[[Snapshot, Iterator[Record]], T], snapshot: Snapshot) -> T:
    assert isinstance(snapshot, SqliteSnapshot)
    return fn(snapshot, snapshot.every())


__all__ = ["Limits", "SqliteStore", "StoreError"]
