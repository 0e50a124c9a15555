"""A transaction on the cluster store: run on the replica, then put to etcd as one transaction.

The function runs on this process's replica (:mod:`tungsten.store.etcd_replica`), in a savepoint
that is always rolled back. Meanwhile it is written down what it read: records and that there were
none, names, claims, who uses whom. What comes of it is a :class:`Plan`: comparisons that hold in
etcd just as long as all that was read is still so, and the operations that make the change. etcd
does all of it or, when a comparison fails, nothing, and then the function runs again on a newer
replica. So transactions are serializable, whoever else writes.

What is compared:

* a record that was read: its revision; one that had only to exist: that it does;
* a name or uuid that was free: that it is;
* a claim: its owner, or that there is none;
* "all who use X" and "all claims of a space": that nothing was put there since the replica's
  revision, and each one that was found;
* "all of a type", and whatever is more than etcd compares at once: that there was no commit at
  all since.

``claim_number`` gives the first number that is free on the replica and that no transaction of
this process is about to claim. It does not compare that the numbers before it are still taken.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from aetcd.rpc import rpc_pb2 as pb

from tungsten.store.base import Edge, Record, TransactionTooLarge, number_key
from tungsten.store.etcd_keys import CLAIMS, Head, Keys, after, encode_head, encode_record
from tungsten.store.origin import ORIGIN
from tungsten.store.sqlite_known import Known
from tungsten.store.sqlite_rows import FreeNumbers, SqliteTransaction, number_of

_EQUAL, _GREATER, _LESS = pb.Compare.EQUAL, pb.Compare.GREATER, pb.Compare.LESS
_VERSION, _MOD, _VALUE, _CREATE = (
    pb.Compare.VERSION,
    pb.Compare.MOD,
    pb.Compare.VALUE,
    pb.Compare.CREATE,
)


def absent(key: bytes) -> pb.Compare:
    """There is no such key."""
    return pb.Compare(key=key, target=_VERSION, result=_EQUAL, version=0)


def created_at(key: bytes, revision: int) -> pb.Compare:
    """The key is the one that was created at a revision."""
    return pb.Compare(key=key, target=_CREATE, result=_EQUAL, create_revision=revision)


def holds(key: bytes, value: bytes) -> pb.Compare:
    """The key has this value."""
    return pb.Compare(key=key, target=_VALUE, result=_EQUAL, value=value)


def _present(key: bytes) -> pb.Compare:
    return pb.Compare(key=key, target=_VERSION, result=_GREATER, version=0)


def _unchanged(key: bytes, revision: int, end: bytes = b"") -> pb.Compare:
    """Nothing was put at a key, or in a range, after a revision."""
    return pb.Compare(key=key, range_end=end, target=_MOD, result=_LESS, mod_revision=revision + 1)


def put(key: bytes, value: bytes) -> pb.RequestOp:
    """Put a value."""
    return pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))


def delete(key: bytes, end: bytes = b"") -> pb.RequestOp:
    """Delete a key or a range."""
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, range_end=end))


def get(key: bytes) -> pb.RequestOp:
    """Read a key."""
    return pb.RequestOp(request_range=pb.RangeRequest(key=key))


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all transactions of a process: the fence that must be absent, what the mark of
    the layout must be, and how many comparisons or operations etcd takes."""

    fence: str
    layout: bytes
    limit: int


