"""What a write sees while its transaction runs.

A request that changes something is one function run by the store as one transaction. It gets
a :class:`Write`: the transaction, and resources instead of records. The store may run the
function again, so a Write belongs to one run and nothing outside it changes before the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar

from tungsten.api import audiences
from tungsten.api.callers import SYSTEM, Caller
from tungsten.api.vault import Vault
from tungsten.model import Resource, type_of
from tungsten.store.base import Record, Snapshot, Transaction
from tungsten.store.records import from_record, to_record

R = TypeVar("R", bound=Resource)

DRAFTED: ContextVar[bool] = ContextVar("drafted", default=False)
"""Whether the request that is being answered wrote to a draft."""


def timestamp() -> str:
    """Now, as the API writes times: UTC, ISO 8601, six digits of the second, no zone."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def display(resource: Resource) -> str:
    """An object as error texts name it: ``Virtual Network a:b(uuid)``."""
    words = type_of(resource).name.replace("-", " ").title()
    return f"{words} {':'.join(resource.fq_name)}({resource.uuid})"


def load(snapshot: Snapshot, cls: type[R], uuid: str) -> R | None:
    """The resource of a class with this uuid."""
    record = snapshot.get(uuid)
    resource = None if record is None else from_record(record)
    return resource if isinstance(resource, cls) else None


@lru_cache(maxsize=256)
def shared(record: Record) -> Resource:
    """The resource of a record, the same for all who ask: to be read, never to be changed.

    What most new objects are below or refer to is so decoded once for each of its states.
    """
    return from_record(record)


def find(snapshot: Snapshot, cls: type[R], type_: str, fq_name: Iterable[str]) -> R | None:
    """The resource of a class with this name."""
    record = snapshot.find(type_, tuple(fq_name))
    resource = None if record is None else from_record(record)
    return resource if isinstance(resource, cls) else None


@dataclass(slots=True)
class Write:
    """One run of one transaction: the store's view, the time that it happens at, who asks.

    ``quota`` is how many objects projects may have that do not say themselves. ``drafted`` says
    that something was written to a draft, which holds once it is reviewed. ``vault`` encrypts
    secrets; without one none are taken.
    """

    tx: Transaction
    now: str
    caller: Caller = SYSTEM
    quota: Mapping[str, int] = field(default_factory=dict)
    drafted: bool = False
    vault: Vault | None = None

    def load(self, cls: type[R], uuid: str) -> R | None:
        """The resource of a class with this uuid, own writes included."""
        return load(self.tx, cls, uuid)

    def look_at(self, cls: type[R], uuid: str) -> R | None:
        """The same to be read only (:func:`shared`)."""
        record = self.tx.get(uuid)
        resource = None if record is None else shared(record)
        return resource if isinstance(resource, cls) else None

    def referrers(self, cls: type[R], uuid: str, type_: str) -> Iterator[R]:
        """The resources of a type that refer to this uuid."""
        for record in self.tx.referrers(uuid, type_):
            resource = from_record(record)
            if isinstance(resource, cls):
                yield resource

    def add(self, resource: Resource) -> None:
        """Store a new object."""
        self.tx.create(to_record(resource))
        audiences.note_new(self.tx, resource)

    def save(self, resource: Resource, record: Record) -> None:
        """Replace ``record`` by the resource's new state; what it was derived from stays."""
        audiences.note_changed(self.tx, record, resource)
        self.tx.update(to_record(resource, record.provenance))

    def touch(self, resource: Resource) -> None:
        """Note that the resource changed now."""
        if resource.id_perms is not None:
            resource.id_perms.last_modified = self.now
