"""Upstream's database as a file: the JSON that db_json_exim writes and reads.

``{"cassandra": {keyspace: {table: {row: {column: [text, microseconds]}}}}, "zookeeper": text}``,
plain or gzip. The objects are the rows of ``obj_uuid_table``, a column for each property,
reference, child and back-reference (``prop:NAME``, ``propl:NAME:POSITION``, ``propm:NAME:KEY``,
``ref:TYPE:UUID``, ...); the text of a column is JSON. ``zookeeper`` is the text of a list of
``[path, [value, status]]``.

:func:`read` takes the file apart and understands nothing of it; :mod:`tungsten.api.takeover`
makes objects of the rows. The whole file is held in memory.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus
from zlib import error as ZlibError

import msgspec

Json = dict[str, Any]


class NoDump(Exception):
    """A file that is no dump; the text says why."""


@dataclass(slots=True)
class Row:
    """A row of obj_uuid_table, its columns' JSON read.

    ``lists`` and ``maps`` are the elements of list and map properties, in the order upstream
    reads them. ``notes`` says what of the row cannot be read.
    """

    uuid: str
    type: str = ""
    fq_name: list[str] = field(default_factory=list)
    parent_type: str | None = None
    parents: list[tuple[str, str]] = field(default_factory=list)
    properties: Json = field(default_factory=dict)
    lists: dict[str, list[tuple[str, int, Any]]] = field(default_factory=dict)
    maps: dict[str, list[tuple[str, int, Any]]] = field(default_factory=dict)
    references: list[tuple[str, str, Any]] = field(default_factory=list)
    children: list[tuple[str, str]] = field(default_factory=list)
    back_references: list[tuple[str, str]] = field(default_factory=list)
    relaxed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Dump:
    """What of a dump is of use."""

    rows: dict[str, Row] = field(default_factory=dict)
    #: (type, name joined by ``:``) -> uuid, as obj_fq_name_table says
    names: dict[tuple[str, str], str] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)
    #: routing-instance name joined by ``:`` -> number of its route target
    targets: dict[str, int] = field(default_factory=dict)
    #: paths and values of Zookeeper
    nodes: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


# Reading.


def is_dump(path: Path) -> bool:
    """Whether a file looks like a dump, by its first bytes."""
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            start = gzip.GzipFile(fileobj=raw).read(64) if compressed else raw.read(64)
    except (OSError, EOFError, ZlibError):
        return False
    start = start.lstrip()
    return start.startswith(b"{") and start[1:].lstrip().startswith(
        (b'"cassandra"', b'"zookeeper"')
    )


def read(path: Path) -> Dump:
    """Take a dump apart. Raises NoDump."""
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        whole = msgspec.json.decode(data)
    except (OSError, EOFError, ZlibError) as error:
        raise NoDump(f"{path} cannot be read: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoDump(f"{path} is not JSON: {error}") from error
    if not isinstance(whole, dict) or not isinstance(whole.get("cassandra"), dict):
        raise NoDump(f'{path} is no dump of a database: it has no "cassandra"')
    dump = Dump()
    spaces = whole["cassandra"]
    config = _table(spaces, "config_db_uuid", "obj_uuid_table", dump)
    if not config:
        raise NoDump(f"{path} has no objects: config_db_uuid/obj_uuid_table is empty")
    for uuid, columns in config.items():
        dump.rows[uuid] = _row(uuid, columns)
    _read_names(_table(spaces, "config_db_uuid", "obj_fq_name_table", dump), dump)
    for key, columns in _table(spaces, "useragent", "useragent_keyval_table", dump).items():
        dump.pairs[key] = columns.get("value", ("", 0))[0]
    for name, columns in _table(spaces, "to_bgp_keyspace", "route_target_table", dump).items():
        number = columns.get("rtgt_num", ("", 0))[0].strip('"')
        if number.isascii() and number.isdigit() and len(number) < 12:
            dump.targets[name] = int(number)
        else:
            dump.notes.append(f"route_target_table: {name} has no number: {number[:40]!r}")
    _read_nodes(whole.get("zookeeper"), dump)
    return dump


Columns = dict[str, tuple[str, int]]


def _table(spaces: Any, keyspace: str, table: str, dump: Dump) -> dict[str, Columns]:
    """A table's rows; what is not of the form of columns is left out and noted."""
    rows = (spaces.get(keyspace) or {}) if isinstance(spaces, dict) else {}
    rows = (rows.get(table) or {}) if isinstance(rows, dict) else {}
    found: dict[str, Columns] = {}
    for key, columns in rows.items() if isinstance(rows, dict) else ():
        if not isinstance(columns, dict):
            dump.notes.append(f"{table}: row {key[:80]} has no columns")
            continue
        found[key] = {}
        for name, cell in columns.items():
            match cell:
                case [str(text), int(stamp), *_]:
                    found[key][name] = (text, stamp)
                case _:
                    dump.notes.append(f"{table}: {name[:80]} of {key[:80]} has no text and time")
    return found


def _row(uuid: str, columns: Columns) -> Row:
    row = Row(uuid)
    for name, (text, stamp) in columns.items():
        try:
            value = msgspec.json.decode(text) if text else None
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            row.notes.append(f"column {name} is not JSON: {text[:80]!r}")
            continue
        _take_column(row, name, value, stamp)
    return row


def _take_column(row: Row, name: str, value: Any, stamp: int) -> None:
    kind, _, rest = name.partition(":")
    first, _, second = rest.partition(":")
    match kind:
        case "type" if isinstance(value, str):
            row.type = value
        case "fq_name" if isinstance(value, list) and all(isinstance(v, str) for v in value):
            row.fq_name = value
        case "parent_type" if isinstance(value, str):
            row.parent_type = value
        case "parent":
            row.parents.append((first, second))
        case "children":
            row.children.append((first, second))
        case "prop":
            row.properties[rest] = value
        case "propl":
            row.lists.setdefault(first, []).append((second, stamp, value))
        case "propm":
            row.maps.setdefault(first, []).append((second, stamp, value))
        case "ref":
            row.references.append((first, second, value))
        case "backref":
            row.back_references.append((first, second))
        case "relaxbackref":
            row.relaxed.append(rest)
        case "META":
            pass
        case _:
            row.notes.append(f"column {name} is not known")


def elements(found: list[tuple[str, int, Any]], *, ordered: bool) -> list[Any]:
    """The elements of a list property in its order, or of a map property by key."""
    if not ordered:
        return [value for _, _, value in sorted(found, key=lambda one: one[0])]
    if all(place.isascii() and place.isdigit() for place, _, _ in found):
        return [value for _, _, value in sorted(found, key=lambda one: int(one[0]))]
    return [value for _, _, value in sorted(found, key=lambda one: one[1])]


def _read_names(table: Mapping[str, Columns], dump: Dump) -> None:
    for type_, columns in table.items():
        for name in columns:
            joined, _, uuid = name.rpartition(":")
            plain = unquote_plus(joined) if "%" in joined else joined
            dump.names[type_, plain] = uuid


def _read_nodes(said: Any, dump: Dump) -> None:
    """Zookeeper's part: a text of JSON, or nothing."""
    try:
        items = msgspec.json.decode(said) if isinstance(said, str) and said else []
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        dump.notes.append("zookeeper: its text is not JSON")
        return
    for item in items if isinstance(items, list) else []:
        match item:
            case [str(path), [str(value), *_]]:
                dump.nodes[path.rstrip("/")] = value
            case _:
                continue