@dataclass(eq=False, slots=True)
class Plan:
    """A change that holds if its comparisons do.

    ``base`` is the replica's revision it was made on; ``touched`` the keys that it is about to
    write or needs unchanged, by which plans of one process see each other; ``claimed`` the keys
    of its new claims by space.
    """

    base: int
    compares: list[pb.Compare]
    operations: list[pb.RequestOp]
    events: int
    needs: set[bytes] = field(default_factory=set)
    writes: set[bytes] = field(default_factory=set)
    claimed: dict[str, set[str]] = field(default_factory=dict)
    #: tells plans apart in the head; set when the plan is sent
    identity: bytes = b""
    #: done when the plan is no longer in flight
    ended: Future[None] = field(default_factory=Future)

    def request(
        self, keys: Keys, terms: Terms, guards: Collection[tuple[bytes, int]]
    ) -> pb.TxnRequest:
        """The etcd transaction. Raises TransactionTooLarge.

        When it fails, its answers are the layout, the head and then each guard's key.
        """
        limit = terms.limit
        around = [absent(keys.fence(terms.fence)), holds(keys.layout, terms.layout)]
        around += [created_at(*guard) for guard in guards]
        compares = self.compares
        if len(compares) + len(around) > limit:
            compares = [_unchanged(keys.head, self.base)]
        if len(self.operations) + 1 > limit:
            raise TransactionTooLarge(
                f"a transaction of {len(self.operations) + 1} operations is more than this etcd"
                f" takes at once ({limit}): start it with a higher --max-txn-ops"
            )
        head = encode_head(Head(self.identity, self.events + 1, ORIGIN.get().now()))
        return pb.TxnRequest(
            compare=[*around, *compares],
            success=[*self.operations, put(keys.head, head)],
            failure=[get(keys.layout), get(keys.head), *(get(key) for key, _ in guards)],
        )


