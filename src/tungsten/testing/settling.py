"""Waiting for followers of a store without guessing how long they need."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tungsten.compiler.service import CompilerService
from tungsten.store.base import Store


class Unsettled(AssertionError):
    """The follower did not come to rest in time."""


class HasRevision(Protocol):
    """A follower that tells the newest commit it has worked on."""

    @property
    def revision(self) -> int: ...


async def revision(store: Store) -> int:
    """The store's newest revision."""
    return await store.read(lambda snapshot: snapshot.revision)


async def settled(store: Store, compiler: CompilerService, seconds: float = 10.0) -> int:
    """Wait until the compiler has compiled the newest commit and has nothing to write.

    Its own writes are commits too, so it is at rest when the newest commit, compiled, led to
    no other. Returns that commit's revision.
    """
    try:
        async with asyncio.timeout(seconds):
            while True:
                newest = await revision(store)
                if compiler.status.revision >= newest and compiler.idle:
                    return newest
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise Unsettled(
            f"after {seconds} s the compiler is at revision {compiler.status.revision} of"
            f" {await revision(store)}, with {len(compiler.compiler.dirty())} keys to look at"
        ) from None
