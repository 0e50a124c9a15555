"""A service that runs in one process of several: active here, or waiting to become so.

The service gets a store whose writes hold only while its process is elected, so that even one
that has not noticed yet does no harm. When its election is lost it is stopped, and the process
becomes a candidate again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

import structlog

from tungsten.process.runtime import STOP_TIMEOUT, Service
from tungsten.store.base import Store, StoreError
from tungsten.store.election import ElectedStore, Election
from tungsten.store.etcd import EtcdStore

#: Seconds to the next candidacy when the service could not start.
PAUSE = 1.0

#: Seconds between two looks whether somebody else is elected, at the start.
LOOK = 0.2

log = structlog.get_logger("tungsten.process")


class ElectedService:
    """Runs ``make(store)`` while elected for ``role``."""

    def __init__(self, store: EtcdStore, role: str, make: Callable[[Store], Service]) -> None:
        self._store = store
        self._role = role
        self._make = make
        self._name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._election = Election(store, role, self._name)
        self._task: asyncio.Task[None] | None = None
        #: set while the service runs here
        self.active = asyncio.Event()

    async def start(self) -> None:
        """Return when the service runs here, or somebody else is elected to run it."""
        self._task = asyncio.create_task(self._work(), name=f"elected-{self._role}")
        while not self.active.is_set():
            leader = await self._election.leader()
            if leader not in (None, self._name):
                log.info("standing_by", role=self._role, leader=leader)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self.active.wait()

    async def stop(self) -> None:
        """Stop the service if it runs, then let another be elected."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._election.resign()

    async def _work(self) -> None:
        while True:
            leadership = await self._election.lead()
            service = self._make(ElectedStore(self._store, leadership))
            try:
                await service.start()
                self.active.set()
                await leadership.lost.wait()
            except StoreError as error:
                log.warning("elected_start_failed", role=self._role, error=str(error))
                await asyncio.sleep(PAUSE)
            finally:
                self.active.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(STOP_TIMEOUT / 2):
                        await service.stop()
            await self._election.resign()
