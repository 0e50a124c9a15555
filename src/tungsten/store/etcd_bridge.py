"""Awaiting in one event loop what another one does, with few wake-ups.

Waking another thread's loop costs a system call and a change of thread, more than many a call
itself does. So what is handed over while a loop has not come round yet is handed over together, in
both directions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from tungsten.store.feed import call_in

T = TypeVar("T")


class _Job:
    """Work, and who waits for it."""

    __slots__ = ("context", "future", "given_up", "loop", "task", "work")

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.task: asyncio.Task[Any] | None = None
        self.given_up = False
        self.context = copy_context()

    def give_up(self) -> None:
        """In the loop that does it: nobody waits any more."""
        self.given_up = True
        if self.task is not None:
            self.task.cancel()

    def settle(self) -> None:
        """In the loop that waits: the outcome."""
        assert self.task is not None, "only what was done is settled"
        if self.future.done():
            return
        if self.task.cancelled():
            self.future.cancel()
        elif (error := self.task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.task.result())


class Bridge:
    """The way into a loop and back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._coming: deque[_Job] = deque()
        self._called = False
        self._done: list[_Job] = []
        #: what is being done
        self.tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work`` in the loop; who is cancelled cancels it."""
        job = _Job(work)
        self._coming.append(job)
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._begin)
        try:
            result: T = await job.future
        except asyncio.CancelledError:
            call_in(self._loop, job.give_up)
            raise
        return result

    def _begin(self) -> None:
        self._called = False  # before looking, so that who comes after the look calls again
        while self._coming:
            job = self._coming.popleft()
            if job.given_up:
                job.work.close()
                continue
            job.task = self._loop.create_task(job.work, context=job.context)
            self.tasks.add(job.task)
            job.task.add_done_callback(lambda _, job=job: self._end(job))  # type: ignore[misc]

    def _end(self, job: _Job) -> None:
        assert job.task is not None, "it was begun"
        self.tasks.discard(job.task)
        if not self._done:
            self._loop.call_soon(self._hand_back)
        self._done.append(job)

    def _hand_back(self) -> None:
        done, self._done = self._done, []
        by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        for job in done:
            by_loop.setdefault(job.loop, []).append(job)
        for loop, jobs in by_loop.items():
            call_in(loop, _settle_all, jobs)

    def close(self) -> None:
        """In the loop, before it ends: hand over what is done; begin nothing more."""
        self._hand_back()
        while self._coming:
            self._coming.popleft().work.close()


def _settle_all(jobs: list[_Job]) -> None:
    for job in jobs:
        job.settle()
