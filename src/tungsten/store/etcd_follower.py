"""Follows etcd: loads the replica, then hands it every commit as etcd makes it.

A thread of its own, with connections of its own, so that neither the writers' calls nor a slow
replica disturb each other: it stops reading when :data:`AHEAD` batches wait for the replica, and
what it does not read waits in etcd.

When a connection breaks, the watch goes on at the next member, after the last commit that was
handed over. When etcd has compacted what comes next, or the replica says that something is
missing, everything is loaded anew; watchers that were behind get
:class:`~tungsten.store.base.Compacted` from :mod:`tungsten.store.etcd_history`.

Whether etcd still has everything after revision r is asked by reading at r: etcd refuses what is
older than its compaction, and drops deletions that are exactly as old. It is asked when a watch
has caught up, not before, so nothing can be compacted in between.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import groupby
from typing import Any

import structlog
from aetcd.rpc import rpc_pb2 as pb

from tungsten.store.base import Compacted, StoreUnavailable
from tungsten.store.etcd_client import LONGEST, Access, Connection, Stream
from tungsten.store.etcd_keys import Keys, after
from tungsten.store.etcd_replica import Batch, Broken, KeyEvent, Replica

#: Watch responses that may wait for the replica.
AHEAD = 64

#: How long a page of the load may be; the first has :data:`FIRST_PAGE` keys.
PAGE_BYTES = 2 * 1024 * 1024
FIRST_PAGE = 500

#: Seconds before the next member is tried, at first and at most.
PAUSE, PAUSE_MOST = 0.05, 1.0

log = structlog.get_logger("tungsten.store")


def pages_of(
    connection: Connection, start: bytes, end: bytes, revision: int = 0, *, values: bool = True
) -> Iterator[tuple[list[Any], int]]:
    """All keys of a range at one revision, in pages of about :data:`PAGE_BYTES`; with each page
    that revision, the newest there is unless it is given."""
    limit = FIRST_PAGE
    while True:
        request = pb.RangeRequest(
            key=start, range_end=end, limit=limit, revision=revision, keys_only=not values
        )
        answer = connection.range(request, timeout=10)
        revision = revision or answer.header.revision
        yield list(answer.kvs), revision
        if not answer.more:
            return
        start = answer.kvs[-1].key + b"\0"
        size = max(1, answer.ByteSize() // len(answer.kvs))
        limit = max(1, min(10_000, PAGE_BYTES // size, LONGEST // size))


def batches(response: Any) -> list[Batch]:
    """The events of a response by revision. etcd puts a revision into one response, whole."""
    return [
        Batch(
            revision,
            tuple(
                KeyEvent(
                    key=event.kv.key,
                    value=None if event.type else event.kv.value,
                    version=event.kv.version,
                    before=event.prev_kv.value if event.HasField("prev_kv") else None,
                    before_revision=event.prev_kv.mod_revision,
                )
                for event in events
            ),
        )
        for revision, events in groupby(response.events, lambda event: event.kv.mod_revision)
    ]


def check_kept(connection: Connection, keys: Keys, revision: int) -> None:
    """Raise Compacted unless etcd has everything after a revision."""
    if revision:
        connection.range(pb.RangeRequest(key=keys.head, revision=revision, keys_only=True))


def watch(connection: Connection, keys: Keys, revision: int, *, before: bool) -> Stream:
    """Watch what comes after a revision; ``before``: with the values that were there before."""
    return connection.watch(
        pb.WatchCreateRequest(
            key=keys.data,
            range_end=after(keys.data),
            start_revision=revision + 1,
            prev_kv=before,
            progress_notify=True,
        )
    )


def refuse_cancelled(response: Any) -> None:
    """Raise Compacted, StoreUnavailable when etcd ended a watch."""
    if response.compact_revision:
        raise Compacted(f"etcd keeps commits after {response.compact_revision} only")
    if response.canceled:
        raise StoreUnavailable(f"etcd ended the watch: {response.cancel_reason}")


class Follower(threading.Thread):
    """The thread that keeps a replica up to date."""

    def __init__(self, access: Access, keys: Keys, replica: Replica) -> None:
        super().__init__(name="tungsten-store-follower", daemon=True)
        self._access = access
        self._keys = keys
        self._replica = replica
        self._ended = threading.Event()
        self._stream: Stream | None = None
        self._at = 0
        self._loaded = False
        #: etcd has told all that there is up to this revision: the next watch begins there. The
        #: newest commit may be much older, so that etcd does not keep what comes after that.
        self._position = 0
        #: whether the last watch broke and none stands yet
        self._broke = False
        #: done when the replica is loaded for the first time; fails when that cannot be
        self.started: Future[int] = Future()
        #: how often a watch or a load began, for those who look inside
        self.watches = 0
        self.loads = 0

    def run(self) -> None:
        pause = PAUSE
        while not self._ended.is_set():
            began = time.monotonic()
            endpoint = self._access.endpoints[self._at % len(self._access.endpoints)]
            try:
                self._follow(endpoint)
            except (Broken, Compacted) as error:
                self._loaded = False
                log.warning("replica_reloads", endpoint=endpoint, error=str(error))
            except Exception as error:  # noqa: BLE001 - told, counted, and tried again elsewhere
                if not self.started.done() and self._at + 1 >= len(self._access.endpoints):
                    self.started.set_exception(error)
                    return
                if not self._ended.is_set():
                    # Told once, until a watch stands again: etcd may be away for hours.
                    tell = log.debug if self._broke else log.warning
                    tell("watch_broke", endpoint=endpoint, error=str(error))
                    self._broke = True
            self._at += 1
            pause = PAUSE if time.monotonic() - began > 5 else min(2 * pause, PAUSE_MOST)
            self._ended.wait(pause)

    def _follow(self, endpoint: str) -> None:
        connection = Connection(self._access, endpoint)
        try:
            if not self._loaded:
                revision = self._load(connection)
                self._loaded = True
                self.loads += 1
                log.debug("replica_loaded", endpoint=endpoint, revision=revision)
                if not self.started.done():
                    self.started.set_result(revision)
            self._position = max(self._position, self._replica.revision)
            self._stream = watch(connection, self._keys, self._position, before=False)
            if self._ended.is_set():
                return
            self._read(connection, self._stream)
        finally:
            if self._stream is not None:
                self._stream.cancel()
                self._stream = None
            connection.close()

    def _load(self, connection: Connection) -> int:
        """Have the replica take in everything; the revision of the newest commit."""
        start, end = self._keys.data, after(self._keys.data)
        at = 0

        def pages() -> Iterator[list[Any]]:
            nonlocal at
            for page, revision in pages_of(connection, start, end):
                at = revision
                yield page

        loaded = self._replica.load(pages).result()
        self._position = at
        return loaded

    def _read(self, connection: Connection, stream: Stream) -> None:
        waiting: deque[Future[None]] = deque()
        begin = self._position
        checked = False

        def cancel_if_failed(taken: Future[None]) -> None:
            if taken.exception() is not None:
                stream.cancel()

        try:
            for response in stream:
                refuse_cancelled(response)
                if response.created:
                    self.watches += 1
                    if self._broke:
                        log.info("watch_resumed", endpoint=connection.endpoint)
                        self._broke = False
                    continue
                if not response.events:
                    self._position = response.header.revision
                    continue
                taken = self._replica.take(batches(response))
                taken.add_done_callback(cancel_if_failed)
                waiting.append(taken)
                if not checked:
                    # Whatever was missed would have come with or before this response.
                    check_kept(connection, self._keys, begin)
                    checked = True
                while waiting and (len(waiting) > AHEAD or waiting[0].done()):
                    waiting.popleft().result()
        finally:
            for taken in waiting:
                taken.result()
        raise StoreUnavailable("the watch has ended")

    def kick(self, *, reload: bool = False) -> None:
        """Begin anew with the next member: this one does not send what there is."""
        if reload:
            self._loaded = False
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def end(self) -> None:
        """Stop following."""
        self._ended.set()
        self.kick()
