"""The declarative operations on an engine: apply, plan, history, past.

They stand beside :class:`~tungsten.api.engine.Engine` as functions of it: one transaction, or
one read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from tungsten.api import intent, past, plan
from tungsten.api.bodies import Json
from tungsten.api.callers import CALLER
from tungsten.api.engine import Engine
from tungsten.api.errors import Forbidden, of_store
from tungsten.api.transactions import Write, timestamp
from tungsten.store.base import Snapshot, StoreError
from tungsten.store.overlay import Overlay

_COMPILING: WeakKeyDictionary[Engine, asyncio.Lock] = WeakKeyDictionary()
"""Who is compiling a plan, one at a time of an engine."""


async def apply(engine: Engine, body: Json, base: str) -> Json:
    """``POST /apply``: make the configuration say what documents say."""
    asked = intent.read(body)
    drop = engine.drop_unknown
    return {"objects": await engine.write(lambda w: intent.run(w, asked, base, drop=drop))}


async def foretell(engine: Engine, body: Json, base: str) -> Json:
    """``POST /plan``: what that would change, and what would be compiled from it."""
    doing = plan.read(body, base, drop=engine.drop_unknown)
    compiling, caller = plan.wants_compiling(body), CALLER.get()

    def run(snapshot: Snapshot) -> Json:
        write = Write(Overlay(snapshot), timestamp(), caller, engine.quota, vault=engine.vault)
        return plan.run(write, doing, compiling=compiling)

    if not compiling:
        return await engine.read(run)
    # It keeps one of the store's few readers busy for as long as everything takes to compile, and
    # never the event loop, however little there is to read.
    async with _COMPILING.setdefault(engine, asyncio.Lock()):
        try:
            return await engine.store.read(run)
        except StoreError as error:
            raise of_store(error) from error


async def changes(engine: Engine, query: Mapping[str, str]) -> Json:
    """``GET /history``: what changed when."""
    _check_sees_all()
    return await past.changes(engine.store, query)


async def stood(engine: Engine, query: Mapping[str, str]) -> Json:
    """``GET /past``: how objects stood at a revision."""
    _check_sees_all()
    return await past.stood(engine.store, query)


def _check_sees_all() -> None:
    """Who may see an object may have changed since, so the past is for those who see all."""
    if not CALLER.get().sees_all:
        raise Forbidden("The past is told to administrators and readers of everything only")
