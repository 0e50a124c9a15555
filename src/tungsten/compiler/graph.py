"""The configuration as queries see it: what people wrote, read through the engine.

The graph mirrors the records of a store, as far as somebody reads them: of each record what
:class:`~tungsten.compiler.held.Fields` says. It has two faces:

* for queries, the methods of :class:`Graph` that report what is read to the engine. They show
  *intent* only: records without provenance, and of other records nothing. So a query cannot
  read what the compiler itself derived, and its result is a function of what people wrote.
* for the output, :meth:`Graph.record` and :meth:`Graph.find`: what is held of the stored
  records, untracked.

Granularity. A read of a resource's field depends on that field of that resource; a read of a
collection (all of a type, children, referrers by field) on the collection's members. Updating a
record therefore disturbs only queries that read a field whose value is another now, and
writing what was there disturbs none.

The keys of inputs are tuples that begin with the kind: ``("field", uuid, name)``,
``("exists", uuid)``, ``("all", type)``, ``("named", type, fq_name)``,
``("children", uuid, type)``, ``("referrers", uuid, type, field)``, ``("claim", space, owner)``.

An index (names and members of a type, children, referrers) is made when it is asked for first,
by going through all records once, and kept up to date from then on: most types need none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

from tungsten.compiler.engine import Engine
from tungsten.compiler.held import Fields, Held
from tungsten.compiler.pools import Allocations, Pool
from tungsten.model import ModelError, Resource, resource_type, type_of
from tungsten.store.base import Record

R = TypeVar("R", bound=Resource)

#: How many decoded resources are kept at hand: those that a few roots in a row read.
_KEPT = 256

#: What can be read of every resource that is held.
_IDENTITY = frozenset({"uuid", "fq_name", "parent_uuid"})


class _Reading:
    """A resource whose fields tell the engine when they are read."""

    __slots__ = ("_graph", "_uuid")

    def __init__(self, graph: Graph, uuid: str) -> None:
        self._graph = graph
        self._uuid = uuid

    def __getattr__(self, name: str) -> Any:
        return self._graph.read_field(self._uuid, name)


class _Index:
    """The uuids of some records by a key that ``keys`` finds in each; some have none."""

    __slots__ = ("_keys", "_members")

    def __init__(self, keys: Callable[[Held], Iterable[Any]], records: Iterable[Held]) -> None:
        self._keys = keys
        self._members: dict[Any, dict[str, None]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Held) -> None:
        for key in self._keys(record):
            self._members.setdefault(key, {})[record.uuid] = None

    def discard(self, record: Held) -> None:
        for key in self._keys(record):
            members = self._members.get(key)
            if members is not None:
                members.pop(record.uuid, None)
                if not members:
                    del self._members[key]

    def of(self, key: Any) -> tuple[str, ...]:
        """The members, sorted."""
        return tuple(sorted(self._members.get(key, ())))


class Graph:
    """Records of a store, indexed as queries need them.

    Changed by :meth:`put` and :meth:`remove` only, between the engine's walks.
    """

    def __init__(self, fields: Fields) -> None:
        self.engine = Engine()
        self.allocations = Allocations(self.engine)
        self._fields = fields
        self._records: dict[str, Held] = {}
        self._names: dict[str, dict[tuple[str, ...], str]] = {}
        #: by type, of intent: members, children by parent, and by field referrers by target
        self._types: dict[str, _Index] = {}
        self._children: dict[str, _Index] = {}
        self._referrers: dict[str, dict[str, _Index]] = {}
        self._decoded: OrderedDict[str, Resource] = OrderedDict()

    # What queries read.

    def get(self, cls: type[R], uuid: str) -> R | None:
        """The resource of a class with this uuid, for reading; None when there is none.

        Each field that is read is noted. The values belong to the graph: do not change them.
        """
        type_ = self._held_type(cls)
        self.engine.read(("exists", uuid))
        record = self._records.get(uuid)
        if record is None or record.provenance or record.type != type_:
            return None
        return cast(R, _Reading(self, uuid))

    def read_field(self, uuid: str, name: str) -> Any:
        """A field of a resource that exists. Raises ModelError when it cannot be decoded."""
        # The name is the last of the fq_name, which never changes.
        if name == "name":
            name = "fq_name"
            return self.read_field(uuid, name)[-1]
        record = self._records[uuid]
        if name not in _IDENTITY and name not in self._fields.of(record.type):
            raise LookupError(f"{name} of {record.type} is not held: no rule says that it is read")
        self.engine.read(("field", uuid, name))
        return getattr(self._resource(record), name)

    def named(self, cls: type[Resource], fq_name: tuple[str, ...]) -> str | None:
        """The uuid of the resource of this name."""
        type_ = self._held_type(cls)
        self.engine.read(("named", type_, fq_name))
        uuid = self._names_of(type_).get(fq_name)
        return uuid if uuid is not None and not self._records[uuid].provenance else None

    def all(self, cls: type[Resource]) -> tuple[str, ...]:
        """The uuids of all resources of a class, sorted."""
        type_ = self._held_type(cls)
        self.engine.read(("all", type_))
        index = self._types.get(type_)
        if index is None:
            index = self._types[type_] = _Index(lambda _: (None,), self._intent(type_))
        return index.of(None)

    def children(self, cls: type[Resource], parent: str) -> tuple[str, ...]:
        """The uuids of the resources of a class below ``parent``, sorted."""
        type_ = self._held_type(cls)
        self.engine.read(("children", parent, type_))
        index = self._children.get(type_)
        if index is None:
            index = self._children[type_] = _Index(_parent_of, self._intent(type_))
        return index.of(parent)

    def referrers(self, cls: type[Resource], field: str, target: str) -> tuple[str, ...]:
        """The uuids of the resources of a class that refer to ``target`` by ``field``, sorted."""
        type_ = self._held_type(cls)
        if field not in self._fields.of(type_):
            raise LookupError(f"{field} of {type_} is not held: no rule says that it is read")
        self.engine.read(("referrers", target, type_, field))
        indexes = self._referrers.setdefault(type_, {})
        if field not in indexes:
            indexes[field] = _Index(lambda held: targets_of(held, field), self._intent(type_))
        return indexes[field].of(target)

    def allocated(self, pool: Pool, owner: str) -> int | None:
        """The number of a pool that a resource holds; None while it holds none.

        A query that needs one says so with a :class:`~tungsten.compiler.derived.Claim`.
        """
        return self.allocations.read(pool, owner)

    # What the output reads.

    def record(self, uuid: str) -> Held | None:
        """What is held of the record of this uuid, derived or not. Not for queries."""
        return self._records.get(uuid)

    def find(self, type_: str, fq_name: tuple[str, ...]) -> Held | None:
        """What is held of the record of this name, derived or not. Not for queries."""
        uuid = self._names_of(type_).get(fq_name)
        return None if uuid is None else self._records[uuid]

    def records(self) -> list[Held]:
        """All that is held. Not for queries."""
        return list(self._records.values())

    def hold(self, record: Record) -> Held | None:
        """What :meth:`put` would hold of a record; None: nothing, put does nothing with it."""
        return self._fields.hold(record)

    # What changes it.

    def put(self, record: Held) -> None:
        """A record was created or has another state."""
        old = self._records.get(record.uuid)
        if old is not None and (old.type, old.fq_name) != (record.type, record.fq_name):
            self.remove(record.uuid)
            old = None
        self._records[record.uuid] = record
        names = self._names.get(record.type)
        if names is not None:
            names[record.fq_name] = record.uuid
        before = old if old is not None and not old.provenance else None
        after = record if not record.provenance else None
        if before is not None and after is not None:
            if before != after:
                self._compare(before, after)
        else:
            self._decoded.pop(record.uuid, None)
            self._leave(before)
            self._enter(after)

    def remove(self, uuid: str) -> None:
        """A record was deleted; an unknown one is no error."""
        record = self._records.pop(uuid, None)
        if record is None:
            return
        names = self._names.get(record.type, {})
        if names.get(record.fq_name) == uuid:
            del names[record.fq_name]
        self._decoded.pop(uuid, None)
        if not record.provenance:
            self._leave(record)
        self.allocations.forget(uuid)

    def _enter(self, record: Held | None) -> None:
        if record is not None:
            for index in self._indexes(record.type):
                index.add(record)
            self._came_or_went(record)

    def _leave(self, record: Held | None) -> None:
        if record is not None:
            for index in self._indexes(record.type):
                index.discard(record)
            self._came_or_went(record)

    def _came_or_went(self, record: Held) -> None:
        self.engine.changed(("exists", record.uuid))
        self.engine.changed(("all", record.type))
        self.engine.changed(("named", record.type, record.fq_name))
        if record.parent is not None:
            self.engine.changed(("children", record.parent, record.type))
        for field in self._referrers.get(record.type, ()):
            for target in targets_of(record, field):
                self.engine.changed(("referrers", target, record.type, field))

    def _compare(self, old: Held, new: Held) -> None:
        """Report the fields and edges that differ between two states of a record."""
        before = self._decoded.pop(old.uuid, None) or _decode(old)
        after = _decode(new)
        names = [*self._fields.of(new.type), *_IDENTITY]
        if before is not None and after is not None:
            names = [n for n in names if getattr(before, n) != getattr(after, n)]
        for name in names:
            self.engine.changed(("field", new.uuid, name))
        if before is None and after is None:
            # Unreadable before and now, perhaps for another reason: whoever failed tries again.
            self.engine.changed(("exists", new.uuid))
        for index in self._indexes(new.type):
            index.discard(old)
            index.add(new)
        for field in self._referrers.get(new.type, ()):
            for target in set(targets_of(old, field)) ^ set(targets_of(new, field)):
                self.engine.changed(("referrers", target, new.type, field))

    def _resource(self, record: Held) -> Resource:
        resource = self._decoded.get(record.uuid)
        if resource is None:
            resource = self._decoded[record.uuid] = record.resource()
            if len(self._decoded) > _KEPT:
                self._decoded.popitem(last=False)
        return resource

    # Indexes.

    def _held_type(self, cls: type[Resource]) -> str:
        type_ = type_name(cls)
        if type_ not in self._fields:
            raise LookupError(f"{type_} is not held: no rule says that it is read")
        return type_

    def _names_of(self, type_: str) -> dict[tuple[str, ...], str]:
        names = self._names.get(type_)
        if names is None:
            held = (record for record in self._records.values() if record.type == type_)
            names = self._names[type_] = {record.fq_name: record.uuid for record in held}
        return names

    def _intent(self, type_: str) -> Iterator[Held]:
        for record in self._records.values():
            if record.type == type_ and not record.provenance:
                yield record

    def _indexes(self, type_: str) -> Iterator[_Index]:
        for by_type in (self._types, self._children):
            if type_ in by_type:
                yield by_type[type_]
        yield from self._referrers.get(type_, {}).values()


def targets_of(record: Held, field: str) -> list[str]:
    """The uuids that a record refers to by a field; none when it cannot be read."""
    resource = _decode(record)
    if resource is None or field not in resource_type(record.type).references:
        return []
    return [ref.uuid for ref in getattr(resource, field)]


def _parent_of(record: Held) -> tuple[str, ...]:
    return () if record.parent is None else (record.parent,)


def _decode(record: Held) -> Resource | None:
    """The resource of a record; None when the model refuses it (those who read it fail)."""
    try:
        return record.resource()
    except ModelError:
        return None


def type_name(cls: type[Resource]) -> str:
    """The dashed name of a resource class."""
    name = _TYPE_NAMES.get(cls)
    if name is None:
        name = _TYPE_NAMES[cls] = type_of(cls()).name
    return name


_TYPE_NAMES: dict[type[Resource], str] = {}
