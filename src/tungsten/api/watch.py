"""``GET /watch``: changes of objects as server-sent events.

The stream begins with one ``init`` event for each type asked for, all objects of one consistent
state; then comes an event for each change, in the order of the commits. The last event of each
commit, and the last ``init``, has the store's revision as its ``id``: a client that knows it has
everything up to it, wherever its stream breaks. One that comes back with ``Last-Event-ID`` gets
what it missed instead of ``init``, unless the store does not know that place (any more).

A reader is sent what it may see, until its token expires; what it may not see any more is deleted
to it.

A reader that falls too far behind is sent ``stop`` and its stream ends; others never wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

import msgspec
import structlog

from tungsten.api import authority, errors, objects, views
from tungsten.api.bodies import Json
from tungsten.api.callers import SYSTEM, Caller
from tungsten.api.errors import BadRequest, NotFound
from tungsten.api.references import Mirror
from tungsten.api.views import Hrefs
from tungsten.model import ResourceType
from tungsten.store.base import (
    Change,
    ChangeKind,
    Commit,
    Compacted,
    Record,
    Snapshot,
    Store,
    StoreError,
)

log = structlog.get_logger("tungsten.api")

EVENTS = {
    ChangeKind.CREATED: "create",
    ChangeKind.UPDATED: "update",
    ChangeKind.DELETED: "delete",
}


def asked_types(text: str | None) -> list[ResourceType]:
    """The types that a watch asks for, underscored or dashed. Raises BadRequest, NotFound."""
    if not text:
        raise BadRequest("resource_type required in request")
    found = []
    for name in text.split(","):
        try:
            found.append(objects.typed_any(name))
        except errors.NotFound:
            raise NotFound(f"Invalid Contrail resource type:'{errors.echo(name)}'") from None
    return found


def event(name: str, data: Json) -> bytes:
    """One server-sent event without an id."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))


def numbered(events: list[bytes], revision: int) -> list[bytes]:
    """Events that belong together: the last one tells the revision that all of them reach."""
    return [*events[:-1], b"id: %d\n%s" % (revision, events[-1])] if events else []


class Watch:
    """One stream of events to one client."""

    def __init__(
        self,
        store: Store,
        types: list[ResourceType],
        fields: dict[str, tuple[str, ...]],
        hrefs: Hrefs,
        *,
        keepalive: float,
        limit: int,
        caller: Caller = SYSTEM,
    ) -> None:
        self._store = store
        self._caller = caller
        self._seen: set[str] = set()
        self._types = {one.name: one for one in types}
        self._fields = fields
        self._hrefs = hrefs
        self._keepalive = keepalive
        self._copied = False
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(limit)

    async def stream(self, after: int | None) -> AsyncGenerator[bytes, None]:
        """The events; from the commit after ``after``, or from all objects when None."""
        if after is None:
            revision, events = await self._store.read(self._init)
            for one in events:
                yield one
        else:
            revision = after
        follower = asyncio.create_task(self._follow(revision, named=after is not None))
        try:
            while True:
                left = self._caller.expires - time.time()
                try:
                    async with asyncio.timeout(max(0.0, min(self._keepalive, left))):
                        data = await self._queue.get()
                except TimeoutError:
                    if left > self._keepalive:
                        yield b":\n\n"
                        continue
                    data = None  # the reader's token has expired
                if data is None:
                    yield event("stop", {})
                    return
                yield data
        finally:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower

    async def _follow(self, revision: int, *, named: bool) -> None:
        """Queue what happens after a revision, until there is a reason to end the stream.

        If the client ``named`` the revision and the store forgot it, all objects come first.
        """
        try:
            try:
                await self._copy(revision)
            except Compacted:
                if not named or self._copied:
                    raise
                revision, events = await self._store.read(self._init)
                self._put(events)
                await self._copy(revision)
        except (Compacted, asyncio.QueueFull) as reason:
            log.info("watch_fell_behind", types=sorted(self._types), reason=type(reason).__name__)
            self.end()
        except StoreError as error:
            log.warning("watch_ended", types=sorted(self._types), reason=str(error))
            self.end()

    async def _copy(self, revision: int) -> None:
        async for commit in self._store.watch(revision):
            self._copied = True
            self._put(await self._events(commit))

    def _put(self, events: list[bytes]) -> None:
        for one in events:
            self._queue.put_nowait(one)

    def is_for(self, caller: Caller) -> bool:
        """Whether it is read by that user."""
        return bool(caller.user_id) and self._caller.user_id == caller.user_id

    def end(self) -> None:
        """End the stream: what was not sent yet is dropped."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def _events(self, commit: Commit) -> list[bytes]:
        changes = [one for one in commit.changes if one.record.type in self._types]
        if not changes:
            return []
        events = await self._store.read(
            lambda snapshot: [
                shown for one in changes if (shown := self._event(snapshot, one)) is not None
            ]
        )
        return numbered(events, commit.revision)

    def _may_see(self, snapshot: Snapshot, record: Record) -> bool:
        """Whether this reader may see an object; notes that it did."""
        if self._caller.sees_all:
            return True
        seen = authority.may_see(snapshot, self._caller, record)
        if seen:
            self._seen.add(record.uuid)
        else:
            self._seen.discard(record.uuid)
        return seen

    def _init(self, snapshot: Snapshot) -> tuple[int, list[bytes]]:
        events = []
        for declared in self._types.values():
            mirror = Mirror(snapshot, declared, whole=True)
            shown = [
                {declared.name: self._show(snapshot, one, mirror)}
                for one in snapshot.records(declared.name)
                if self._may_see(snapshot, one)
            ]
            events.append(event("init", {declared.plural: shown}))
        return snapshot.revision, numbered(events, snapshot.revision)

    def _event(self, snapshot: Snapshot, change: Change) -> bytes | None:
        record = change.record
        known = record.uuid in self._seen
        if not self._may_see(snapshot, record):
            gone = event(EVENTS[ChangeKind.DELETED], {record.type: {"uuid": record.uuid}})
            return gone if known else None
        if change.kind is ChangeKind.DELETED:
            data: Json = {"uuid": record.uuid}
        else:
            mirror = Mirror(snapshot, self._types[record.type])
            data = self._show(snapshot, record, mirror)
        return event(EVENTS[change.kind], {record.type: data})

    def _show(self, snapshot: Snapshot, record: Record, mirror: Mirror) -> Json:
        shown = self._whole(snapshot, record, mirror)
        return authority.without_unseen(snapshot, self._caller, shown)

    def _whole(self, snapshot: Snapshot, record: Record, mirror: Mirror) -> Json:
        fields = self._fields.get(record.type)
        if fields is None:
            return views.body(record, self._hrefs, mirror)
        shown = views.selected(snapshot, record, self._hrefs, fields, mirror)
        keep = {"uuid", "fq_name", "parent_type", "parent_uuid", *fields}
        return {key: value for key, value in shown.items() if key in keep}
