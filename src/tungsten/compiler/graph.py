"""The configuration as queries see it: what people wrote, read through the engine.

The graph mirrors the records of a store. It has two faces:

* for queries, the methods of :class:`Graph` that report what is read to the engine. They show
  *intent* only: records without provenance, and of other records nothing. So a query cannot
  read what the compiler itself derived, and its result is a function of what people wrote.
* for the output, :meth:`Graph.record` and :meth:`Graph.find`: the stored records, all of them,
  untracked.

Granularity. A read of a resource's field depends on that field of that resource; a read of a
collection (all of a type, children, referrers by field) on the collection's members. Updating a
record therefore disturbs only queries that read a field whose value is another now, and
writing what was there disturbs none.

The keys of inputs are tuples that begin with the kind: ``("field", uuid, name)``,
``("exists", uuid)``, ``("all", type)``, ``("named", type, fq_name)``,
``("children", uuid, type)``, ``("referrers", uuid, type, field)``, ``("claim", space, owner)``.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, TypeVar, cast

from tungsten.compiler.engine import Engine
from tungsten.compiler.pools import Allocations, Pool
from tungsten.model import ModelError, Resource, type_of
from tungsten.store.base import Record
from tungsten.store.records import from_record

R = TypeVar("R", bound=Resource)

#: How many decoded resources are kept at hand.
_KEPT = 4096


class _Reading:
    """A resource whose fields tell the engine when they are read."""

    __slots__ = ("_graph", "_uuid")

    def __init__(self, graph: Graph, uuid: str) -> None:
        self._graph = graph
        self._uuid = uuid

    def __getattr__(self, name: str) -> Any:
        return self._graph.read_field(self._uuid, name)


class Graph:
    """Records of a store, indexed as queries need them.

    Changed by :meth:`put` and :meth:`remove` only, between the engine's walks.
    """

    def __init__(self) -> None:
        self.engine = Engine()
        self.allocations = Allocations(self.engine)
        self._records: dict[str, Record] = {}
        self._names: dict[tuple[str, tuple[str, ...]], str] = {}
        self._types: dict[str, dict[str, None]] = {}
        self._children: dict[tuple[str, str], dict[str, None]] = {}
        self._referrers: dict[tuple[str, str, str], dict[str, None]] = {}
        self._decoded: OrderedDict[str, Resource] = OrderedDict()

    # What queries read.

    def get(self, cls: type[R], uuid: str) -> R | None:
        """The resource of a class with this uuid, for reading; None when there is none.

        Each field that is read is noted. The values belong to the graph: do not change them.
        """
        self.engine.read(("exists", uuid))
        record = self._records.get(uuid)
        if record is None or record.provenance or record.type != type_name(cls):
            return None
        return cast(R, _Reading(self, uuid))

    def read_field(self, uuid: str, name: str) -> Any:
        """A field of a resource that exists. Raises ModelError when it cannot be decoded."""
        # The name is the last of the fq_name, which never changes.
        self.engine.read(("field", uuid, "fq_name" if name == "name" else name))
        return getattr(self._resource(uuid), name)

    def named(self, cls: type[Resource], fq_name: tuple[str, ...]) -> str | None:
        """The uuid of the resource of this name."""
        type_ = type_name(cls)
        self.engine.read(("named", type_, fq_name))
        uuid = self._names.get((type_, fq_name))
        return uuid if uuid is not None and not self._records[uuid].provenance else None

    def all(self, cls: type[Resource]) -> tuple[str, ...]:
        """The uuids of all resources of a class, sorted."""
        type_ = type_name(cls)
        self.engine.read(("all", type_))
        return tuple(sorted(self._types.get(type_, ())))

    def children(self, cls: type[Resource], parent: str) -> tuple[str, ...]:
        """The uuids of the resources of a class below ``parent``, sorted."""
        type_ = type_name(cls)
        self.engine.read(("children", parent, type_))
        return tuple(sorted(self._children.get((parent, type_), ())))

    def referrers(self, cls: type[Resource], field: str, target: str) -> tuple[str, ...]:
        """The uuids of the resources of a class that refer to ``target`` by ``field``, sorted."""
        type_ = type_name(cls)
        self.engine.read(("referrers", target, type_, field))
        return tuple(sorted(self._referrers.get((target, type_, field), ())))

    def allocated(self, pool: Pool, owner: str) -> int | None:
        """The number of a pool that a resource holds; None while it holds none.

        A query that needs one says so with a :class:`~tungsten.compiler.derived.Claim`.
        """
        return self.allocations.read(pool, owner)

    # What the output reads.

    def record(self, uuid: str) -> Record | None:
        """The stored record of this uuid, derived or not. Not for queries."""
        return self._records.get(uuid)

    def find(self, type_: str, fq_name: tuple[str, ...]) -> Record | None:
        """The stored record of this name, derived or not. Not for queries."""
        uuid = self._names.get((type_, fq_name))
        return None if uuid is None else self._records[uuid]

    def records(self) -> list[Record]:
        """All stored records. Not for queries."""
        return list(self._records.values())

    # What changes it.

    def put(self, record: Record) -> None:
        """A record was created or has another state."""
        old = self._records.get(record.uuid)
        if old is not None and (old.type, old.fq_name) != (record.type, record.fq_name):
            self.remove(record.uuid)
            old = None
        self._records[record.uuid] = record
        self._names[(record.type, record.fq_name)] = record.uuid
        before = old if old is not None and not old.provenance else None
        after = record if not record.provenance else None
        if before is not None and after is not None:
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
        if self._names.get((record.type, record.fq_name)) == uuid:
            del self._names[(record.type, record.fq_name)]
        self._decoded.pop(uuid, None)
        if not record.provenance:
            self._leave(record)
        self.allocations.forget(uuid)

    def _enter(self, record: Record | None) -> None:
        if record is None:
            return
        self._types.setdefault(record.type, {})[record.uuid] = None
        if record.parent is not None:
            self._children.setdefault((record.parent, record.type), {})[record.uuid] = None
        for edge in record.edges:
            self._refer(record, edge.target, edge.field)
        self._came_or_went(record)

    def _leave(self, record: Record | None) -> None:
        if record is None:
            return
        _discard(self._types, record.type, record.uuid)
        if record.parent is not None:
            _discard(self._children, (record.parent, record.type), record.uuid)
        for edge in record.edges:
            self._unrefer(record, edge.target, edge.field)
        self._came_or_went(record)

    def _came_or_went(self, record: Record) -> None:
        self.engine.changed(("exists", record.uuid))
        self.engine.changed(("all", record.type))
        self.engine.changed(("named", record.type, record.fq_name))
        if record.parent is not None:
            self.engine.changed(("children", record.parent, record.type))

    def _compare(self, old: Record, new: Record) -> None:
        """Report the fields and edges that differ between two states of a record."""
        before = self._decoded.pop(old.uuid, None) or _decode(old)
        after = _decode(new)
        if before is None or after is None:
            names = {name for r in (before, after) if r is not None for name in _fields(r)}
        else:
            names = {n for n in _fields(after) if getattr(before, n) != getattr(after, n)}
        for name in names:
            self.engine.changed(("field", new.uuid, name))
        if before is None and after is None and old.body != new.body:
            # Unreadable before and now, perhaps for another reason: whoever failed tries again.
            self.engine.changed(("exists", new.uuid))
        gone = {(e.field, e.target) for e in old.edges}
        come = {(e.field, e.target) for e in new.edges}
        for field, target in gone - come:
            self._unrefer(new, target, field)
        for field, target in come - gone:
            self._refer(new, target, field)

    def _refer(self, record: Record, target: str, field: str) -> None:
        key = (target, record.type, field)
        self._referrers.setdefault(key, {})[record.uuid] = None
        self.engine.changed(("referrers", *key))

    def _unrefer(self, record: Record, target: str, field: str) -> None:
        key = (target, record.type, field)
        _discard(self._referrers, key, record.uuid)
        self.engine.changed(("referrers", *key))

    def _resource(self, uuid: str) -> Resource:
        resource = self._decoded.get(uuid)
        if resource is None:
            resource = self._decoded[uuid] = from_record(self._records[uuid])
            if len(self._decoded) > _KEPT:
                self._decoded.popitem(last=False)
        return resource


def _decode(record: Record) -> Resource | None:
    """The resource of a record; None when the model refuses it (those who read it fail)."""
    try:
        return from_record(record)
    except ModelError:
        return None


def type_name(cls: type[Resource]) -> str:
    """The dashed name of a resource class."""
    name = _TYPE_NAMES.get(cls)
    if name is None:
        name = _TYPE_NAMES[cls] = type_of(cls()).name
    return name


_TYPE_NAMES: dict[type[Resource], str] = {}


def _fields(resource: Resource) -> tuple[str, ...]:
    return resource.__struct_fields__


K = TypeVar("K")


def _discard(index: dict[K, dict[str, None]], key: K, uuid: str) -> None:
    """Take a uuid out of an index, and the entry with the last of it."""
    members = index.get(key)
    if members is not None:
        members.pop(uuid, None)
        if not members:
            del index[key]
