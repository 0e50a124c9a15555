"""The cluster store: etcd, written and followed by any number of processes.

Who does what:

* etcd keeps the truth, decides what commits and numbers it: a commit's revision is etcd's, so
  revisions grow but not by one.
* The *replica* (:mod:`tungsten.store.etcd_replica`) is this process's copy, in a thread of its
  own; the *follower* (:mod:`tungsten.store.etcd_follower`), another thread, feeds it.
* The *io* thread has an event loop for the calls that write and look: it drives transactions from
  attempt to attempt.

A transaction runs on the replica without asking etcd anything, then goes to etcd as one
transaction with all that it read as conditions (:mod:`tungsten.store.etcd_transaction`). When a
condition fails, the replica waits for the commit that was in the way and the function runs again.
When a function raises, or has nothing to write, etcd is asked whether the replica was current; if
not, it runs again. Once committed, the caller is told when the replica has the commit, so that
this process reads what it wrote.

A read asks etcd, together with all reads that wait, how far it is, and waits for the replica to
be there: reads are linearizable. While etcd cannot be asked they are answered from the replica,
which may then be old (:attr:`EtcdStore.stale`); writes fail within
:data:`~tungsten.store.etcd_client.DEADLINE` seconds.

When nobody answered a transaction, its *fence* is put: a key that every transaction requires to
be absent. After that it cannot commit any more, and whether it has is read from the replica; only
when that fails too is the outcome unknown to the caller.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

import structlog
from aetcd.rpc import rpc_pb2 as pb

from tungsten.store import etcd_history, etcd_layout, faults
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
from tungsten.store.etcd_bridge import Bridge
from tungsten.store.etcd_client import (
    DEADLINE,
    TRY,
    Access,
    Cluster,
    Unanswered,
    first_answer,
    parse,
)
from tungsten.store.etcd_follower import Follower
from tungsten.store.etcd_keys import Keys
from tungsten.store.etcd_options import EtcdOptions
from tungsten.store.etcd_replica import Replica, Trial
from tungsten.store.etcd_transaction import Plan, Terms
from tungsten.store.feed import call_in
from tungsten.store.sqlite_rows import SqliteSnapshot
from tungsten.store.staleness import READ_AGE

T = TypeVar("T")

#: Seconds that a transaction may be overtaken by others.
PATIENCE = 30.0

#: Seconds between two looks whether etcd answers and the replica keeps up.
LOOK = 1.0

#: Seconds that the replica may be behind before its watch is begun anew, and seconds that it may
#: take after that.
LATE, BEHIND = 1.0, 5.0

#: Seconds that a fence stays: longer than any call can be on its way.
FENCE = 24 * 3600

#: Failed attempts before a transaction waits a little between them, and the most seconds.
EAGER, PAUSE_MOST = 3, 0.05

log = structlog.get_logger("tungsten.store")

Guard = tuple[bytes, int]


class GuardFailed(StoreError):
    """A transaction was refused because a key it depends on is not the one it was."""


class EtcdStore:
    """An open store in etcd; see :class:`tungsten.store.base.Store`."""

    def __init__(self, access: Access, keys: Keys, *, readonly: bool, limit: int) -> None:
        """Use :meth:`open`."""
        self.keys = keys
        self.readonly = readonly
        #: set while etcd cannot be asked: what is read may be old
        self.stale = False
        self._current_at = time.monotonic()
        #: why the store may no longer be used by this program, or empty
        self._refused = ""
        self._access = access
        self._limit = limit
        self._layout = etcd_layout.LAYOUT
        self._closed = False
        self._replica = Replica(keys)
        self._feed = self._replica.feed
        self._follower = Follower(access, keys, self._replica)
        self._past = ThreadPoolExecutor(2, thread_name_prefix="tungsten-store-history")
        self._loop = asyncio.new_event_loop()
        self._io = threading.Thread(target=self._run, name="tungsten-store-io", daemon=True)
        self._identity = os.urandom(8)
        self._numbers = count(1)
        self._fence = str(uuid4())
        self._reached_by: list[tuple[int, int, asyncio.Future[None]]] = []
        self._look_next: asyncio.Task[int] | None = None
        self._look_now: asyncio.Task[int] | None = None
        self._bridge = Bridge(self._loop)
        self._telling = False
        self._conflicts = 0

    @classmethod
    def open(
        cls, rest: str, *, readonly: bool = False, options: EtcdOptions | None = None
    ) -> EtcdStore:
        """Open ``HOST:PORT[,HOST:PORT...]/PREFIX``. Raises StoreUnusable."""
        endpoints, prefix = parse(rest)
        options = options or EtcdOptions()
        access, keys = Access(endpoints, options), Keys(prefix)
        try:
            limit = first_answer(
                access, lambda one: etcd_layout.prepare(one, keys, options, readonly=readonly)
            )
            store = cls(access, keys, readonly=readonly, limit=limit)
            store._start()
        except StoreUnavailable as error:
            raise StoreUnusable(f"etcd cannot be opened: {error}") from error
        return store

    def _start(self) -> None:
        self._replica.on_revision = self._on_revision
        self._replica.start()
        self._follower.start()
        try:
            self._follower.started.result()
        except BaseException:
            self._follower.end()
            self._replica.close()
            self._past.shutdown()
            self._loop.close()
            raise
        self._io.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _begin(self) -> None:
        self._cluster = Cluster(self._access)
        self._keeper = self._loop.create_task(self._keep())

    # The contract.

    async def read(self, fn: Callable[[Snapshot], T]) -> T:
        """Run ``fn``, in a thread, on one consistent snapshot.

        Sets :data:`~tungsten.store.staleness.READ_AGE`.
        """
        READ_AGE.set(await self.in_io(self._be_current()))
        return await self._replica.read(fn)

    async def glance(self, fn: Callable[[Snapshot], T]) -> T:
        """The same: what takes long is to know that the replica is current."""
        return await self.read(fn)

    async def transact(self, fn: Callable[[Transaction], T]) -> T:
        """Run ``fn``, in the replica's thread, until what it did could be committed."""
        return await self.transact_guarded(fn, ())

    async def transact_guarded(
        self, fn: Callable[[Transaction], T], guards: Collection[Guard]
    ) -> T:
        """The same, on condition that each guard's key still was created at its revision.

        Raises GuardFailed.
        """
        if self.readonly:
            raise StoreUnavailable(f"{self._access} is open for reading only")
        result: T = await self.in_io(self._transact(fn, guards))
        return result

    async def load(self) -> tuple[int, list[Record]]:
        """All records, by type and name, and the revision they stand at."""
        return await self.read(_load)

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
                    commits = await self._look_back(etcd_history.history, position, self._feed.last)
                for commit in commits:
                    position = commit.revision
                    yield commit
                if self._feed.closed:
                    raise StoreClosed(f"{self._access} was closed")
                if position > self._feed.last:
                    raise Compacted(f"{self._access} went back to {self._feed.last}")
                if not commits:
                    await news.wait()

    async def _look_back(self, function: Callable[..., T], *arguments: int) -> T:
        self._check_open()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._past, function, self._access, self.keys, *arguments)

    async def close(self) -> None:
        """Finish the transactions that wait, then let go of everything. Again is no error."""
        if self._closed:
            return
        self._closed = True
        ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        await asyncio.wrap_future(ending)
        await asyncio.get_running_loop().run_in_executor(None, self._shut)

    async def _end(self) -> None:
        if self._bridge.tasks:
            await asyncio.wait(set(self._bridge.tasks), timeout=DEADLINE)
        looks = [task for task in (self._look_now, self._look_next) if task is not None]
        left = [*self._bridge.tasks, *looks, self._keeper]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self._bridge.close()
        await self._cluster.close()

    def _shut(self) -> None:
        self._follower.end()
        self._follower.join()
        self._replica.close()
        self._past.shutdown()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._io.join()
        self._loop.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(f"{self._access} was closed")

    async def _check_reached(self, revision: int) -> None:
        last = await self.read(lambda snapshot: snapshot.revision)
        if revision > last and self.stale:
            raise StoreUnavailable(f"{self._access} cannot be asked for what follows {revision}")
        if revision > last:
            raise Compacted(f"{self._access} stands at {last}, {revision} is not its own")

    async def ask(self, service: str, name: str, request: Any, seconds: float = DEADLINE) -> Any:
        """A call to etcd itself that may be made twice, for what is built beside the store."""
        return await self.in_io(
            self._cluster.ask(service, name, request, time.monotonic() + seconds)
        )

    async def keep_alive(self, lease: int) -> int:
        """Renew a lease; the seconds it lives from now on, 0 when it is gone."""
        return await self.in_io(self._cluster.keep_alive(lease))

    # Between threads.

    async def in_io(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something in the io thread."""
        if self._closed:
            work.close()
            self._check_open()
        try:
            return await self._bridge.run(work)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                raise StoreClosed(f"{self._access} was closed") from None
            raise

    def _on_revision(self, revision: int) -> None:
        """In the replica's thread."""
        if self._reached_by and not self._telling:
            self._telling = True
            call_in(self._loop, self._tell_reached)

    def _tell_reached(self) -> None:
        self._telling = False  # before looking, so that what comes after the look is told
        while self._reached_by and self._reached_by[0][0] <= self._replica.revision:
            _, _, future = heappop(self._reached_by)
            if not future.done():
                future.set_result(None)

    async def _reached(self, revision: int, seconds: float = BEHIND) -> bool:
        """Wait until the replica is at a revision; False when it is not in time."""
        if self._replica.revision >= revision:
            return True
        future: asyncio.Future[None] = self._loop.create_future()
        heappush(self._reached_by, (revision, next(self._numbers), future))
        self._tell_reached()
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return False
        return True

    # Looking.

    async def _head(self) -> int:
        """The newest commit that etcd has: one call for all who ask while another call is on."""
        if self._look_next is None:
            self._look_next = self._loop.create_task(self._look(self._look_now))
            self._look_next.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._look_next)

    async def _look(self, previous: asyncio.Task[int] | None) -> int:
        if previous is not None:
            await asyncio.wait([previous])
        self._look_now, self._look_next = self._look_next, None
        answer = await self._cluster.ask("KV", "Range", pb.RangeRequest(key=self.keys.head))
        return answer.kvs[0].mod_revision if answer.kvs else 0

    async def _be_current(self) -> float | None:
        """Wait until the replica has what etcd has now; not at all while etcd does not answer.

        None, or for how many seconds it was not known to have that.
        """
        if self._refused:
            raise StoreUnusable(self._refused)
        if not self.stale:
            try:
                asked = time.monotonic()
                await self._catch_up(await self._head())
            except StoreUnavailable as error:
                self._set_stale(True, str(error))
            else:
                self._current_at = asked
                return None
        return time.monotonic() - self._current_at

    def _set_stale(self, stale: bool, reason: str = "") -> None:
        if stale != self.stale:
            self.stale = stale
            if stale:
                log.error("store_stale", etcd=str(self._access), error=reason)
            else:
                log.info("store_current", etcd=str(self._access))

    async def _keep(self) -> None:
        """Look after the connection: notice when etcd is away or the watch has gone silent."""
        while True:
            await asyncio.sleep(LOOK * random.uniform(0.8, 1.2))
            self._renew_papers()
            try:
                asked = time.monotonic()
                self._refused = await self._look_at_layout()
                here = self._replica.revision
                head = await self._head()
                if head < here:
                    log.error("etcd_went_back", head=head, replica=here)
                    self._follower.kick(reload=True)
                    continue
                await self._catch_up(head)
                self._current_at = asked
                self._set_stale(False)
            except StoreError as error:
                self._set_stale(True, str(error))

    def _renew_papers(self) -> None:
        """Go on with new certificates and passwords when their files have changed."""
        try:
            if self._access.renew():
                log.info("etcd_papers_renewed", etcd=str(self._access))
                self._follower.kick()
        except StoreUnusable as error:
            log.error("etcd_papers_refused", etcd=str(self._access), error=str(error))

    async def _look_at_layout(self) -> str:
        """Why this program may not use the store any more, or nothing."""
        answer = await self._cluster.ask("KV", "Range", pb.RangeRequest(key=self.keys.layout))
        return self._refusal(answer.kvs)

    def _refusal(self, layout: Any) -> str:
        found = layout[0].value if layout else None
        refused = etcd_layout.refusal(self.keys, found, self._layout)
        if refused and refused != self._refused:
            log.error("store_refused", error=refused)
        return refused

    # Writing.

    async def _transact(self, fn: Callable[[Transaction], Any], guards: Collection[Guard]) -> Any:
        end = time.monotonic() + PATIENCE
        current: int | None = None
        for failed in count():
            if failed and time.monotonic() > end:
                raise StoreUnavailable(
                    f"a transaction was overtaken by others {failed} times in {PATIENCE:.0f} s"
                )
            if failed > EAGER:
                await asyncio.sleep(
                    random.uniform(0, min(PAUSE_MOST, 0.001 * 2 ** min(failed, 10)))
                )
            trial = await self._attempt(fn)
            if trial.behind is not None:
                await self._after(trial.behind)
                continue
            try:
                if trial.doubtful:
                    if current is None:
                        current = await self._head()
                    if trial.revision < current:
                        await self._catch_up(current)
                        continue
                    if trial.error is not None:
                        raise trial.error
                if trial.plan is None or await self._commit(trial, guards):
                    return trial.result
            finally:
                self._finish(trial)
        raise AssertionError("the loop has no end")

    async def _attempt(self, fn: Callable[[Transaction], Any]) -> Trial:
        """Run the function on the replica. If nobody waits any more, its plan is given up."""
        attempt = self._replica.attempt(fn, self._loop)
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            attempt.add_done_callback(self._give_up)
            raise

    def _give_up(self, attempt: asyncio.Future[Trial]) -> None:
        if not attempt.cancelled() and attempt.exception() is None:
            self._finish(attempt.result())

    def _finish(self, trial: Trial) -> None:
        """A trial's plan is no longer in flight."""
        if trial.plan is not None and trial.behind is None:
            self._replica.finished(trial.plan)
            trial.plan.ended.set_result(None)

    async def _after(self, plan: Plan) -> None:
        """Wait until a plan of another transaction is no longer in flight."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE):
                await asyncio.shield(asyncio.wrap_future(plan.ended))

    async def _catch_up(self, revision: int) -> None:
        """Wait for a commit that etcd has; when it is late, have it sent by another member."""
        if await self._reached(revision, LATE):
            return
        self._follower.kick()
        if not await self._reached(revision):
            raise StoreUnavailable(f"{self._access}: the replica does not get to {revision}")

    async def _commit(self, trial: Trial, guards: Collection[Guard]) -> bool:
        """Put a plan to etcd; False when something it read has changed."""
        plan = trial.plan
        assert plan is not None, "only plans are committed"
        plan.identity = self._identity + next(self._numbers).to_bytes(8, "big")
        fence, loads = self._fence, self._replica.loads
        terms = Terms(fence, etcd_layout.mark(self._layout), self._limit)
        request = plan.request(self.keys, terms, guards)
        faults.point("store.commit.before")
        try:
            answer = await self._cluster.call("KV", "Txn", request)
        except Unanswered as error:
            return await self._settle(plan, fence, loads, error)
        faults.point("store.commit.after")
        if answer.succeeded:
            with suppress(StoreUnavailable):  # it is committed; reads will wait, or be stale
                await self._catch_up(answer.header.revision)
            return True
        self._conflicts += 1
        layout, head, *found = [one.response_range.kvs for one in answer.responses]
        self._refused = self._refusal(layout)
        if self._refused:
            raise StoreUnusable(self._refused)
        for (key, created), kvs in zip(guards, found, strict=True):
            if not kvs or kvs[0].create_revision != created:
                raise GuardFailed(f"{key.decode()} is no longer that of revision {created}")
        await self._catch_up(head[0].mod_revision if head else 0)
        return False

    async def _settle(self, plan: Plan, fence: str, loads: int, cause: Unanswered) -> bool:
        """After no answer: make sure that it cannot commit any more; whether it has."""
        if self._fence == fence:
            self._fence = str(uuid4())
        deadline = time.monotonic() + (LATE if self.stale else DEADLINE - TRY)
        try:
            grant = pb.LeaseGrantRequest(TTL=FENCE)
            granted = await self._cluster.ask("Lease", "LeaseGrant", grant, deadline)
            request = pb.PutRequest(key=self.keys.fence(fence), lease=granted.ID)
            await self._cluster.ask("KV", "Put", request, deadline)
            await self._catch_up(await self._head())
        except StoreError as error:
            self._set_stale(True, str(error))
            raise StoreUnavailable(
                f"it is not known whether a transaction was committed: {cause}; then {error}"
            ) from cause
        revision = await asyncio.wrap_future(self._replica.outcome(plan.identity, loads))
        if revision is None:
            raise StoreUnavailable(f"it is not known whether a transaction was committed: {cause}")
        return revision > 0


def _load(snapshot: Snapshot) -> tuple[int, list[Record]]:
    assert isinstance(snapshot, SqliteSnapshot)
    return snapshot.revision, list(snapshot.every())


def _scan(fn: Callable[[Snapshot, Iterator[Record]], T], snapshot: Snapshot) -> T:
    assert isinstance(snapshot, SqliteSnapshot)
    return fn(snapshot, snapshot.every())
