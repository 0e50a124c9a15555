"""The operations of the API on a store: each one transaction, or one consistent read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from tungsten.api import (
    access,
    actions,
    authority,
    collections,
    defaults,
    errors,
    listing,
    objects,
    quotas,
    references,
    views,
)
from tungsten.api.bodies import Json
from tungsten.api.callers import CALLER, SYSTEM, Caller
from tungsten.api.errors import ApiFault
from tungsten.api.preconditions import Tags, require_match
from tungsten.api.queries import ListQuery
from tungsten.api.resources import secrets
from tungsten.api.transactions import DRAFTED, Write, timestamp
from tungsten.api.vault import Vault
from tungsten.api.views import Hrefs
from tungsten.model import Resource, ResourceType
from tungsten.store.base import (
    Embedded,
    Snapshot,
    Store,
    StoreError,
    StoreUnavailable,
    StoreUnusable,
    Transaction,
)
from tungsten.store.origin import Origin
from tungsten.store.staleness import READ_AGE

T = TypeVar("T")

PROBE_AGE = 1.0
"""Seconds for which the store is believed to take changes since it last took one."""

_BROKEN = (StoreUnavailable, StoreUnusable)


@dataclass(frozen=True, slots=True)
class Showing:
    """How an object is shown: with ``fields`` only or all, with what is computed from others."""

    hrefs: Hrefs
    fields: tuple[str, ...] | None
    with_children: bool
    with_back_references: bool


def show(
    snapshot: Snapshot, caller: Caller, declared: ResourceType, uuid: str, how: Showing
) -> Json:
    """An object as a caller reads it. Raises NotFound, Forbidden."""
    record = snapshot.get(uuid)
    if record is None:
        raise errors.unknown_id(uuid)
    if record.type != declared.name:
        raise errors.wrong_type(declared.name, uuid)
    authority.require_record(snapshot, caller, record, authority.READ)
    if how.fields is not None:
        mirror = references.Mirror(snapshot, declared)
        shown = views.selected(snapshot, record, how.hrefs, how.fields, mirror)
    else:
        shown = views.full(
            snapshot,
            record,
            how.hrefs,
            with_children=how.with_children,
            with_back_references=how.with_back_references,
        )
    return authority.without_unseen(snapshot, caller, shown)


class Engine:
    """What the API does, without HTTP; it refuses by raising ApiFault.

    ``failure`` is why the store could not be used the last time, or empty.
    """

    def __init__(
        self,
        store: Store,
        *,
        drop_unknown: bool = False,
        quota: Mapping[str, int] | None = None,
        refuse_stale: bool = False,
        vault: Vault | None = None,
    ) -> None:
        self.store = store
        self.embedded = store if isinstance(store, Embedded) else None
        self.quota = quota or {}
        self.failure = ""
        self._probed_until = 0.0
        self.drop_unknown = drop_unknown
        self.refuse_stale = refuse_stale
        self.vault = vault

    async def write(self, fn: Callable[[Write], T], *, brief: bool = False) -> T:
        """Run ``fn`` as one transaction; ``brief`` when it is likely to read and write little."""
        run = self._running(fn, CALLER.get())
        try:
            if brief and self.embedded is not None:
                result, drafted = await self.embedded.brief(run)
            else:
                result, drafted = await self.store.transact(run)
        except StoreError as error:
            raise self._refused(error) from error
        self.failure = ""
        if drafted:
            DRAFTED.set(True)
        return result

    def begin_create(
        self, declared: ResourceType, fields: Json, origin: Origin
    ) -> asyncio.Future[tuple[Resource, bool]]:
        """Create an object for those who may do everything, on an embedded store.

        :meth:`outcome` tells how it ended.
        """
        assert self.embedded is not None
        return self.embedded.begin(self._running(self._creating(declared, fields), SYSTEM), origin)

    def outcome(self, ended: asyncio.Future[tuple[T, bool]]) -> tuple[T, bool]:
        """What came of a transaction that was begun, and whether it wrote to a draft."""
        try:
            result = ended.result()
        except StoreError as error:
            raise self._refused(error) from error
        self.failure = ""
        return result

    def _running(
        self, fn: Callable[[Write], T], caller: Caller
    ) -> Callable[[Transaction], tuple[T, bool]]:
        """``fn`` as a transaction of a caller; it tells too whether it wrote to a draft."""

        def run(tx: Transaction) -> tuple[T, bool]:
            write = Write(tx, timestamp(), caller, self.quota, vault=self.vault)
            return fn(write), write.drafted

        return run

    def _refused(self, error: StoreError) -> ApiFault:
        """The store did not take a transaction."""
        self.failure = str(error) if isinstance(error, _BROKEN) else ""
        self._probed_until = 0.0
        return errors.of_store(error)

    async def read(self, fn: Callable[[Snapshot], T]) -> T:
        """Run ``fn`` on one consistent state of the store."""
        try:
            result = await self.store.glance(fn)
        except StoreError as error:
            self.failure = str(error)
            raise errors.of_store(error) from error
        age = READ_AGE.get()
        self.failure = "" if age is None else f"not known to be current for {age:.0f} s"
        if age is not None and self.refuse_stale:
            raise errors.stale(age)
        return result

    async def probe(self) -> None:
        """Make sure that changes can be committed now; asked again, within PROBE_AGE seconds.

        A store that others write too shows that by reading: it asks them.
        """
        if self.embedded is None or time.monotonic() < self._probed_until:
            return
        try:
            await self.embedded.probe()
        except StoreError as error:
            self.failure = str(error)
            raise errors.of_store(error) from error
        self._probed_until = time.monotonic() + PROBE_AGE

    async def ensure_defaults(self) -> list[str]:
        """Make the default objects that are missing."""

        def run(write: Write) -> list[str]:
            made = defaults.ensure(replace(write, quota={}))
            quotas.settle_default_project(write, defaults.PROJECT)
            return made

        return await self.write(run)

    async def seal_stored(self) -> tuple[int, int]:
        """Encrypt the secrets that are not yet, or not with the newest key.

        How many objects were written, and how many values no key of ours decrypts.
        """
        return await self.write(secrets.seal_stored)

    async def create(self, declared: ResourceType, fields: Json) -> Resource:
        """Create an object."""
        return await self.write(self._creating(declared, fields), brief=True)

    def _creating(self, declared: ResourceType, fields: Json) -> Callable[[Write], Resource]:
        drop = self.drop_unknown
        return lambda write: objects.create(write, declared, fields, drop=drop)

    async def show(self, declared: ResourceType, uuid: str, how: Showing) -> Json:
        """An object as clients read it."""
        caller = CALLER.get()
        return await self.read(lambda snapshot: show(snapshot, caller, declared, uuid, how))

    async def update(
        self, declared: ResourceType, uuid: str, fields: Json, match: Tags | None = None
    ) -> Resource:
        """Change an object, if it is in the state that ``match`` names."""
        drop = self.drop_unknown

        def run(write: Write) -> Resource:
            seen = None if match is None else write.tx.get(uuid)
            changed = objects.update(write, declared, uuid, fields, drop=drop)
            require_match(seen, match)  # last: it tells about the object, to who may change it
            return changed

        return await self.write(run, brief=True)

    async def delete(
        self, declared: ResourceType, uuid: str, base: str, match: Tags | None = None
    ) -> None:
        """Delete an object, if it is in the state that ``match`` names."""

        def run(write: Write) -> None:
            seen = None if match is None else write.tx.get(uuid)
            objects.delete(write, declared, uuid, base)
            require_match(seen, match)

        await self.write(run, brief=True)

    async def list(self, declared: ResourceType, query: ListQuery, hrefs: Hrefs) -> Json:
        """Objects of a type."""
        caller = CALLER.get()
        return await self.read(
            lambda snapshot: listing.listed(snapshot, declared, query, hrefs, caller)
        )

    async def name_to_id(self, body: Json) -> Json:
        """The uuid of a name."""
        caller = CALLER.get()

        def run(snapshot: Snapshot) -> Json:
            found = actions.name_to_id(snapshot, body)
            _check_read(snapshot, caller, found["uuid"])
            return found

        return await self.read(run)

    async def id_to_name(self, body: Json) -> Json:
        """The name of a uuid."""
        caller = CALLER.get()

        def run(snapshot: Snapshot) -> Json:
            found = actions.id_to_name(snapshot, body)
            _check_read(snapshot, caller, body["uuid"])
            return found

        return await self.read(run)

    async def ref_update(self, body: Json) -> Json:
        """Add or remove one reference."""
        return await self.write(lambda write: actions.ref_update(write, body), brief=True)

    async def set_tag(self, body: Json) -> Json:
        """Set tags of an object."""
        return await self.write(lambda write: actions.set_tag(write, body))

    async def chown(self, body: Json) -> Json:
        """Give an object to another project."""
        return await self.write(lambda write: access.chown(write, body))

    async def chmod(self, body: Json) -> Json:
        """Say who may do what with an object."""
        return await self.write(lambda write: access.chmod(write, body))

    async def collection_get(self, query: dict[str, str]) -> Json:
        """Elements of list and map properties."""
        caller = CALLER.get()

        def run(snapshot: Snapshot) -> Json:
            found = collections.get(snapshot, query)
            _check_read(snapshot, caller, query["uuid"])
            return found

        return await self.read(run)

    async def collection_update(self, body: Json) -> None:
        """Change elements of list and map properties."""
        await self.write(lambda write: collections.update(write, body))


def _check_read(snapshot: Snapshot, caller: Caller, uuid: str) -> None:
    record = snapshot.get(uuid)
    if record is not None:
        authority.require_record(snapshot, caller, record, authority.READ)
