"""The writer of the embedded store: one connection, groups of transactions, one flush for each.

The connection is used by one *group* at a time: transactions that wait run one after another, each
in a savepoint, and are committed together. A transaction that raises is undone alone. They run in

* the writer's thread: whatever was handed over by :meth:`Writer.submit`;
* the event loop itself: *brief* transactions (:meth:`Writer.submit_brief`), when the connection is
  free: two threads that take turns at one interpreter for every statement cost more than the
  statements. One that turns out to need more than a few rows is undone and goes to the thread.

It is always the thread that commits, since a flush to disk takes long and leaves the interpreter to
others. Before that, what the group touches is noted (:mod:`tungsten.store.touched`).
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from tungsten.store import faults
from tungsten.store.base import Commit, StoreUnavailable, StoreUnusable, TooMuch, Transaction
from tungsten.store.feed import Feed, Loop, call_in
from tungsten.store.origin import Origin
from tungsten.store.sqlite_file import connect, is_damage
from tungsten.store.sqlite_known import BriefTransaction, KnowingTransaction, Known
from tungsten.store.sqlite_rows import FreeNumbers, encode_changes, last_revision
from tungsten.store.touched import Touched

#: Most transactions that share one flush to disk; most that an event loop runs at a time.
GROUP = 256
BRIEF_GROUP = 32

#: Milliseconds that a thread waits for another process that writes; an event loop does not.
PATIENCE = 10_000

log = structlog.get_logger("tungsten.store")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the past the log keeps for watchers that come back."""

    commits: int = 100_000
    bytes: int = 512 * 1024 * 1024


@dataclass(slots=True)
class Job:
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


@dataclass(slots=True)
class _Group:
    """Transactions that ran and are to be committed; ``error`` is why they cannot be."""

    jobs: list[Job]
    commits: list[Commit] = field(default_factory=list)
    error: Exception | None = None


