"""While nothing is asked, nothing changes.

An idle system that writes, sends updates or logs errors hides real changes and wears out
whoever watches; the cause is mostly two parts that correct each other.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from tungsten.store.base import Store

#: Something to look at: a value comparable by ``==``, or an awaitable of one.
Probe = Callable[[], Any | Awaitable[Any]]


class NotSilent(AssertionError):
    """What changed though nothing was asked: name -> (before, after)."""

    def __init__(self, seconds: float, changed: dict[str, tuple[Any, Any]]) -> None:
        lines = (f"{name}: {before!r} -> {after!r}" for name, (before, after) in changed.items())
        super().__init__(f"within {seconds} s of silence changed\n  " + "\n  ".join(lines))
        self.changed = changed


def store_revision(store: Store) -> Probe:
    """The newest revision of a store: no commit at all may happen."""

    async def probe() -> int:
        return await store.read(lambda snapshot: snapshot.revision)

    return probe


async def assert_silent(seconds: float, **probes: Probe) -> None:
    """Look at every probe, wait, look again. Raises NotSilent naming what is another now."""
    before = {name: await _look(probe) for name, probe in probes.items()}
    await asyncio.sleep(seconds)
    after = {name: await _look(probe) for name, probe in probes.items()}
    changed = {name: (before[name], after[name]) for name in probes if before[name] != after[name]}
    if changed:
        raise NotSilent(seconds, changed)


async def _look(probe: Probe) -> Any:
    value = probe()
    return await value if inspect.isawaitable(value) else value
