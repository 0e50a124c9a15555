"""The feed of commits within a process: a window of the newest, and whom to wake.

The writer appends each commit once it is durable; watchers *pull*: each remembers the revision
it has reached and asks for what comes after. Nobody has a queue that could grow: a watcher that
is slower than the window reads the log instead, and one that is slower than the log is told
(:class:`~tungsten.store.base.Compacted`). The writer never waits for a watcher.

Used by the writer's thread and by event loops, hence the lock.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Lock

from tungsten.store.base import Commit

#: The window's bounds: commits, and bytes of record bodies.
WINDOW_COMMITS = 4096
WINDOW_BYTES = 64 * 1024 * 1024

#: How many commits a watcher takes at a time.
BATCH = 256

Loop = asyncio.AbstractEventLoop


def _weight(commit: Commit) -> int:
    return sum(len(change.record.body) for change in commit.changes)


class Feed:
    """The newest commits. ``last`` is the revision of the newest one.

    Every commit after revision ``floor`` is in the window; revisions only grow.
    """

    def __init__(self, last: int) -> None:
        self.last = last
        self.floor = last
        self.closed = False
        self._window: deque[Commit] = deque()
        self._bytes = 0
        self._lock = Lock()
        self._waiting: dict[asyncio.Event, Loop] = {}

    def append(self, commits: list[Commit]) -> None:
        """Take the next commits after ``last``."""
        with self._lock:
            for commit in commits:
                self._window.append(commit)
                self._bytes += _weight(commit)
                self.last = commit.revision
            while len(self._window) > WINDOW_COMMITS or self._bytes > WINDOW_BYTES:
                gone = self._window.popleft()
                self._bytes -= _weight(gone)
                self.floor = gone.revision

    def restart(self, last: int) -> None:
        """The newest commit is ``last``; what it holds has to be read from the log."""
        with self._lock:
            self._window.clear()
            self._bytes = 0
            self.last = self.floor = last

    def after(self, revision: int) -> list[Commit] | None:
        """Up to BATCH commits after a revision; None: the window does not reach back to it."""
        with self._lock:
            if revision >= self.last:
                return []
            if revision < self.floor:
                return None
            start = bisect_right(self._window, revision, key=lambda commit: commit.revision)
            return list(islice(self._window, start, start + BATCH))

    @contextmanager
    def waiting(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set whenever there is something new."""
        event = asyncio.Event()
        with self._lock:
            self._waiting[event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            with self._lock:
                del self._waiting[event]

    def wake(self) -> None:
        """Set the events of all who wait, each in its loop."""
        with self._lock:
            by_loop: dict[Loop, list[asyncio.Event]] = {}
            for event, loop in self._waiting.items():
                by_loop.setdefault(loop, []).append(event)
        for loop, events in by_loop.items():
            call_in(loop, _set_all, events)

    def close(self) -> None:
        """Nothing new will come."""
        self.closed = True
        self.wake()


def _set_all(events: list[asyncio.Event]) -> None:
    for event in events:
        event.set()


def call_in(loop: Loop, function: Callable[..., None], *arguments: object) -> None:
    """Call a function in an event loop from any thread; not at all when the loop has ended."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        if not loop.is_closed():
            raise
