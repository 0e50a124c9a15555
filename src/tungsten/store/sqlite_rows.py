"""Records and commits as rows of the embedded store; snapshots and transactions over them.

A :class:`SqliteTransaction` writes rows as it goes, inside a savepoint that its owner rolls back
when anything is raised; what must hold only at the commit (parents, references, owners of
claims exist; nothing that is used is gone) is checked once, by :meth:`SqliteTransaction.finish`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from zlib import crc32

import msgspec

from tungsten.store.base import (
    Change,
    ChangeKind,
    ClaimTaken,
    Commit,
    DanglingReference,
    DuplicateId,
    DuplicateName,
    Edge,
    Record,
    StillReferenced,
    StoreUnusable,
    TooMuch,
    number_key,
)
from tungsten.store.origin import Origin
from tungsten.store.sqlite_file import decode_name, encode_name

_COLUMNS = "uuid, type, fq_name, parent, provenance, created, revision, edges, body, sum"

_Row = tuple[str, str, bytes, str | None, str, int, int, bytes, bytes, int]
_EdgeRow = tuple[str, str, bool]
_ChangeRow = tuple[str, _Row]


class _Logged(msgspec.Struct):
    """A commit in the log. Logs of the first versions have the bare list of changes."""

    changes: list[_ChangeRow]
    time: float = 0.0
    user: str = ""
    request: str = ""
    client: str = ""


_edges_decoder = msgspec.msgpack.Decoder(list[_EdgeRow])
_changes_decoder = msgspec.msgpack.Decoder(list[_ChangeRow] | _Logged)
_encoder = msgspec.msgpack.Encoder()


def _sum(row: tuple[object, ...]) -> int:
    """CRC-32 over everything but itself."""
    return crc32(_encoder.encode(row))


def _stamped(record: Record, created: int, revision: int) -> Record:
    """The record of a commit. This is ``replace``, as often as there are writes."""
    return Record(
        record.uuid,
        record.type,
        record.fq_name,
        record.parent,
        record.edges,
        record.body,
        record.provenance,
        created,
        revision,
    )


def _to_row(record: Record) -> _Row:
    edges = _encoder.encode([(edge.field, edge.target, edge.weak) for edge in record.edges])
    row = (
        record.uuid,
        record.type,
        encode_name(record.fq_name),
        record.parent,
        record.provenance,
        record.created,
        record.revision,
        edges,
        record.body,
    )
    return (*row, _sum(row))


def _from_row(row: _Row) -> Record:
    uuid, type_, fq_name, parent, provenance, created, revision, edges, body, checksum = row
    if _sum(row[:-1]) != checksum:
        raise StoreUnusable(f"record {uuid} is damaged in the file: restore it from a backup")
    return Record(
        uuid,
        type_,
        decode_name(fq_name),
        parent,
        tuple([Edge(field, target, weak) for field, target, weak in _edges_decoder.decode(edges)]),
        body,
        provenance,
        created,
        revision,
    )


def encode_changes(commit: Commit, written: Mapping[str, _Row]) -> bytes:
    """The log's form of a commit: a CRC-32, then changes and origin in MessagePack.

    ``written`` are the rows of records as the commit leaves them.
    """
    rows = [
        (
            change.kind.value,
            _to_row(change.record)
            if change.kind is ChangeKind.DELETED
            else written[change.record.uuid],
        )
        for change in commit.changes
    ]
    origin = commit.origin
    data = _encoder.encode(_Logged(rows, origin.time, origin.user, origin.request, origin.client))
    return crc32(data).to_bytes(4, "big") + data


def decode_commit(revision: int, data: bytes) -> Commit:
    """The inverse of :func:`encode_changes`."""
    if crc32(data[4:]).to_bytes(4, "big") != data[:4]:
        raise StoreUnusable(f"commit {revision} is damaged in the file: restore it from a backup")
    found = _changes_decoder.decode(data[4:])
    logged = found if isinstance(found, _Logged) else _Logged(found)
    changes = tuple(Change(ChangeKind(kind), _from_row(row)) for kind, row in logged.changes)
    origin = Origin(logged.time, logged.user, logged.request, logged.client)
    return Commit(revision, changes, origin)


#: The plus keeps SQLite from reading all records of the type by the (type, fq_name) key: the few
#: that the rest of the clause names are found by theirs.
_AND_OF_TYPE = " AND +type = ?"


def _linked_query(where: str, uuid: str, type_: str | None) -> tuple[str, list[str]]:
    query, arguments = f"SELECT {_COLUMNS} FROM records WHERE {where}", [uuid]  # noqa: S608
    return (query, arguments) if type_ is None else (query + _AND_OF_TYPE, [uuid, type_])


class SqliteSnapshot:
    """Reads over a connection on which a transaction is open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def get(self, uuid: str) -> Record | None:
        return self._one(f"SELECT {_COLUMNS} FROM records WHERE uuid = ?", uuid)  # noqa: S608

    def find(self, type_: str, fq_name: tuple[str, ...]) -> Record | None:
        query = f"SELECT {_COLUMNS} FROM records WHERE type = ? AND fq_name = ?"  # noqa: S608
        return self._one(query, type_, encode_name(fq_name))

    def records(self, type_: str) -> Iterator[Record]:
        query = f"SELECT {_COLUMNS} FROM records WHERE type = ? ORDER BY fq_name"  # noqa: S608
        return iter(self._all(query, type_))

    def children(self, uuid: str, type_: str | None = None) -> list[Record]:
        return self._linked("parent = ?", uuid, type_)

    def referrers(self, uuid: str, type_: str | None = None) -> list[Record]:
        return self._linked("uuid IN (SELECT source FROM edges WHERE target = ?)", uuid, type_)

    def every(self) -> Iterator[Record]:
        """All records, by type and name, as they are asked for; nothing may be written between."""
        query = f"SELECT {_COLUMNS} FROM records ORDER BY type, fq_name"  # noqa: S608
        return map(_from_row, self._db.execute(query))

    def claim_owner(self, space: str, key: str) -> str | None:
        query = "SELECT owner FROM claims WHERE space = ? AND key = ?"
        row = self._first(query, space, key)
        return None if row is None else row[0]

    def claims(self, space: str) -> Iterator[tuple[str, str]]:
        query = "SELECT key, owner FROM claims WHERE space = ? ORDER BY key"
        return iter(self._rows(query, space))

    def owned_claims(self, owner: str) -> list[tuple[str, str]]:
        query = "SELECT space, key FROM claims WHERE owner = ? ORDER BY space, key"
        return self._rows(query, owner)

    @property
    def revision(self) -> int:
        return last_revision(self._db)

    def _linked(self, where: str, uuid: str, type_: str | None) -> list[Record]:
        """The records, of a type or all, that a condition on a uuid chooses."""
        query, arguments = _linked_query(where, uuid, type_)
        return self._all(f"{query} ORDER BY fq_name, type", *arguments)

    def _each(self, query: str, *arguments: object) -> Iterator[Any]:
        """Rows one by one, for who stops when there were enough."""
        return self._db.execute(query, arguments)

    def _one(self, query: str, *arguments: object) -> Record | None:
        row = self._first(query, *arguments)
        return None if row is None else _from_row(row)

    def _all(self, query: str, *arguments: object) -> list[Record]:
        return [_from_row(row) for row in self._rows(query, *arguments)]

    def _first(self, query: str, *arguments: object) -> Any:
        return self._db.execute(query, arguments).fetchone()

    def _rows(self, query: str, *arguments: object) -> list[Any]:
        return self._db.execute(query, arguments).fetchall()


