"""The compiler without its surroundings: a picture of the store in, operations out.

Data and owners. :class:`~tungsten.compiler.graph.Graph` mirrors the store's records;
:class:`~tungsten.compiler.wanted.Wanted` holds what the roots want; *dirty* keys are those
whose wanted or stored state may have moved. One round is: apply commits, :meth:`Compiler.run`
until it has nothing left, write what :meth:`Compiler.plan` says, :meth:`Compiler.settle` the
outcome. No I/O and no time here, so a plan for a change that nobody has made is the same code.

A root that fails is *quarantined*: what it wanted before stays wanted, and what the store has of
it, from before a restart, stays too, until the root yields a result again or its resource goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tungsten.compiler import output
from tungsten.compiler.derived import Claim, Output
from tungsten.compiler.engine import QueryError, RootChange
from tungsten.compiler.graph import Graph
from tungsten.compiler.held import Fields, Held
from tungsten.compiler.output import Operation, Outcome, Put, Refer, Release, Remove, Take
from tungsten.compiler.pools import POOLS, PoolExhausted
from tungsten.compiler.rules import ROOTS, Root, kept_fields, owned_fields
from tungsten.compiler.wanted import ClaimKey, FieldKey, Key, ObjectKey, Producer, Wanted
from tungsten.store.base import Change, ChangeKind, Record

#: The claims, (key, owner), of each space.
Claims = Mapping[str, Iterable[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole store as far as it is read: what is held of its records, and its pools' claims."""

    records: list[Held]
    claims: dict[str, list[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A root without a result: it was quarantined, or (``error`` is None) works again."""

    producer: Producer
    error: QueryError | None


class Compiler:
    """Turns changes of records into operations on records."""

    def __init__(self) -> None:
        self.graph = Graph(Fields(kept_fields()))
        self.wanted = Wanted()
        self.quarantined: dict[Producer, QueryError] = {}
        #: pools that were found empty, and the resource that met it
        self.exhausted: dict[str, PoolExhausted] = {}
        self._derived: dict[str, set[ObjectKey]] = {}
        self._dirty: dict[Key, None] = {}
        self._news: list[Fault] = []

    # In.

    def load(self, records: Iterable[Record], claims: Claims) -> None:
        """The whole state of the store: all records, and the claims of each pool's space.

        The first time, and again whenever changes were missed.
        """
        for _ in self.replace(self.picture(records, claims)):
            pass

    def picture(self, records: Iterable[Record], claims: Claims) -> Picture:
        """What :meth:`replace` needs of the whole state of the store; may be made in any thread."""
        claimed = {space: list(claims.get(space, ())) for space in POOLS}
        owners = {owner for pairs in claimed.values() for _, owner in pairs}
        held: list[Held] = []
        alive: set[str] = set()
        for record in records:
            kept = self.graph.hold(record)
            if kept is not None:
                held.append(kept)
            if record.uuid in owners:
                alive.add(record.uuid)
        for space, pairs in claimed.items():
            claimed[space] = [(key, owner) for key, owner in pairs if owner in alive]
        return Picture(held, claimed)

    def replace(self, picture: Picture) -> Iterator[None]:
        """Take over the whole state of the store, in steps: nothing may come between them."""
        fresh = {record.uuid for record in picture.records}
        for record in self.graph.records():
            if record.uuid not in fresh:
                self._remove(record.uuid)
        for record in picture.records:
            if self.graph.record(record.uuid) != record:
                self._put(record)
                yield
        for space, held in picture.claims.items():
            self.graph.allocations.load(space, held)
            self._mark(ClaimKey(space, owner) for _, owner in held)
        self._mark(self.wanted.keys())

    def apply(self, changes: Iterable[Change]) -> None:
        """Changes of the store, in order. Old ones again do no harm."""
        for change in changes:
            if change.kind is ChangeKind.DELETED:
                self._remove(change.record.uuid)
            elif (held := self.graph.hold(change.record)) is not None:
                self._put(held)
            else:
                self._remove(change.record.uuid)

    def _put(self, record: Held) -> None:
        old = self.graph.record(record.uuid)
        if old is not None and (old.type, old.fq_name) != (record.type, record.fq_name):
            self._remove(record.uuid)
            old = None
        self.graph.put(record)
        self._note(old)
        self._note(record)
        if record.provenance:
            self._unpin(record)
        else:
            for root in ROOTS.get(record.type, ()):
                self.graph.engine.pin(root, self.graph, (record.uuid,))

    def _remove(self, uuid: str) -> None:
        old = self.graph.record(uuid)
        if old is not None:
            self.graph.remove(uuid)
            self._unpin(old)
            self._note(old, gone=True)

    def _unpin(self, record: Held) -> None:
        for root, producer in _producers(record):
            self.graph.engine.unpin(root, (record.uuid,))
            self._take_over(producer, ())

    def _note(self, record: Held | None, *, gone: bool = False) -> None:
        """A state of a record, old or new, that the output may have to look at."""
        if record is None:
            return
        key = ObjectKey(record.type, record.fq_name)
        known = self._derived.setdefault(record.provenance, set()) if record.provenance else set()
        now = self.graph.record(record.uuid)
        if record.provenance and now is not None and now.provenance == record.provenance:
            known.add(key)
        else:
            known.discard(key)
            if record.provenance and not known:
                del self._derived[record.provenance]
        if record.provenance or key in self.wanted:
            self._mark((key,))
        if not gone:
            self._mark(FieldKey(record.uuid, field) for field in owned_fields(record.type))

    def _mark(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._dirty[key] = None

    # Working.

    def run(self, limit: int | None = None) -> bool:
        """Bring up to ``limit`` roots up to date; True while there is more to do."""
        for change in self.graph.engine.refresh(limit):
            self._take(change)
        if self.graph.engine.stale:
            return True
        self._give_numbers()
        return self.graph.engine.stale > 0

    def _take(self, change: RootChange) -> None:
        uuid = str(change.args[0])
        record = self.graph.record(uuid)
        assert record is not None  # its roots are unpinned when it goes
        producer = Producer(record.type, uuid, change.query.name)
        error = change.error
        if error is None:
            result: Output = change.value
            try:
                self._take_over(producer, result)
            except ValueError as ambiguous:
                error = QueryError(change.query.name, change.args, ambiguous)
        if error is not None:
            self.quarantined[producer] = error
            self._news.append(Fault(producer, error))

    def _take_over(self, producer: Producer, result: Output) -> None:
        self._mark(self.wanted.replace(producer, result))
        if self.quarantined.pop(producer, None) is not None:
            self._news.append(Fault(producer, None))
            # What was kept on its behalf is no longer.
            self._mark(self._derived.get(producer.provenance, ()))
            self._mark(FieldKey(producer.uuid, f) for f in owned_fields(producer.type))

    def _give_numbers(self) -> None:
        """Give a number to each resource that needs one, the oldest first."""
        waiting = []
        for key in self._dirty:
            if isinstance(key, ClaimKey) and self._waits(key):
                owner = self.graph.record(key.owner)
                waiting.append((0 if owner is None else owner.created, key))
        self.exhausted.clear()
        for _, key in sorted(waiting):
            claim = self.wanted.claim(key)
            if claim is None or key.space in self.exhausted:
                continue
            try:
                self.graph.allocations.give(claim.pool, claim.owner, self._uses_of(claim))
            except PoolExhausted as empty:
                self.exhausted[key.space] = empty

    def _uses_of(self, claim: Claim) -> Callable[[int], bool]:
        def is_used(number: int) -> bool:
            return self.graph.find(claim.type, (f"{claim.prefix}{number}",)) is not None

        return is_used

    def _waits(self, key: ClaimKey) -> bool:
        return key in self.wanted and self._number(key) is None

    def _number(self, key: ClaimKey) -> str | None:
        return self.graph.allocations.key(key.space, key.owner)

    def news(self) -> list[Fault]:
        """Roots that were quarantined or work again since the last call."""
        news, self._news = self._news, []
        return news

    # Out.

    def dirty(self) -> list[Key]:
        """The keys that :meth:`plan` has to look at."""
        return list(self._dirty)

    def plan(self, keys: Iterable[Key]) -> list[Operation]:
        """What to write about these keys; those about which nothing is to be done are clean."""
        operations = []
        for key in keys:
            operation = self._decide(key)
            if operation is not None:
                operations.append(operation)
            elif not (isinstance(key, ClaimKey) and self._waits(key)):
                self._dirty.pop(key, None)
        return operations

    def settle(self, outcome: Outcome) -> None:
        """What came of operations. Dropped ones are decided again in the next round."""
        for operation in outcome.done:
            self._dirty.pop(operation.key, None)
            if isinstance(operation, Take):
                self.graph.allocations.store(*operation.key)
            elif isinstance(operation, Release):
                self.graph.allocations.release(*operation.key)

    def _decide(self, key: Key) -> Operation | None:
        match key:
            case ObjectKey():
                return self._decide_object(key)
            case FieldKey():
                return self._decide_field(key)
            case ClaimKey():
                return self._decide_claim(key)

    def _decide_object(self, key: ObjectKey) -> Operation | None:
        want = self.wanted.object(key)
        record = self.graph.find(*key)
        if want is None:
            kept = record is None or not record.provenance or self._is_kept(record.provenance)
            return None if kept else Remove(key)
        provenance = want.producer.provenance
        if record is not None and output.object_fits(
            record, want.derived, provenance, self._uuid_of
        ):
            return None
        return Put(key, want.derived, provenance)

    def _decide_field(self, key: FieldKey) -> Operation | None:
        holder = self.graph.record(key.holder)
        if holder is None or holder.provenance:
            return None
        wanted = self.wanted.references(key)
        if wanted is None and self._is_kept(holder.uuid):
            return None
        if output.references_fit(holder, key, wanted, self._uuid_of):
            return None
        return Refer(key, () if wanted is None else wanted.refs)

    def _decide_claim(self, key: ClaimKey) -> Operation | None:
        number = self._number(key)
        if number is None or self.graph.record(key.owner) is None:
            return None
        stored = self.graph.allocations.is_stored(*key)
        if key in self.wanted:
            return None if stored else Take(key, number)
        return None if self._is_kept(key.owner) else Release(key, number)

    def _is_kept(self, source: str) -> bool:
        """Whether a root of this resource is quarantined, so that what it has stays.

        ``source`` is a uuid or a provenance.
        """
        record = self.graph.record(source.rpartition(":")[2])
        return record is not None and any(p in self.quarantined for _, p in _producers(record))

    def _uuid_of(self, type_: str, fq_name: tuple[str, ...]) -> str | None:
        record = self.graph.find(type_, fq_name)
        return None if record is None else record.uuid


def _producers(record: Held) -> Iterator[tuple[Root, Producer]]:
    """The roots of a record's type, applied to it."""
    for root in ROOTS.get(record.type, ()):
        yield root, Producer(record.type, record.uuid, root.name)
