"""Looking a store file over: does everything that must hold hold? etcd: :mod:`.etcd_check`.

Nothing here is needed in operation, where transactions keep the invariants; it is for tests, for
doubts after a disk failed, and for the proof that a backup is whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from tungsten.store.base import ChangeKind, Record, StoreUnusable
from tungsten.store.sqlite_file import connect, prepare
from tungsten.store.sqlite_rows import SqliteSnapshot, decode_commit


def check(path: Path) -> list[str]:
    """What is wrong with the store in a file, in words; empty when nothing is.

    May be run while a process writes the file. Raises
    :class:`~tungsten.store.base.StoreUnusable` for a file that cannot be opened as a store.
    """
    prepare(path, readonly=True)
    connection = connect(path, readonly=True)
    try:
        connection.execute("BEGIN")
        damage = [text for (text,) in connection.execute("PRAGMA integrity_check")]
        if damage != ["ok"]:
            return damage
        return list(_findings(connection))
    except (sqlite3.Error, StoreUnusable) as error:
        return [str(error)]
    finally:
        connection.close()


def _findings(connection: sqlite3.Connection) -> Iterator[str]:
    records = {record.uuid: record for record in SqliteSnapshot(connection).every()}
    yield from dangling(records)
    yield from _edge_index(connection, records)
    for space, key, owner in connection.execute("SELECT space, key, owner FROM claims"):
        if owner not in records:
            yield f"claim {key} in {space} belongs to {owner}, which does not exist"
    yield from _log(connection, records)


def dangling(records: Mapping[str, Record]) -> Iterator[str]:
    """Parents and targets that are not there; ``records`` by uuid."""
    for record in records.values():
        if record.parent is not None and record.parent not in records:
            yield f"{record.uuid} is below {record.parent}, which does not exist"
        for edge in record.edges:
            if edge.target not in records:
                yield f"{record.uuid} refers to {edge.target}, which does not exist"


def _edge_index(connection: sqlite3.Connection, records: dict[str, Record]) -> Iterator[str]:
    indexed = set(connection.execute("SELECT target, source, field, weak FROM edges"))
    held = {
        (edge.target, record.uuid, edge.field, int(edge.weak))
        for record in records.values()
        for edge in record.edges
    }
    for target, source, field, _ in sorted(indexed ^ held):
        yield f"{field} of {source} to {target} is in the index or in the record, not in both"


def _log(connection: sqlite3.Connection, records: dict[str, Record]) -> Iterator[str]:
    """The log has no gap, and what it says last of a record is what the record is."""
    said: dict[str, Record | None] = {}
    position = None
    for revision, data in connection.execute("SELECT revision, changes FROM log ORDER BY revision"):
        if position is not None and revision != position + 1:
            yield f"commits {position + 1} to {revision - 1} are missing in the log"
        position = revision
        for change in decode_commit(revision, data).changes:
            deleted = change.kind is ChangeKind.DELETED
            said[change.record.uuid] = None if deleted else change.record
    for uuid, record in said.items():
        if records.get(uuid) != record:
            yield f"{uuid} is not what the log says of it last"
    for record in records.values():
        if record.revision > (position or 0):
            yield f"{record.uuid} is of revision {record.revision}, after the log's last"