class Sparing(SqliteSnapshot):
    """Reads of a few rows: asked for more than ``left``, they raise TooMuch."""

    left = 64

    def _first(self, query: str, *arguments: object) -> Any:
        self._spend(1)
        return super()._first(query, *arguments)

    def _rows(self, query: str, *arguments: object) -> list[Any]:
        rows = self._db.execute(query, arguments).fetchmany(self.left + 1)
        self._spend(max(len(rows), 1))
        return rows

    def _each(self, query: str, *arguments: object) -> Iterator[Any]:
        for row in super()._each(query, *arguments):
            self._spend(1)
            yield row

    def _linked(self, where: str, uuid: str, type_: str | None) -> list[Record]:
        # SQLite would order all of them, however many, before it gives the first.
        query, arguments = _linked_query(where, uuid, type_)
        rows: list[_Row] = self._rows(query, *arguments)
        if len(rows) > 1:
            rows.sort(key=lambda row: (row[2], row[1]))
        return [_from_row(row) for row in rows]

    def _spend(self, rows: int) -> None:
        self.left -= rows
        if self.left < 0:
            raise TooMuch


class SqliteGlance(Sparing):
    """A snapshot for reads of up to ``rows`` rows."""

    def __init__(self, connection: sqlite3.Connection, rows: int) -> None:
        super().__init__(connection)
        self.left = rows


def last_revision(connection: sqlite3.Connection) -> int:
    """The revision of the last commit; 0 when there was none."""
    (revision,) = connection.execute("SELECT max(revision) FROM log").fetchone()
    return revision or 0


