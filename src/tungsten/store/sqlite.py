"""The embedded store: one SQLite file, one writer, any number of readers and watchers.

Who does what:

* The *writer*, a thread, owns the connection that writes. It takes whatever transactions wait
  (up to :data:`GROUP`), runs them one after another, each in a savepoint, and commits them
  together with one flush to disk (group commit); then it tells the callers and the feed. A
  transaction that raises is undone alone. So transactions are serial and a caller hears of
  success only when it is durable.
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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import structlog

from tungsten.store import faults
from tungsten.store.base import (
    Commit,
    Compacted,
    Record,
    Snapshot,
    StoreClosed,
    StoreError,
    StoreUnavailable,
    StoreUnusable,
    Transaction,
)
from tungsten.store.feed import BATCH, Feed, Loop, call_in
from tungsten.store.origin import ORIGIN, Origin
from tungsten.store.sqlite_file import WriterLock, connect, is_damage, prepare
from tungsten.store.sqlite_rows import (
    FreeNumbers,
    SqliteGlance,
    SqliteSnapshot,
    SqliteTransaction,
    TooMuch,
    decode_commit,
    encode_changes,
    last_revision,
)

T = TypeVar("T")

#: Most transactions that share one flush to disk.
GROUP = 256

#: Seconds between two looks at a file that another process writes.
POLL = 0.02

READERS = 2

#: Most rows that a glance reads in its caller's thread, which is an event loop's.
GLANCE = 64

log = structlog.get_logger("tungsten.store")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the past the log keeps for watchers that come back."""

    commits: int = 100_000
    bytes: int = 512 * 1024 * 1024


@dataclass(slots=True)
class _Job:
    """A transaction that waits for the writer, and then its outcome."""

    function: Callable[[Transaction], Any]
    future: asyncio.Future[Any]
    loop: Loop
    origin: Origin
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def _settle_all(jobs: list[_Job]) -> None:
    for job in jobs:
        job.settle()


class _Writer(threading.Thread):
    """The thread that writes. ``submit`` is for everybody, the rest for itself."""

    def __init__(self, path: Path, feed: Feed, limits: Limits) -> None:
        super().__init__(name="tungsten-store-writer", daemon=True)
        self._path = path
        self._feed = feed
        self._limits = limits
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._failed = 0
        self._open()

    def _open(self) -> None:
        self._db = connect(self._path, readonly=False)
        self._numbers = FreeNumbers()
        query = "SELECT revision, length(changes) FROM log ORDER BY revision"
        self._kept = dict(self._db.execute(query))
        self._bytes = sum(self._kept.values())
        self._last = last_revision(self._db)

    def submit(self, job: _Job | None) -> None:
        """Hand a job over; None ends the thread after the jobs before it."""
        self._queue.put(job)

    def run(self) -> None:
        while True:
            jobs, ends = self._take()
            if jobs:
                self._run_group(jobs)
            if ends:
                break
        self._db.close()

    def _take(self) -> tuple[list[_Job], bool]:
        """The jobs that wait, at least one unless the end is reached."""
        jobs: list[_Job] = []
        try:
            job = self._queue.get()
            while job is not None:
                if not job.future.cancelled():
                    jobs.append(job)
                if len(jobs) == GROUP:
                    return jobs, False
                job = self._queue.get_nowait()
        except Empty:
            return jobs, False
        return jobs, True

    def _run_group(self, jobs: list[_Job]) -> None:
        commits: list[Commit] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for job in jobs:
                commit = self._run_job(job)
                if commit is not None:
                    commits.append(commit)
            self._prune()
            faults.point("store.commit.before")
            self._db.execute("COMMIT")
            faults.point("store.commit.after")
        except Exception as error:  # noqa: BLE001 - the callers get it, and the thread must live
            self._fail(jobs, error)
        else:
            if self._failed:
                log.info("commits_pass_again", path=str(self._path), failed=self._failed)
                self._failed = 0
            if commits:
                self._feed.append(commits)
                self._feed.wake()
        by_loop: dict[Loop, list[_Job]] = {}
        for job in jobs:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, its_jobs in by_loop.items():
            call_in(loop, _settle_all, its_jobs)

    def _run_job(self, job: _Job) -> Commit | None:
        """Run one transaction; its commit, or None when it changed nothing or raised.

        Raises sqlite3.Error when the group as a whole cannot go on.
        """
        self._db.execute("SAVEPOINT job")
        transaction = SqliteTransaction(self._db, self._last + 1, self._numbers)
        commit = None
        try:
            job.result = job.function(transaction)
            commit = transaction.finish()
            if commit is not None:
                faults.point("store.transaction")
                commit = Commit(commit.revision, commit.changes, job.origin.now())
                self._append(commit)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and not self._db.in_transaction:
                raise
            job.error = _translated(error, self._path)
            transaction.undo()
            commit = None
            self._db.execute("ROLLBACK TO job")
        self._db.execute("RELEASE job")
        if commit is not None:
            self._last = commit.revision
        return commit

    def _append(self, commit: Commit) -> None:
        data = encode_changes(commit)
        self._db.execute("INSERT INTO log VALUES (?, ?)", (commit.revision, data))
        self._kept[commit.revision] = len(data)
        self._bytes += len(data)

    def _prune(self) -> None:
        """Drop the oldest commits beyond the limits; the newest one always stays."""
        upto = 0
        while len(self._kept) > 1 and (
            len(self._kept) > self._limits.commits or self._bytes > self._limits.bytes
        ):
            upto = next(iter(self._kept))
            self._bytes -= self._kept.pop(upto)
        if upto:
            self._db.execute("DELETE FROM log WHERE revision <= ?", (upto,))

    def _fail(self, jobs: list[_Job], error: Exception) -> None:
        """The group could not be committed: tell everybody, and begin with what is on disk."""
        if not self._failed:
            log.error("commits_fail", path=str(self._path), error=str(error))
        self._failed += len(jobs)
        for job in jobs:
            if job.error is None:
                job.error = StoreUnavailable(f"{self._path} could not be written: {error}")
        try:
            self._db.close()
            self._open()
        except sqlite3.Error as reason:
            log.warning("reopen_failed", path=str(self._path), error=str(reason))
        else:
            self._feed.restart(self._last)
            self._feed.wake()