class EtcdTransaction(SqliteTransaction):
    """Reads and writes on the replica that remember what they saw."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        revision: int,
        numbers: FreeNumbers,
        claiming: Callable[[str], Collection[str]],
        known: Known,
    ) -> None:
        """``claiming``: the keys of a space that other plans of this process claim; ``known``:
        records as they stand at ``revision``."""
        super().__init__(connection, revision + 1, numbers)
        self._known = known
        self._base = revision
        self._claiming = claiming
        #: what there was of records when first read: their revision, or 0
        self._records: dict[str, int] = {}
        self._existing: set[str] = set()
        self._names: set[tuple[str, tuple[str, ...]]] = set()
        self._freed: set[tuple[str, tuple[str, ...]]] = set()
        self._claims: dict[tuple[str, str], str | None] = {}
        self._claims_now: dict[tuple[str, str], str | None] = {}
        self._sets: set[tuple[str, str | None]] = set()
        self._spaces: set[str] = set()
        self._everything = False
        self._reached: dict[tuple[str, range], int] = {}
        #: a range was found exhausted only because others are about to claim its last numbers
        self.crowded = False
        #: something was looked for and not there that a newer state may have
        self.exhausted = False

    # Reads.

    def get(self, uuid: str) -> Record | None:
        known = self._unwritten(self._known.get(uuid))
        if known is not None:
            return known
        record = super().get(uuid)
        if record is None and uuid not in self._before:
            self._records.setdefault(uuid, 0)
        return record

    def find(self, type_: str, fq_name: tuple[str, ...]) -> Record | None:
        known = self._unwritten(self._known.find(type_, fq_name))
        if known is not None:
            return known
        record = super().find(type_, fq_name)
        if record is None:
            self._free_name(type_, fq_name)
        return record

    def records(self, type_: str) -> Iterator[Record]:
        self._everything = True
        return super().records(type_)

    def children(self, uuid: str, type_: str | None = None) -> list[Record]:
        self._sets.add((uuid, type_))
        return super().children(uuid, type_)

    def referrers(self, uuid: str, type_: str | None = None) -> list[Record]:
        self._sets.add((uuid, type_))
        return super().referrers(uuid, type_)

    def claim_owner(self, space: str, key: str) -> str | None:
        owner = super().claim_owner(space, key)
        self._claims.setdefault((space, key), owner)
        return owner

    def claims(self, space: str) -> Iterator[tuple[str, str]]:
        self._spaces.add(space)
        found = list(super().claims(space))
        for key, owner in found:
            self._claims.setdefault((space, key), owner)
        return iter(found)

    def owned_claims(self, owner: str) -> list[tuple[str, str]]:
        self._sets.add((owner, CLAIMS))
        return super().owned_claims(owner)

    def _one(self, query: str, *arguments: object) -> Record | None:
        record = super()._one(query, *arguments)
        if record is not None:
            self._saw(record)
        return record

    def _all(self, query: str, *arguments: object) -> list[Record]:
        records = super()._all(query, *arguments)
        for record in records:
            self._saw(record)
        return records

    def _unwritten(self, record: Record | None) -> Record | None:
        """A known record that was read, unless this transaction has made something else of it."""
        if record is None or record.uuid in self._before:
            return None
        self._records.setdefault(record.uuid, record.revision)
        return record

    def _saw(self, record: Record) -> None:
        if record.uuid not in self._before:
            self._records.setdefault(record.uuid, record.revision)
            self._known.put(record)

    def _free_name(self, type_: str, fq_name: tuple[str, ...]) -> None:
        if (type_, fq_name) not in self._freed:
            self._names.add((type_, fq_name))

    def _exists(self, uuid: str) -> bool:
        known = uuid not in self._before and self._known.get(uuid) is not None
        there = known or super()._exists(uuid)
        if there and uuid not in self._before:
            self._existing.add(uuid)
        return there

    def _check_unused(self, uuid: str) -> None:
        self._sets.add((uuid, None))
        super()._check_unused(uuid)

    # Writes.

    def create(self, record: Record) -> None:
        super().create(record)
        self._free_name(record.type, record.fq_name)

    def delete(self, uuid: str) -> None:
        super().delete(uuid)
        before = self._before[uuid]
        if before is not None:
            self._freed.add((before.type, before.fq_name))

    def claim(self, space: str, key: str, owner: str) -> None:
        super().claim(space, key, owner)
        self._claims_now[space, key] = owner

    def release(self, space: str, key: str) -> None:
        self.claim_owner(space, key)
        super().release(space, key)
        self._claims_now[space, key] = None
        for where in [where for where in self._reached if where[0] == space]:
            del self._reached[where]

    def claim_number(self, space: str, candidates: range, owner: str) -> int | None:
        at = self._first_free(space, candidates)
        if at == len(candidates):
            self.exhausted = True
            return None
        self.claim(space, number_key(candidates[at]), owner)
        self._reached[space, candidates] = at + 1
        return candidates[at]

    def _first_free(self, space: str, candidates: range) -> int:
        """The position of the first number that is free and that nobody here is about to claim.

        Moves the hint to the first that is free in the replica itself.
        """
        claiming = self._claiming(space)
        ours = (space, candidates) in self._reached or any(s == space for s, _ in self._claims_now)
        known = self._numbers.position(space, candidates)
        at = free = max(known, self._reached.get((space, candidates), 0))
        skipped = False
        for number in self._taken(space, candidates, at):
            while at < len(candidates) and candidates[at] != number:
                if number_key(candidates[at]) not in claiming:
                    break
                at, skipped = at + 1, True
            if at == len(candidates) or candidates[at] != number:
                break
            at += 1
            free = free if skipped else at
        while at < len(candidates) and number_key(candidates[at]) in claiming:
            at, skipped = at + 1, True
        if not ours and free > known:
            self._numbers.move(space, candidates, free)
        self.crowded = self.crowded or (at == len(candidates) and skipped)
        return at

    def _taken(self, space: str, candidates: range, at: int) -> Iterator[int]:
        """The claimed numbers of a range from a position on, in its order."""
        if at >= len(candidates):
            return
        low, high = sorted((candidates[at], candidates[-1]))
        order = "ASC" if candidates.step > 0 else "DESC"
        query = (
            f"SELECT key FROM claims WHERE space = ? AND key BETWEEN ? AND ? ORDER BY key {order}"  # noqa: S608
        )
        for (key,) in self._db.execute(query, (space, number_key(low), number_key(high))):
            number = number_of(key)
            if number is not None and number in candidates:
                yield number

    # What comes of it.

    def plan(self, keys: Keys) -> Plan | None:
        """The change as etcd gets it; None when there is none. Raises what finish() raises."""
        self.finish()
        changed = {
            uuid: (self._before[uuid], now)
            for uuid, now in self._after.items()
            if (self._before[uuid] is not None or now is not None)
        }
        claims = {
            where: owner
            for where, owner in self._claims_now.items()
            if owner != self._claims[where]
        }
        if not changed and not claims:
            return None
        plan = Plan(self._base, [], [], 0)
        self._compare(plan, keys)
        names: dict[bytes, bytes | None] = {}
        for before, now in changed.values():
            self._write_record(plan, keys, before, now)
            if before is not None and now is None:
                names.setdefault(keys.name(before.type, before.fq_name), None)
            elif now is not None and (before is None or before.created != now.created):
                if before is not None:
                    names.setdefault(keys.name(before.type, before.fq_name), None)
                names[keys.name(now.type, now.fq_name)] = now.uuid.encode()
        for key, holder in names.items():
            plan.operations.append(delete(key) if holder is None else put(key, holder))
            plan.writes.add(key)
        used = self._used(changed)
        for (space, name), owner in claims.items():
            key = keys.claim(space, name)
            plan.operations.append(delete(key) if owner is None else put(key, owner.encode()))
            plan.writes.add(key)
            plan.events += 1
            if owner is not None:
                plan.claimed.setdefault(space, set()).add(name)
            used |= {(one, CLAIMS) for one in (owner, self._claims[space, name]) if one}
        plan.operations += [
            put(keys.used(uuid, by), b"")
            for uuid, by in sorted(used)
            if uuid not in changed or None not in changed[uuid]
        ]
        return plan

    def _write_record(
        self, plan: Plan, keys: Keys, before: Record | None, now: Record | None
    ) -> None:
        record = now or before
        assert record is not None, "what came and went is no change"
        key = keys.record(record.uuid)
        plan.events += 1
        plan.writes.add(key)
        if now is None:
            plan.operations.append(delete(key))
            users = keys.used(record.uuid)
            plan.operations.append(delete(users, after(users)))
            return
        old = before is not None and before.created == now.created
        plan.operations.append(put(key, encode_record(now, now.created if old else 0)))

    def _used(self, changed: dict[str, tuple[Record | None, Record | None]]) -> set[Any]:
        """(uuid, type) for whose users changed."""
        found: set[tuple[str, str]] = set()
        for before, now in changed.values():
            again = before is not None and now is not None and before.created != now.created
            for one, other in ((before, now), (now, before)):
                if one is not None:
                    kept = set() if other is None or again else uses(other)
                    gone = uses(one) - kept
                    found |= {(uuid, one.type) for uuid in gone}
        return found

    def _compare(self, plan: Plan, keys: Keys) -> None:
        """Write down what must still be so."""
        if self._everything:
            plan.compares.append(_unchanged(keys.head, self._base))
            return
        compares = plan.compares
        revisions = dict(self._records)
        for uuid, before in self._before.items():
            revisions[uuid] = 0 if before is None else before.revision
        for uuid, revision in revisions.items():
            key = keys.record(uuid)
            plan.needs.add(key)
            if revision:
                compares.append(
                    pb.Compare(key=key, target=_MOD, result=_EQUAL, mod_revision=revision)
                )
            else:
                compares.append(absent(key))
        for uuid in self._existing - revisions.keys():
            plan.needs.add(keys.record(uuid))
            compares.append(_present(keys.record(uuid)))
        for type_, fq_name in self._names:
            plan.needs.add(keys.name(type_, fq_name))
            compares.append(absent(keys.name(type_, fq_name)))
        for (space, name), owner in self._claims.items():
            key = keys.claim(space, name)
            plan.needs.add(key)
            if owner is None:
                compares.append(absent(key))
            else:
                compares.append(holds(key, owner.encode()))
        for uuid, by in self._sets:
            key = keys.used(uuid, by)
            compares.append(_unchanged(key, self._base, b"" if by is not None else after(key)))
        for space in self._spaces:
            key = keys.space(space)
            compares.append(_unchanged(key, self._base, after(key)))


def uses(record: Record) -> set[str]:
    """The uuids of a record's parent and targets."""
    targets = {edge.target for edge in record.edges}
    return targets if record.parent is None else targets | {record.parent}


__all__ = [
    "Edge",
    "EtcdTransaction",
    "Plan",
    "Terms",
    "absent",
    "created_at",
    "delete",
    "get",
    "holds",
    "put",
    "uses",
]
