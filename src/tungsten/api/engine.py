"""The operations of the API on a store: each one transaction, or one consistent read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
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
from tungsten.api.callers import CALLER, Caller
from tungsten.api.queries import ListQuery
from tungsten.api.transactions import DRAFTED, Write, timestamp
from tungsten.api.views import Hrefs
from tungsten.model import Resource, ResourceType
from tungsten.store.base import (
    Snapshot,
    Store,
    StoreError,
    StoreUnavailable,
    StoreUnusable,
    Transaction,
)
from tungsten.store.staleness import READ_AGE

T = TypeVar("T")

_BROKEN = (StoreUnavailable, StoreUnusable)


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
    ) -> None:
        self.store = store
        self.quota = quota or {}
        self.failure = ""
        self.drop_unknown = drop_unknown
        self.refuse_stale = refuse_stale

    async def write(self, fn: Callable[[Write], T]) -> T:
        """Run ``fn`` as one transaction."""

        caller = CALLER.get()

        def run(tx: Transaction) -> tuple[T, bool]:
            write = Write(tx, timestamp(), caller, self.quota)
            return fn(write), write.drafted

        try:
            result, drafted = await self.store.transact(run)
        except StoreError as error:
            self.failure = str(error) if isinstance(error, _BROKEN) else ""
            raise errors.of_store(error) from error
        self.failure = ""
        if drafted:
            DRAFTED.set(True)
        return result

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

    async def ensure_defaults(self) -> list[str]:
        """Make the default objects that are missing."""

        def run(write: Write) -> list[str]:
            made = defaults.ensure(replace(write, quota={}))
            quotas.settle_default_project(write, defaults.PROJECT)
            return made

        return await self.write(run)

    async def create(self, declared: ResourceType, fields: Json) -> Resource:
        """Create an object."""
        drop = self.drop_unknown
        return await self.write(lambda write: objects.create(write, declared, fields, drop=drop))

    async def show(
        self,
        declared: ResourceType,
        uuid: str,
        hrefs: Hrefs,
        fields: tuple[str, ...] | None,
        *,
        with_children: bool,
        with_back_references: bool,
    ) -> Json:
        """An object as clients read it, with ``fields`` only or all."""
        caller = CALLER.get()

        def run(snapshot: Snapshot) -> Json:
            record = snapshot.get(uuid)
            if record is None:
                raise errors.unknown_id(uuid)
            if record.type != declared.name:
                raise errors.wrong_type(declared.name, uuid)
            authority.require_record(snapshot, caller, record, authority.READ)
            if fields is not None:
                mirror = references.Mirror(snapshot, declared)
                shown = views.selected(snapshot, record, hrefs, fields, mirror)
            else:
                shown = views.full(
                    snapshot,
                    record,
                    hrefs,
                    with_children=with_children,
                    with_back_references=with_back_references,
                )
            return authority.without_unseen(snapshot, caller, shown)

        return await self.read(run)

    async def update(self, declared: ResourceType, uuid: str, fields: Json) -> Resource:
        """Change an object."""
        drop = self.drop_unknown
        return await self.write(
            lambda write: objects.update(write, declared, uuid, fields, drop=drop)
        )

    async def delete(self, declared: ResourceType, uuid: str, base: str) -> None:
        """Delete an object."""
        await self.write(lambda write: objects.delete(write, declared, uuid, base))

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
        return await self.write(lambda write: actions.ref_update(write, body))

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