def _translated(error: Exception, path: Path) -> Exception:
    """SQLite's errors in the store's words; others as they are."""
    if isinstance(error, StopIteration):
        return RuntimeError(f"a transaction on {path} raised StopIteration")  # no future takes it
    if not isinstance(error, sqlite3.Error):
        return error
    if is_damage(error):
        return StoreUnusable(f"{path} is damaged ({error}): restore it from a backup")
    return StoreUnavailable(f"{path}: {error}")


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
            connection.close()
            self._writer = None if readonly else _Writer(path, self._feed, limits)
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
                path.parent.mkdir(parents=True, exist_ok=True)
            return cls(path, readonly=readonly, limits=limits or Limits())
        except (OSError, sqlite3.Error) as error:
            raise StoreUnusable(f"{path} cannot be opened: {error}") from error

    async def read(self, fn: Callable[[Snapshot], T]) -> T:
        """Run ``fn``, in a thread, on one consistent snapshot."""
        return await self._in_reader(self._read, fn)

    async def glance(self, fn: Callable[[Snapshot], T]) -> T:
        """The same at once, if ``fn`` reads up to GLANCE rows; else it begins anew in a thread."""
        self._check_open()
        try:
            return self._read(fn, glance=True)
        except TooMuch:
            return await self._in_reader(self._read, fn)

    async def transact(self, fn: Callable[[Transaction], T]) -> T:
        """Run ``fn`` in the writer's thread and commit."""
        self._check_open()
        if self._writer is None:
            raise StoreUnavailable(f"{self.path} is open for reading only")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._writer.submit(_Job(fn, future, loop, ORIGIN.get()))
        return await future

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
            self._writer.submit(None)
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
            raise _translated(error, self.path) from error

    def _read_log(self, after: int) -> list[Commit]:
        query = "SELECT revision, changes FROM log WHERE revision > ? ORDER BY revision LIMIT ?"
        try:
            rows = self._connection().execute(query, (after, BATCH)).fetchall()
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error
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


def _load(snapshot: Snapshot) -> tuple[int, list[Record]]:
    assert isinstance(snapshot, SqliteSnapshot)
    return snapshot.revision, list(snapshot.every())


def _scan(fn: Callable[[Snapshot, Iterator[Record]], T], snapshot: Snapshot) -> T:
    assert isinstance(snapshot, SqliteSnapshot)
    return fn(snapshot, snapshot.every())


__all__ = ["Limits", "SqliteStore", "StoreError"]
