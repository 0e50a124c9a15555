"""This process's replica of the cluster store: a temporary SQLite file that follows etcd.

etcd keeps the truth; the replica is what this process reads, and what its transactions run on. It
has the tables of the embedded store, hence its indexes and its snapshots, without its durability:
a process that starts loads it anew. It stands at the revision of the newest commit that it has
taken in, whole.

One thread owns it and does in turn whatever waits: takes in commits from etcd, in order, many in
one SQLite transaction, and hands them to the feed; runs transaction functions, each on the newest
state and rolled back (see :mod:`tungsten.store.etcd_transaction`). Readers have connections and
snapshots of their own.

Plans that were made and whose outcome is not in the replica yet are *in flight*. A plan that
needs what one in flight is about to write would fail in etcd, so it waits for that one instead.

A commit that does not follow the one before it (by the head's version), or of which an event is
missing, raises :class:`Broken`: the replica is loaded anew.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sqlite3
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import structlog

from tungsten.store.base import (
    Change,
    ChangeKind,
    Commit,
    Record,
    Snapshot,
    StoreUnavailable,
    Transaction,
)
from tungsten.store.etcd_keys import Head, Keys, decode_head, decode_record
from tungsten.store.etcd_transaction import EtcdTransaction, Plan
from tungsten.store.feed import Feed, call_in
from tungsten.store.sqlite_file import connect, prepare
from tungsten.store.sqlite_known import Known
from tungsten.store.sqlite_rows import FreeNumbers, SqliteSnapshot, SqliteTransaction

T = TypeVar("T")

READERS = 2

#: Most jobs done in a row before others get their turn.
GROUP = 128

#: Most attempts whose outcome is handed over together.
TOGETHER = 8

#: Transactions of all processes whose revision is remembered, for those who do not know it.
REMEMBERED = 16_384

_DIRECTORY = "tungsten-etcd-"

log = structlog.get_logger("tungsten.store")


class Broken(Exception):
    """What came from etcd does not continue what is here."""


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A key was put (``value``) or deleted (None); ``before`` is the old value if it was asked for.

    ``version`` counts the puts of a key since it was created.
    """

    key: bytes
    value: bytes | None
    version: int = 0
    before: bytes | None = None
    before_revision: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one revision."""

    revision: int
    events: tuple[KeyEvent, ...]


@dataclass(slots=True)
class Trial:
    """What a run of a transaction function came to on the replica at ``revision``."""

    revision: int
    result: Any = None
    error: Exception | None = None
    plan: Plan | None = None
    #: this plan in flight has to end first
    behind: Plan | None = None
    #: the outcome says that something was not there, so the newest state has to be looked at
    doubtful: bool = False


class InFlight:
    """Plans on their way. Used by the replica's thread only."""

    def __init__(self) -> None:
        self._writes: dict[bytes, Plan] = {}
        self._claims: dict[str, dict[str, Plan]] = {}

    def claiming(self, space: str) -> Collection[str]:
        """Keys of a space that plans are about to claim."""
        return self._claims.get(space, {}).keys()

    def any_claiming(self) -> Plan | None:
        """Some plan that claims."""
        return next((plan for keys in self._claims.values() for plan in keys.values()), None)

    def before(self, plan: Plan) -> Plan | None:
        """A plan that writes what this one needs."""
        writes = self._writes
        if not writes:
            return None
        return next((writes[key] for key in plan.needs if key in writes), None)

    def add(self, plan: Plan) -> None:
        """It is on its way."""
        for key in plan.writes:
            self._writes[key] = plan
        for space, names in plan.claimed.items():
            self._claims.setdefault(space, {}).update(dict.fromkeys(names, plan))

    def remove(self, plan: Plan) -> None:
        """It has arrived, or never will. Again is no error."""
        for key in plan.writes:
            if self._writes.get(key) is plan:
                del self._writes[key]
        for space, names in plan.claimed.items():
            held = self._claims.get(space, {})
            for name in names:
                if held.get(name) is plan:
                    del held[name]
            if not held:
                self._claims.pop(space, None)