class Writer(threading.Thread):
    """The thread that writes, and what else uses its connection. ``submit`` is for everybody."""

    def __init__(self, path: Path, feed: Feed, limits: Limits, touched: Touched) -> None:
        super().__init__(name="tungsten-store-writer", daemon=True)
        self._path = path
        self._feed = feed
        self._limits = limits
        self._touched = touched
        self._failed = 0
        #: The connection was given up and could not be opened anew yet.
        self._broken = False
        #: Guards what follows; whoever sets ``_held`` has the connection until it is unset.
        self._turn = threading.Condition(threading.Lock())
        self._waiting: deque[Job] = deque()
        self._held = False
        self._ran: _Group | None = None
        self._ends = False
        #: Brief transactions, all of one loop, and whether it is going to look at them.
        self._brief: deque[Job] = deque()
        self._home: Loop | None = None
        self._called = False
        self._open()

    def _open(self) -> None:
        self._db = connect(self._path, readonly=False)
        #: What the connection waits for others, in milliseconds; None: as it was opened.
        self._patience: int | None = None
        self._numbers = FreeNumbers()
        self._known = Known()
        query = "SELECT revision, length(changes) FROM log ORDER BY revision"
        #: Revision and size of the commits in the log, the oldest first.
        self._kept: deque[tuple[int, int]] = deque(self._db.execute(query))
        self._bytes = sum(size for _, size in self._kept)
        self._last = last_revision(self._db)

    # Handing over.

    def submit(self, job: Job) -> None:
        """Have the thread run a transaction."""
        with self._turn:
            self._waiting.append(job)
            self._turn.notify()

    def submit_brief(self, job: Job) -> None:
        """Have the running loop run a transaction, or the thread when it is busy with others."""
        with self._turn:
            if self._home is not job.loop and not self._brief:
                self._home, self._called = job.loop, False
            if self._home is not job.loop or self._waiting or self._ends or self._broken:
                self._waiting.append(job)
                self._turn.notify()
                return
            self._brief.append(job)
            if self._called or self._ran is not None:
                return
            self._called = True
        job.loop.call_soon(self._run_brief)

    def end(self) -> None:
        """End the thread, after what was submitted before."""
        with self._turn:
            self._waiting.extend(self._brief)
            self._brief.clear()
            self._ends = True
            self._turn.notify()

    # In the loop.

    def _run_brief(self) -> None:
        """Run brief transactions if the connection is free; else whoever has it sees to them."""
        with self._turn:
            self._called = False
            if self._held or self._waiting or not self._brief:
                return
            self._held = True
            jobs = _take(self._brief, BRIEF_GROUP)
        group = self._run_group(jobs, BriefTransaction)
        with self._turn:
            self._ran = group
            self._turn.notify()

    # In the thread.

    def run(self) -> None:
        """Run and commit groups until the end."""
        while True:
            with self._turn:
                while self._ran is None and (self._held or not (self._waiting or self._ends)):
                    self._turn.wait()
                group, self._ran = self._ran, None
                if group is None:
                    if not self._waiting:
                        break
                    self._held = True
                    self._waiting.extend(self._brief)
                    self._brief.clear()
                    jobs = _take(self._waiting, GROUP)
            if group is None:
                group = self._run_group(jobs, KnowingTransaction)
            self._commit(group)
        self._db.close()

    def _commit(self, group: _Group) -> None:
        """Make a group durable, let go of the connection, tell the callers and the feed."""
        try:
            if group.error is not None:
                raise group.error
            if self._db.in_transaction:
                faults.point("store.commit.before")
                self._db.execute("COMMIT")
                faults.point("store.commit.after")
        except Exception as error:  # noqa: BLE001 - the callers get it, and the thread must live
            self._fail(group.jobs, error)
        else:
            if self._failed:
                log.info("commits_pass_again", path=str(self._path), failed=self._failed)
                self._failed = 0
            if group.commits:
                self._feed.append(group.commits)
                self._feed.wake()
        with self._turn:
            self._held = False
            again = self._home if self._brief and not self._waiting and not self._called else None
            self._called = self._called or again is not None
        by_loop: dict[Loop, list[Job]] = {}
        for job in group.jobs:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, its_jobs in by_loop.items():
            call_in(loop, self._settle, its_jobs, loop is again)
        if again is not None and again not in by_loop:
            call_in(again, self._run_brief)

    def _settle(self, jobs: list[Job], again: bool) -> None:
        for job in jobs:
            job.settle()
        if again:
            self._run_brief()

    # In whichever has the connection.

    def _run_group(self, jobs: list[Job], kind: type[KnowingTransaction]) -> _Group:
        """Run transactions up to the commit of all."""
        group = _Group(jobs)
        patience = 0 if kind is BriefTransaction else PATIENCE
        deferred: list[Job] = []
        try:
            if self._broken:
                self._reopen()
            if patience != self._patience:
                self._db.execute(f"PRAGMA busy_timeout = {patience}")
                self._patience = patience
            self._db.execute("BEGIN IMMEDIATE")
            for job in jobs:
                try:
                    commit = self._run_job(job, kind)
                except TooMuch:
                    deferred.append(job)
                    continue
                if commit is not None:
                    group.commits.append(commit)
            self._prune()
        except sqlite3.OperationalError as error:
            if not patience and not self._db.in_transaction and _is_busy(error):
                deferred = jobs
            else:
                group.error = error
        except Exception as error:  # noqa: BLE001 - the callers get it
            group.error = error
        if deferred:
            group.jobs = [job for job in jobs if job not in deferred]
            with self._turn:
                self._waiting.extend(deferred)
        return group

    def _run_job(self, job: Job, kind: type[KnowingTransaction]) -> Commit | None:
        """Run one transaction; its commit, or None when it changed nothing or raised.

        Raises sqlite3.Error when the group as a whole cannot go on, TooMuch when this one needs
        more than its kind gives.
        """
        self._db.execute("SAVEPOINT job")
        transaction = kind(self._db, self._last + 1, self._numbers, self._known)
        commit, too_much = None, None
        try:
            job.result = job.function(transaction)
            commit = transaction.finish()
            if commit is not None:
                commit = Commit(commit.revision, commit.changes, job.origin.now())
                faults.point("store.transaction")
                self._append(commit, encode_changes(commit, transaction.written))
        except Exception as error:
            if isinstance(error, sqlite3.Error) and not self._db.in_transaction:
                raise
            if isinstance(error, TooMuch):
                too_much = error
            else:
                job.error = translated(error, self._path)
            transaction.undo()
            commit = None
            self._db.execute("ROLLBACK TO job")
        self._db.execute("RELEASE job")
        if too_much is not None:
            raise too_much
        if commit is not None:
            self._last = commit.revision
            self._touched.note(transaction.touched(), commit.revision)
        return commit

    def _append(self, commit: Commit, data: bytes) -> None:
        self._db.execute("INSERT INTO log VALUES (?, ?)", (commit.revision, data))
        self._kept.append((commit.revision, len(data)))
        self._bytes += len(data)

    def _prune(self) -> None:
        """Drop the oldest commits beyond the limits; the newest one always stays."""
        upto = 0
        while len(self._kept) > 1 and (
            len(self._kept) > self._limits.commits or self._bytes > self._limits.bytes
        ):
            upto, size = self._kept.popleft()
            self._bytes -= size
        if upto:
            self._db.execute("DELETE FROM log WHERE revision <= ?", (upto,))

    def _fail(self, jobs: list[Job], error: Exception) -> None:
        """The group could not be committed: tell everybody, and begin with what is on disk."""
        if not self._failed:
            log.error("commits_fail", path=str(self._path), error=str(error))
        self._failed += len(jobs)
        for job in jobs:
            if job.error is None:
                job.error = StoreUnavailable(f"{self._path} could not be written: {error}")
        self._broken = True
        try:
            self._reopen()
        except sqlite3.Error as reason:
            log.warning("reopen_failed", path=str(self._path), error=str(reason))

    def _reopen(self) -> None:
        """Begin with what is on disk: after a failed flush nothing that is known can be trusted."""
        self._db.close()
        self._open()
        self._broken = False
        self._feed.restart(self._last)
        self._feed.wake()


def _take(jobs: deque[Job], most: int) -> list[Job]:
    """The first of the jobs that wait, without those that nobody waits for any more."""
    taken: list[Job] = []
    while jobs and len(taken) < most:
        job = jobs.popleft()
        if not job.future.cancelled():
            taken.append(job)
    return taken


def _is_busy(error: sqlite3.OperationalError) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def translated(error: Exception, path: Path) -> Exception:
    """SQLite's errors in the store's words; others as they are."""
    if isinstance(error, StopIteration):
        return RuntimeError(f"a transaction on {path} raised StopIteration")  # no future takes it
    if not isinstance(error, sqlite3.Error):
        return error
    if is_damage(error):
        return StoreUnusable(f"{path} is damaged ({error}): restore it from a backup")
    return StoreUnavailable(f"{path}: {error}")
