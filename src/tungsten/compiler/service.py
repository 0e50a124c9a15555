"""The compiler as a service: follows a store and keeps what is derived up to date in it.

One task works in rounds: take all commits that have arrived (a burst is one round), compile what
they changed, write the difference. It yields to the event loop between slices of work, since it
usually shares the process with the API. A reader task fills a bounded queue from the store's
watch; what does not fit waits in the store's log.

Level-triggered: what is written is the difference between what should be and what is, however
the two came about. So whatever goes wrong, from a missed part of the log to an error nobody
thought of, is answered by loading everything again; and its own writes, which come back through
the watch like anybody's, find nothing to do.

Fault points: ``compiler.write.before`` and ``compiler.write.after``, around each transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from tungsten.compiler import output
from tungsten.compiler.compile import Compiler, Picture
from tungsten.compiler.output import Operation
from tungsten.compiler.pools import POOLS
from tungsten.model import ModelError
from tungsten.store import faults
from tungsten.store.base import (
    ClaimTaken,
    Commit,
    Record,
    Snapshot,
    Store,
    StoreError,
    StoreUnavailable,
)

T = TypeVar("T")

#: Roots, or keys, worked on before the event loop gets its turn.
SLICE = 64

#: Operations in one transaction, so that the store's writer is not held for long.
BATCH = 1000

#: Commits that may wait in memory.
QUEUE = 4096

#: Seconds to wait after the first failure in a row, and at most.
RETRY, RETRY_MOST = 0.1, 5.0

log = structlog.get_logger("tungsten.compiler")


@dataclass(slots=True)
class Status:
    """What the service has done; all counters start at zero with the process."""

    #: the newest commit that has been compiled
    revision: int = 0
    rounds: int = 0
    commits: int = 0
    #: records and claims written
    written: int = 0
    #: operations that no longer fitted when they were to be written
    dropped: int = 0
    #: operations that the store or the model refused
    refused: int = 0
    #: times everything was loaded
    loads: int = 0
    #: rounds that ended in an error
    failures: int = 0


class CompilerService:
    """Compiles a store's intent into the same store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.compiler = Compiler()
        self.status = Status()
        self._waiting: deque[Commit] = deque()
        self._news = asyncio.Event()
        #: spaces whose exhaustion has been logged and still lasts
        self._told: set[str] = set()
        self._room = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[output.Outcome] | None = None

    async def start(self) -> None:
        """Compile everything and write it; then follow the store until :meth:`stop`."""
        began = time.monotonic()
        await self._load()
        await self._round()
        log.info(
            "compiled",
            revision=self.status.revision,
            written=self.status.written,
            seconds=round(time.monotonic() - began, 3),
        )
        self._follow()
        self._worker = asyncio.create_task(self._work(), name="compiler")

    async def stop(self) -> None:
        """Stop following. What is being written is finished: whoever follows must find it."""
        await _end(self._worker)
        await _end(self._reader)
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        self._worker = self._reader = self._writing = None

    @property
    def idle(self) -> bool:
        """Whether all that has been read from the store is compiled and written."""
        return not self._waiting and not self.compiler.dirty()

    # Reading the store.

    async def _load(self) -> None:
        """Take over the whole state of the store."""
        revision, picture = await self._store.scan(self._look)
        for taken, _ in enumerate(self.compiler.replace(picture)):
            if taken % SLICE == 0:
                await asyncio.sleep(0)
        self.status.revision = revision
        self.status.loads += 1

    def _look(self, snapshot: Snapshot, records: Iterator[Record]) -> tuple[int, Picture]:
        claims = {space: snapshot.claims(space) for space in POOLS}
        return snapshot.revision, self.compiler.picture(records, claims)

    def _follow(self) -> None:
        self._waiting.clear()
        self._room.set()
        self._reader = asyncio.create_task(self._read(self.status.revision), name="compiler-watch")
        self._reader.add_done_callback(lambda _: self._news.set())

    async def _read(self, after: int) -> None:
        async for commit in self._store.watch(after):
            self._waiting.append(commit)
            self._news.set()
            if len(self._waiting) >= QUEUE:
                self._room.clear()
            await self._room.wait()

    async def _commits(self) -> list[Commit]:
        """Wait for commits and take all that are there. Raises what ended the watch."""
        assert self._reader is not None
        await self._news.wait()
        self._news.clear()
        commits = list(self._waiting)
        self._waiting.clear()
        self._room.set()
        if not commits and self._reader.done():
            await self._reader
            raise StoreUnavailable("the store's watch has ended")
        if self._reader.done():
            self._news.set()
        return commits

    # Working.

    async def _work(self) -> None:
        """Rounds, for ever; after an error, from a fresh load."""
        delay = 0.0
        while True:
            try:
                if delay:
                    await asyncio.sleep(delay)
                    await self._reload()
                else:
                    for commit in await self._commits():
                        self.compiler.apply(commit.changes)
                        self.status.revision = commit.revision
                        self.status.commits += 1
                await self._round()
            except (StoreError, OSError) as error:
                delay = self._failed(delay, error)
                log.warning("compiler_store_failed", error=str(error), retry_seconds=delay)
            except Exception as error:
                delay = self._failed(delay, error)
                log.exception("compiler_round_failed", retry_seconds=delay)
            else:
                delay = 0.0

    def _failed(self, delay: float, error: Exception) -> float:
        self.status.failures += 1
        return min(delay * 2, RETRY_MOST) if delay else RETRY

    async def _reload(self) -> None:
        await _end(self._reader)
        await self._load()
        self._follow()

    async def _round(self) -> None:
        """Compile what changed and write the difference."""
        self.status.rounds += 1
        more = True
        while more:
            more = self.compiler.run(SLICE)
            await asyncio.sleep(0)
        self._report()
        operations: list[Operation] = []
        for keys in _slices(self.compiler.dirty(), SLICE):
            operations += self.compiler.plan(keys)
            await asyncio.sleep(0)
        for batch in _slices(output.ordered(operations), BATCH):
            await self._write(batch)

    async def _write(self, operations: Sequence[Operation]) -> None:
        """One transaction; if it is refused, its halves, so that the rest gets through."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        batch = list(operations)
        faults.point("compiler.write.before")
        try:
            self._writing = asyncio.ensure_future(
                self._store.transact(lambda tx: output.write(tx, batch, now))
            )
            outcome = await asyncio.shield(self._writing)
        except (StoreUnavailable, ClaimTaken):
            # Nothing may be written that carries a number somebody else has: begin anew.
            raise
        except (StoreError, ModelError, ValueError) as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._write(batch[:middle])
                await self._write(batch[middle:])
                return
            self.status.refused += 1
            log.error("derived_write_refused", about=str(batch[0].key), error=str(error))
            return
        faults.point("compiler.write.after")
        self.status.written += outcome.written
        self.status.dropped += len(outcome.dropped)
        for operation, why in outcome.dropped:
            log.debug("derived_write_dropped", about=str(operation.key), why=why)
        self.compiler.settle(outcome)

    def _report(self) -> None:
        for fault in self.compiler.news():
            record = self.compiler.graph.record(fault.producer.uuid)
            name = "" if record is None else ":".join(record.fq_name)
            about = {
                "type": fault.producer.type,
                "uuid": fault.producer.uuid,
                "fq_name": name,
                "query": fault.producer.query,
            }
            if fault.error is None:
                log.info("query_recovered", **about)
            else:
                log.error("query_quarantined", error=str(fault.error), **about)
        for space, empty in self.compiler.exhausted.items():
            if space not in self._told:
                log.error("pool_exhausted", pool=space, error=str(empty))
        self._told = set(self.compiler.exhausted)


async def _end(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait for it; what it ended with has been told already."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