class FreeNumbers:
    """How far each range of numbers is known to be taken, so that the first free is found fast.

    ``known[space][range]`` is a position in the range before which every number is claimed. It
    is a hint that may be too low, never too high: a release pulls it back, and so does undoing
    the transaction that moved it.
    """

    def __init__(self) -> None:
        self.known: dict[str, dict[range, int]] = {}

    def position(self, space: str, numbers: range) -> int:
        """Where to start looking."""
        return self.known.get(space, {}).get(numbers, 0)

    def move(self, space: str, numbers: range, at: int) -> None:
        """Everything before ``at`` is taken."""
        self.known.setdefault(space, {})[numbers] = at

    def released(self, space: str, key: str) -> None:
        """A claim went away."""
        number = number_of(key)
        for numbers, at in self.known.get(space, {}).items():
            if number is not None and number in numbers:
                self.known[space][numbers] = min(at, numbers.index(number))


def number_of(key: str) -> int | None:
    """The inverse of :func:`~tungsten.store.base.number_key`; None for other keys."""
    if len(key) != 32:
        return None
    try:
        return int(key, 16)
    except ValueError:
        return None


class SqliteTransaction(SqliteSnapshot):
    """Reads and writes that become one commit of revision ``revision``."""

    def __init__(self, connection: sqlite3.Connection, revision: int, numbers: FreeNumbers) -> None:
        super().__init__(connection)
        self._revision = revision
        self._numbers = numbers
        self._before: dict[str, Record | None] = {}
        self._after: dict[str, Record | None] = {}
        #: The rows of the records that were written, as they were written last.
        self.written: dict[str, _Row] = {}
        self._claimed: dict[tuple[str, str], str] = {}
        self._claims_changed = False
        self._moved: list[tuple[str, range, int]] = []

    @property
    def revision(self) -> int:
        """The revision that reads stand at: the one before this transaction's."""
        return self._revision - 1

    def create(self, record: Record) -> None:
        if not record.fq_name or not record.uuid:
            raise ValueError(f"a record needs a uuid and a fq_name: {record}")
        new = _stamped(record, self._revision, self._revision)
        try:
            self._insert(new)
        except sqlite3.IntegrityError:
            self._raise_duplicate(record)
            raise
        self._before.setdefault(new.uuid, None)
        self._after.pop(new.uuid, None)
        self._after[new.uuid] = new
        self._add_edges(new, new.edges)

    def update(self, record: Record) -> None:
        old = self.get(record.uuid)
        if old is None:
            raise KeyError(record.uuid)
        for name in ("type", "fq_name", "parent"):
            if getattr(old, name) != getattr(record, name):
                raise ValueError(
                    f"{name} of {old.type} {old.uuid} cannot change"
                    f" from {getattr(old, name)!r} to {getattr(record, name)!r}"
                )
        new = _stamped(record, old.created, self._revision)
        if new == replace(old, revision=self._revision):
            return
        self._overwrite(old, new)

    def delete(self, uuid: str) -> None:
        old = self.get(uuid)
        if old is None:
            raise KeyError(uuid)
        self._db.execute("DELETE FROM records WHERE uuid = ?", (uuid,))
        self._remove_edges(old, old.edges)
        for space, key in self.owned_claims(uuid):
            self.release(space, key)
        self._before.setdefault(uuid, old)
        self._after.pop(uuid, None)
        self._after[uuid] = None

    def claim(self, space: str, key: str, owner: str) -> None:
        holder = self.claim_owner(space, key)
        if holder == owner:
            return
        if holder is not None:
            raise ClaimTaken(space, key, holder)
        self._take(space, key, owner)

    def _take(self, space: str, key: str, owner: str) -> None:
        """Take a key that is known to be free."""
        self._db.execute("INSERT INTO claims VALUES (?, ?, ?)", (space, key, owner))
        self._claimed[space, key] = owner
        self._claims_changed = True

    def claim_number(self, space: str, candidates: range, owner: str) -> int | None:
        at = self._first_free(space, candidates)
        if at == len(candidates):
            return None
        self._take(space, number_key(candidates[at]), owner)
        self._moved.append((space, candidates, self._numbers.position(space, candidates)))
        self._numbers.move(space, candidates, at + 1)
        return candidates[at]

    def release(self, space: str, key: str) -> None:
        query = "DELETE FROM claims WHERE space = ? AND key = ?"
        if self._db.execute(query, (space, key)).rowcount:
            self._numbers.released(space, key)
            self._claimed.pop((space, key), None)
            self._claims_changed = True

    def finish(self) -> Commit | None:
        """Check what must hold at the commit; the commit, or None when nothing changed."""
        gone = [uuid for uuid, record in self._after.items() if record is None]
        for uuid in gone:
            self._check_unused(uuid)
        for uuid in gone:
            self._drop_weak_edges(uuid)
        self._check_targets()
        changes = tuple(self._changes())
        if not changes and not self._claims_changed:
            return None
        return Commit(self._revision, changes)

    def undo(self) -> None:
        """Forget what this transaction made known outside its rows; they are rolled back."""
        for space, numbers, at in reversed(self._moved):
            self._numbers.move(space, numbers, min(at, self._numbers.position(space, numbers)))

    def _check_targets(self) -> None:
        """Parents, targets and owners that this transaction began to use exist."""
        wanted: dict[str, str] = {}
        for uuid, after in self._after.items():
            if after is None:
                continue
            before = self._before[uuid]
            if before is None or before.created != after.created:
                wanted |= {edge.target: uuid for edge in after.edges}
                if after.parent is not None:
                    wanted[after.parent] = uuid
            elif before.edges != after.edges:
                wanted |= {edge.target: uuid for edge in after.edges if edge not in before.edges}
        for (space, key), owner in self._claimed.items():
            wanted[owner] = f"of claim {key} in {space}"
        for target, source in wanted.items():
            if self._after.get(target) is None and not self._exists(target):
                raise DanglingReference(source, target)

    def _changes(self) -> Iterator[Change]:
        for uuid, after in self._after.items():
            before = self._before[uuid]
            if before is not None and (after is None or after.created != before.created):
                yield Change(ChangeKind.DELETED, before)
                before = None
            if after is not None:
                yield Change(ChangeKind.UPDATED if before else ChangeKind.CREATED, after)

    def _exists(self, uuid: str) -> bool:
        query = "SELECT 1 FROM records WHERE uuid = ?"
        return self._db.execute(query, (uuid,)).fetchone() is not None

    def _check_unused(self, uuid: str) -> None:
        query = (
            "SELECT uuid FROM records WHERE parent = ?1"
            " UNION SELECT source FROM edges WHERE target = ?1 AND NOT weak"
        )
        holders = tuple(holder for (holder,) in self._db.execute(query, (uuid,)))
        if holders:
            raise StillReferenced(uuid, holders)

    def _drop_weak_edges(self, uuid: str) -> None:
        query = "SELECT DISTINCT source FROM edges WHERE target = ?"
        for (source,) in self._db.execute(query, (uuid,)).fetchall():
            old = self.get(source)
            assert old is not None, "edges of deleted records are deleted with them"
            kept = tuple(edge for edge in old.edges if edge.target != uuid)
            self._overwrite(old, replace(old, edges=kept, revision=self._revision))

    def _insert(self, record: Record) -> None:
        query = f"INSERT INTO records ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        row = self.written[record.uuid] = _to_row(record)
        self._db.execute(query, row)

    def _overwrite(self, old: Record, new: Record) -> None:
        row = self.written[new.uuid] = _to_row(new)
        self._db.execute(
            "UPDATE records SET provenance = ?, revision = ?, edges = ?, body = ?, sum = ?"
            " WHERE uuid = ?",
            (row[4], row[6], row[7], row[8], row[9], new.uuid),
        )
        if old.edges != new.edges:
            self._remove_edges(old, tuple(edge for edge in old.edges if edge not in new.edges))
            self._add_edges(new, tuple(edge for edge in new.edges if edge not in old.edges))
        before = self._before.setdefault(new.uuid, old)
        if before is not None:
            self._after.pop(new.uuid, None)
        self._after[new.uuid] = new

    def _add_edges(self, record: Record, edges: tuple[Edge, ...]) -> None:
        if len({(edge.field, edge.target) for edge in edges}) < len(edges):
            raise ValueError(f"record {record.uuid} names a target twice in a field: {edges}")
        if edges:
            self._db.executemany(
                "INSERT INTO edges VALUES (?, ?, ?, ?)",
                [(edge.target, record.uuid, edge.field, edge.weak) for edge in edges],
            )

    def _remove_edges(self, record: Record, edges: tuple[Edge, ...]) -> None:
        for edge in edges:
            self._db.execute(
                "DELETE FROM edges WHERE target = ? AND source = ? AND field = ?",
                (edge.target, record.uuid, edge.field),
            )

    def _raise_duplicate(self, record: Record) -> None:
        same_id = self.get(record.uuid)
        if same_id is not None:
            raise DuplicateId(record.uuid, same_id.type, same_id.fq_name) from None
        same_name = self.find(record.type, record.fq_name)
        if same_name is not None:
            raise DuplicateName(record.type, record.fq_name, same_name.uuid) from None

    def _first_free(self, space: str, candidates: range) -> int:
        """The position of the first free number, the range's length when there is none."""
        at = self._numbers.position(space, candidates)
        if at >= len(candidates):
            return len(candidates)
        low, high = sorted((candidates[at], candidates[-1]))
        order = "ASC" if candidates.step > 0 else "DESC"
        query = (
            f"SELECT key FROM claims WHERE space = ? AND key BETWEEN ? AND ? ORDER BY key {order}"  # noqa: S608
        )
        for (key,) in self._each(query, space, number_key(low), number_key(high)):
            number = number_of(key)
            if number is None or number not in candidates:
                continue
            if number != candidates[at]:
                break
            at += 1
            if at == len(candidates):
                break
        return at