class _Writing(SqliteTransaction):
    """The rows of commits that etcd has made."""

    def take_in(self, deleted: Iterable[Record], put: Iterable[Record]) -> None:
        """Delete records, then write others."""
        for record in deleted:
            self._db.execute("DELETE FROM records WHERE uuid = ?", (record.uuid,))
            self._remove_edges(record, record.edges)
        for record in put:
            old = self.get(record.uuid)
            if old is None:
                self._insert(record)
                self._add_edges(record, record.edges)
            else:
                self._overwrite(old, record)

    def fill(self, records: Iterable[Record]) -> None:
        """Write records that are not there."""
        for record in records:
            self._insert(record)
            self._add_edges(record, record.edges)

    def put_claim(self, space: str, key: str, owner: str) -> None:
        """A claim has this owner now."""
        self._db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (space, key, owner))


def _hold_directory() -> tuple[Path, int]:
    """A fresh directory and the lock that says it is used; removes those of dead processes."""
    base = Path(tempfile.gettempdir())
    for other in base.glob(f"{_DIRECTORY}*"):
        try:
            descriptor = os.open(other / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(other, ignore_errors=True)
        except BlockingIOError:
            log.debug("replica_of_another_process", path=str(other))
        finally:
            os.close(descriptor)
    made = Path(tempfile.mkdtemp(prefix=".tungsten-making-"))
    descriptor = os.open(made / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    held = made.with_name(made.name.replace(".tungsten-making-", _DIRECTORY))
    return made.rename(held), descriptor


class Replica(threading.Thread):
    """The thread and its file. Public methods are for other threads unless they say otherwise."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(name="tungsten-store-replica", daemon=True)
        self._keys = keys
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._directory, self._lock = _hold_directory()
        self.path = self._directory / "replica.db"
        prepare(self.path, readonly=False)
        self._db = connect(self.path, readonly=False)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("INSERT INTO log VALUES (0, x'')")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="tungsten-store-reader")
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self.feed = Feed(0)
        self._arrived: deque[tuple[list[Batch], Future[None]]] = deque()
        self._numbers = FreeNumbers()
        #: records that transactions read and commits wrote, as they stand at the revision
        self._known = Known()
        self._flight = InFlight()
        self._trials: list[tuple[asyncio.Future[Trial], Trial | StoreUnavailable]] = []
        self._head_version = 0
        #: the newest transactions that were seen, and their revisions
        self._seen: dict[bytes, int] = {}
        self.loads = 0
        #: called in the replica's thread with each new revision
        self.on_revision: Callable[[int], None] = lambda revision: None

    @property
    def revision(self) -> int:
        """The newest commit that is here, whole."""
        return self.feed.last

    # The thread.

    def run(self) -> None:
        ended = False
        while not ended:
            jobs, ended = self._take()
            for job in jobs:
                job()
                if len(self._trials) == TOGETHER:
                    self._deliver()
            self._deliver()
        self._db.close()

    def _take(self) -> tuple[list[Callable[[], None]], bool]:
        jobs: list[Callable[[], None]] = []
        job = self._queue.get()
        try:
            while job is not None:
                jobs.append(job)
                if len(jobs) == GROUP:
                    return jobs, False
                job = self._queue.get_nowait()
        except Empty:
            return jobs, False
        return jobs, True

    def _do(self, work: Callable[[], T]) -> Future[T]:
        """Have the thread do something."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                future.set_exception(error)

        self._queue.put(job)
        return future

    def close(self) -> None:
        """End the thread and remove the file."""
        self._queue.put(None)
        if self.is_alive():
            self.join()
        self._readers.shutdown(wait=True)
        for connection in self._connections:
            connection.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._lock)
        self.feed.close()

    # What comes from etcd.

    def load(self, pages: Callable[[], Iterator[list[Any]]]) -> Future[int]:
        """Replace everything by what is in etcd; the future has the revision.

        ``pages`` yields key-values of one revision; the head is among them if there was a commit.
        """
        return self._do(lambda: self._load(pages()))

    def _load(self, pages: Iterator[list[Any]]) -> int:
        head, revision = 0, 0
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for table in ("records", "edges", "claims"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - three names above
            writing = _Writing(self._db, 0, self._numbers)
            for page in pages:
                records = []
                for item in page:
                    if item.key == self._keys.head:
                        head, revision = item.version, item.mod_revision
                    elif item.key.startswith(self._keys.records):
                        uuid = item.key[len(self._keys.records) :].decode()
                        records.append(decode_record(uuid, item.value, item.mod_revision))
                    elif item.key.startswith(self._keys.claims):
                        writing.put_claim(*self._keys.claim_of(item.key), item.value.decode())
                writing.fill(records)
            self._db.execute("UPDATE log SET revision = ?", (revision,))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._numbers, self._known = FreeNumbers(), Known()
        self._head_version = head
        self._seen.clear()
        self.loads += 1
        self.feed.restart(revision)
        self.feed.wake()
        self.on_revision(revision)
        return revision

    def take(self, batches: list[Batch]) -> Future[None]:
        """Take in what etcd has committed; the future raises Broken, StoreUnusable.

        What several calls bring until the thread gets to it is taken in together.
        """
        future: Future[None] = Future()
        self._arrived.append((batches, future))
        self._queue.put(self._take_arrived)
        return future

    def _take_arrived(self) -> None:
        batches: list[Batch] = []
        futures: list[Future[None]] = []
        while self._arrived:
            more, future = self._arrived.popleft()
            batches += more
            futures.append(future)
        error: Exception | None = None
        try:
            self._take_in(batches)
        except Exception as caught:  # noqa: BLE001 - the follower gets it
            error = caught
        for future in futures:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    def _take_in(self, batches: list[Batch]) -> None:
        commits: list[Commit] = []
        seen: list[tuple[bytes, int]] = []
        version = self._head_version
        if not batches:
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for batch in batches:
                if batch.revision <= (commits[-1].revision if commits else self.revision):
                    continue
                head = self._head(batch, version)
                version += 1
                commits.append(self._apply(batch, head))
                seen.append((head.transaction, batch.revision))
            if commits:
                self._db.execute("UPDATE log SET revision = ?", (commits[-1].revision,))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            self._known = Known()
            raise
        if not commits:
            return
        self._head_version = version
        self._seen.update(seen)
        while len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self.feed.append(commits)
        self.feed.wake()
        self.on_revision(commits[-1].revision)

    def _head(self, batch: Batch, version: int) -> Head:
        for event in batch.events:
            if event.key == self._keys.head and event.value is not None:
                if event.version != version + 1:
                    raise Broken(f"commit {event.version} came after {version}")
                head = decode_head(event.value)
                if head.events != len(batch.events):
                    raise Broken(
                        f"revision {batch.revision} has {len(batch.events)} events of {head.events}"
                    )
                return head
        raise Broken(f"revision {batch.revision} is no commit of ours")

    def _apply(self, batch: Batch, head: Head) -> Commit:
        writing = _Writing(self._db, batch.revision, self._numbers)
        changes = tuple(changes_of(batch, self._keys, writing.get))
        writing.take_in(
            [one.record for one in changes if one.kind is ChangeKind.DELETED],
            [one.record for one in changes if one.kind is not ChangeKind.DELETED],
        )
        for one in changes:
            if one.kind is ChangeKind.DELETED:
                self._known.drop(one.record.uuid)
            else:
                self._known.put(one.record)
        for event in batch.events:
            if event.key.startswith(self._keys.claims):
                space, key = self._keys.claim_of(event.key)
                if event.value is None:
                    writing.release(space, key)
                else:
                    writing.put_claim(space, key, event.value.decode())
        return Commit(batch.revision, changes, head.origin)

    # Transactions.

    def attempt(
        self, function: Callable[[Transaction], Any], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Future[Trial]:
        """Run a transaction function; to be called in ``loop``.

        A plan without ``behind`` is in flight from then on, so the future must not be cancelled.
        """
        future: asyncio.Future[Trial] = loop.create_future()

        def job() -> None:
            try:
                self._trials.append((future, self._attempt(function)))
            except sqlite3.Error as error:
                self._trials.append((future, StoreUnavailable(f"the replica failed: {error}")))

        self._queue.put(job)
        return future

    def _deliver(self) -> None:
        """Hand over what the last attempts came to: waking another thread costs more than one."""
        if self._trials:
            loop = self._trials[0][0].get_loop()
            call_in(loop, _settle, self._trials)
            self._trials = []

    def _attempt(self, function: Callable[[Transaction], Any]) -> Trial:
        trial = Trial(self.revision)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            transaction = EtcdTransaction(
                self._db, trial.revision, self._numbers, self._flight.claiming, self._known
            )
            try:
                trial.result = function(transaction)
                trial.plan = transaction.plan(self._keys)
            except StopIteration:  # no future takes it
                trial.error = RuntimeError("a transaction raised StopIteration")
            except sqlite3.Error as error:
                trial.error = StoreUnavailable(f"the replica {self.path} failed: {error}")
            except Exception as error:  # noqa: BLE001 - it is the caller's
                trial.error = error
        finally:
            self._db.execute("ROLLBACK")
        trial.doubtful = transaction.exhausted or trial.plan is None or trial.error is not None
        if transaction.crowded:
            trial.behind = self._flight.any_claiming()
        if trial.plan is not None and trial.behind is None:
            trial.behind = self._flight.before(trial.plan)
            if trial.behind is None:
                self._flight.add(trial.plan)
        return trial

    def finished(self, plan: Plan) -> None:
        """A plan is no longer in flight."""
        self._queue.put(partial(self._flight.remove, plan))

    def outcome(self, identity: bytes, loads: int) -> Future[int | None]:
        """The revision of a transaction, 0 when it did not come.

        None: it may have come in a load, of which there were ``loads`` when it was sent.
        """
        return self._do(lambda: self._seen.get(identity, 0 if self.loads == loads else None))

    # Readers.

    async def read(self, function: Callable[[Snapshot], T]) -> T:
        """Run a function on a snapshot, in a reader's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, function)

    def _read(self, function: Callable[[Snapshot], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._local.connection = connect(self.path, readonly=True)
                self._connections.append(connection)
            connection.execute("BEGIN")
            try:
                return function(SqliteSnapshot(connection))
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the replica {self.path} cannot be read: {error}") from error


def _settle(trials: list[tuple[asyncio.Future[Trial], Trial | StoreUnavailable]]) -> None:
    for future, trial in trials:
        if isinstance(trial, StoreUnavailable):
            future.set_exception(trial)
        else:
            future.set_result(trial)


def changes_of(batch: Batch, keys: Keys, known: Callable[[str], Record | None]) -> Iterator[Change]:
    """The record changes of a revision. ``known`` gives a record's state before it.

    Raises Broken when an update or a deletion meets no record.
    """
    for event in batch.events:
        if not event.key.startswith(keys.records):
            continue
        uuid = event.key[len(keys.records) :].decode()
        old = known(uuid)
        new = None
        if event.value is not None:
            new = decode_record(uuid, event.value, batch.revision)
        created = new is not None and new.created == batch.revision
        if old is None and not created:
            raise Broken(f"{uuid} is changed by revision {batch.revision} and was not there")
        if old is not None and (new is None or created):
            yield Change(ChangeKind.DELETED, old)
            old = None
        if new is not None:
            yield Change(ChangeKind.UPDATED if old else ChangeKind.CREATED, new)
