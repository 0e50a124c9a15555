"""Transactions of the embedded store's writer: records that it knows are not read again.

Most transactions need the same few records (the project, the network, its IPAM) and those that the
transactions just before them wrote. Only the writer changes the file, so it knows their state.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict

from tungsten.store.base import Record
from tungsten.store.sqlite_file import SCHEMA_VERSION
from tungsten.store.sqlite_rows import FreeNumbers, Sparing, SqliteTransaction

RECORDS = 8192
BYTES = 32 * 1024 * 1024
LARGEST = 64 * 1024
"""Bytes of the largest body that is kept."""


class Known:
    """Records as the writer's connection would read them, the least used ones forgotten."""

    def __init__(self) -> None:
        #: The least used first; a plain dict takes longer and longer to find its first entry when
        #: it is always the first that goes.
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._uuids: dict[tuple[str, tuple[str, ...]], str] = {}
        self._bytes = 0

    def get(self, uuid: str) -> Record | None:
        """A record that is known; None says nothing."""
        record = self._records.get(uuid)
        if record is not None:
            self._records.move_to_end(uuid)
        return record

    def find(self, type_: str, fq_name: tuple[str, ...]) -> Record | None:
        """The same by name."""
        uuid = self._uuids.get((type_, fq_name))
        return None if uuid is None else self.get(uuid)

    def put(self, record: Record) -> None:
        """This is how a record stands now."""
        self.drop(record.uuid)
        if len(record.body) > LARGEST:
            return
        self._records[record.uuid] = record
        self._uuids[record.type, record.fq_name] = record.uuid
        self._bytes += len(record.body)
        while len(self._records) > RECORDS or self._bytes > BYTES:
            self.drop(next(iter(self._records)))

    def drop(self, uuid: str) -> None:
        """Forget a record."""
        record = self._records.pop(uuid, None)
        if record is not None:
            del self._uuids[record.type, record.fq_name]
            self._bytes -= len(record.body)


class KnowingTransaction(SqliteTransaction):
    """A transaction of the writer. Keeps ``known`` in step with what it writes."""

    def __init__(
        self, connection: sqlite3.Connection, revision: int, numbers: FreeNumbers, known: Known
    ) -> None:
        super().__init__(connection, revision, numbers)
        self._known = known

    def get(self, uuid: str) -> Record | None:
        known = self._known.get(uuid)
        if known is None:
            known = super().get(uuid)
            if known is not None:
                self._known.put(known)
        return known

    def find(self, type_: str, fq_name: tuple[str, ...]) -> Record | None:
        known = self._known.find(type_, fq_name)
        if known is None:
            known = super().find(type_, fq_name)
            if known is not None:
                self._known.put(known)
        return known

    def delete(self, uuid: str) -> None:
        super().delete(uuid)
        self._known.drop(uuid)

    def undo(self) -> None:
        super().undo()
        for uuid in self._before:
            self._known.drop(uuid)

    def write_header(self) -> None:
        """Write what is there already, so that the commit has something to write."""
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def touched(self) -> set[str]:
        """The records that this transaction touches; see :mod:`tungsten.store.touched`."""
        found: set[str] = set()
        for uuid, after in self._after.items():
            before = self._before[uuid]
            found.add(uuid)
            stays = before is not None and after is not None and before.created == after.created
            for record in (before, after):
                if record is not None:
                    found.update(edge.target for edge in record.edges)
                    if record.parent is not None and not stays:
                        found.add(record.parent)
        return found

    def _insert(self, record: Record) -> None:
        super()._insert(record)
        self._known.put(record)

    def _overwrite(self, old: Record, new: Record) -> None:
        super()._overwrite(old, new)
        self._known.put(new)

    def _exists(self, uuid: str) -> bool:
        return self._known.get(uuid) is not None or super()._exists(uuid)


class BriefTransaction(Sparing, KnowingTransaction):
    """One of a few rows read or written: beyond ``left`` it raises TooMuch."""

    left = 256

    def create(self, record: Record) -> None:
        self._spend(1 + len(record.edges))
        super().create(record)

    def update(self, record: Record) -> None:
        self._spend(1 + len(record.edges))
        super().update(record)

    def delete(self, uuid: str) -> None:
        self._spend(4)
        super().delete(uuid)
