"""Electing who does what only one may do: the compiler, among processes on one cluster store.

A role is a key in etcd that only one can create; it hangs on a lease that its owner renews. When
the owner is gone, the lease runs out, the key goes, and another creates it anew.

A lease is no mutual exclusion: an owner that was suspended may wake up after its time and go on
writing. So what an elected one writes is *fenced*: each of its transactions carries the condition
that the role's key is still the one it created (:class:`ElectedStore`). When it is not, etcd
refuses the transaction, whatever the owner believes, and it gets :class:`LeadershipLost`.

All times are of the monotonic clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TypeVar

import structlog
from aetcd.rpc import rpc_pb2 as pb

from tungsten.store.base import Commit, Record, Snapshot, StoreError, StoreUnavailable, Transaction
from tungsten.store.etcd import EtcdStore, GuardFailed
from tungsten.store.etcd_transaction import absent, get

T = TypeVar("T")

#: Seconds that a role stays with one who does not renew it any more.
TTL = 5

#: Seconds between two looks whether a role is free.
LOOK = 0.5

log = structlog.get_logger("tungsten.store")


class LeadershipLost(StoreError):
    """A transaction of one who is no longer elected. Nothing has changed."""


class Leadership:
    """Being elected: from the creation of the role's key until :attr:`lost`."""

    def __init__(self, role: str, key: bytes, revision: int, lease: int) -> None:
        self.role = role
        self.key = key
        self.revision = revision
        self.lease = lease
        #: set when it is over, or when it cannot be known that it is not
        self.lost = asyncio.Event()


class Election:
    """A candidate for a role. Used from one event loop."""

    def __init__(self, store: EtcdStore, role: str, name: str, *, ttl: int = TTL) -> None:
        """``name`` tells others who is elected."""
        self._store = store
        self._role = role
        self._key = store.keys.role(role)
        self._name = name
        self._ttl = ttl
        self._renewing: asyncio.Task[None] | None = None
        self._leadership: Leadership | None = None

    async def leader(self) -> str | None:
        """The name of who is elected. Raises StoreUnavailable."""
        answer = await self._store.ask("KV", "Range", pb.RangeRequest(key=self._key))
        return answer.kvs[0].value.decode() if answer.kvs else None

    async def lead(self) -> Leadership:
        """Wait until elected. While etcd does not answer, go on trying."""
        while True:
            try:
                leadership = await self._try()
            except StoreUnavailable as error:
                log.warning("election_waits", role=self._role, error=str(error))
                leadership = None
            if leadership is not None:
                self._leadership = leadership
                self._renewing = asyncio.create_task(self._renew(leadership))
                log.info("elected", role=self._role, name=self._name, revision=leadership.revision)
                return leadership
            await asyncio.sleep(LOOK)

    async def _try(self) -> Leadership | None:
        if await self.leader() is not None:
            return None
        began = time.monotonic()
        grant = pb.LeaseGrantRequest(TTL=self._ttl)
        lease = (await self._store.ask("Lease", "LeaseGrant", grant)).ID
        value = self._name.encode()
        create = pb.TxnRequest(
            compare=[absent(self._key)],
            success=[
                pb.RequestOp(request_put=pb.PutRequest(key=self._key, value=value, lease=lease))
            ],
            failure=[get(self._key)],
        )
        answer = await self._store.ask("KV", "Txn", create)
        revision = answer.header.revision
        if not answer.succeeded:
            found = answer.responses[0].response_range.kvs
            if not found or found[0].lease != lease:
                return None
            revision = found[0].create_revision  # an earlier try got through unanswered
        if time.monotonic() - began > self._ttl:
            return None
        return Leadership(self._role, self._key, revision, lease)

    async def _renew(self, leadership: Leadership) -> None:
        """Renew the lease until it is lost, or nobody can say that it is not."""
        until = time.monotonic() + self._ttl
        while time.monotonic() < until:
            await asyncio.sleep(self._ttl / 5)
            sent = time.monotonic()
            try:
                lives = await self._store.keep_alive(leadership.lease)
            except StoreError as error:
                log.warning("election_not_renewed", role=self._role, error=str(error))
                continue
            if lives <= 0:
                break
            until = sent + lives
        log.error("leadership_lost", role=self._role, name=self._name)
        leadership.lost.set()

    async def resign(self) -> None:
        """Give the role up at once, so that another need not wait. Again is no error."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None
        if self._leadership is not None:
            leadership, self._leadership = self._leadership, None
            leadership.lost.set()
            request = pb.LeaseRevokeRequest(ID=leadership.lease)
            with suppress(StoreError):  # it runs out by itself
                await self._store.ask("Lease", "LeaseRevoke", request, 2.0)


class ElectedStore:
    """The store as an elected one sees it: its writes hold only while it is elected."""

    def __init__(self, store: EtcdStore, leadership: Leadership) -> None:
        self._store = store
        self._leadership = leadership

    async def read(self, fn: Callable[[Snapshot], T]) -> T:
        """As the store's."""
        return await self._store.read(fn)

    async def glance(self, fn: Callable[[Snapshot], T]) -> T:
        """As the store does."""
        return await self._store.glance(fn)

    async def transact(self, fn: Callable[[Transaction], T]) -> T:
        """As the store's; raises LeadershipLost."""
        guard = (self._leadership.key, self._leadership.revision)
        try:
            return await self._store.transact_guarded(fn, [guard])
        except GuardFailed as error:
            self._leadership.lost.set()
            raise LeadershipLost(
                f"the role {self._leadership.role} is no longer ours: {error}"
            ) from error

    async def load(self) -> tuple[int, list[Record]]:
        """As the store's."""
        return await self._store.load()

    async def scan(self, fn: Callable[[Snapshot, Iterator[Record]], T]) -> T:
        """As the store's."""
        return await self._store.scan(fn)

    def watch(self, after: int) -> AsyncIterator[Commit]:
        """As the store's."""
        return self._store.watch(after)

    async def close(self) -> None:
        """The store is its opener's, and stays open."""
