"""Writing a store in the form of upstream's database: what ``db_json_exim`` imports.

The opposite of :mod:`tungsten.api.takeover`, in the form that :mod:`tungsten.api.upstream_dump`
describes. What upstream keeps twice is written twice: children and back-references beside
parents and references, the tables of names and of shares, and in Zookeeper the names, the ids of
networks and security groups and the numbers of route targets. Not written are the allocations of
addresses and of tags in Zookeeper: upstream's ``db_manage`` heals the former from the objects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any
from urllib.parse import quote_plus

import msgspec

from tungsten.api import pairs, relaxing, user_agent
from tungsten.compiler.pools import POOLS
from tungsten.model import (
    RESOURCE_TYPES,
    Resource,
    SecurityGroup,
    VirtualNetwork,
    to_fields,
    type_of,
)
from tungsten.model.fields import Field, ListOf, MapOf
from tungsten.store.base import Record, Snapshot
from tungsten.store.records import from_record

Json = dict[str, Any]

#: What upstream's security group ids are above their place in Zookeeper.
_GROUPS = 8_000_000


@dataclass(slots=True)
class _Tables:
    """The dump in the making: rows by uuid, each column with its text and time."""

    rows: dict[str, Json] = field(default_factory=dict)
    names: dict[str, Json] = field(default_factory=lambda: defaultdict(dict))
    shares: dict[str, Json] = field(default_factory=lambda: defaultdict(dict))
    nodes: list[tuple[str, str, int]] = field(default_factory=list)


def write(snapshot: Snapshot, file: IO[bytes]) -> int:
    """Write all of a store; how many objects it had."""
    tables = _Tables()
    for record in _every(snapshot):
        _add(tables, record, from_record(record))
    for record in _every(snapshot):
        _add_other_ends(tables, snapshot, record)
    config = snapshot.find("global-system-config", (pairs.GLOBAL_SYSTEM_CONFIG,))
    stamp = _now() if config is None else _stamp(from_record(config))
    kept = pairs.items(snapshot, user_agent.SPACE)
    pairs_ = {key: {"value": [value, stamp]} for key, value in kept}
    dump = {
        "cassandra": {
            "config_db_uuid": {
                "obj_uuid_table": tables.rows,
                "obj_fq_name_table": tables.names,
                "obj_shared_table": tables.shares,
            },
            "useragent": {"useragent_keyval_table": pairs_},
            "to_bgp_keyspace": {"route_target_table": _targets(tables, snapshot)},
            "svc_monitor_keyspace": {},
            "dm_keyspace": {},
        },
        "zookeeper": msgspec.json.encode([_node(*one) for one in tables.nodes]).decode(),
    }
    file.write(msgspec.json.encode(dump) + b"\n")
    return len(tables.rows)


def _every(snapshot: Snapshot) -> Iterator[Record]:
    for name in RESOURCE_TYPES:
        yield from snapshot.records(name)


def _add(tables: _Tables, record: Record, resource: Resource) -> None:
    """An object's row, its name, and whom it is shared with."""
    declared, said = type_of(resource), msgspec.to_builtins(to_fields(resource))
    stamp, kind = _stamp(resource), declared.object_type
    row = tables.rows[record.uuid] = {}

    def put(name: str, value: Any) -> None:
        row[name] = _cell(value, stamp)

    put("type", kind)
    put("fq_name", [*record.fq_name])
    if resource.parent_type:
        put("parent_type", resource.parent_type)
        if record.parent is not None:
            put(f"parent:{_underscored(resource.parent_type)}:{record.parent}", None)
    for name, declared_field in declared.properties.items():
        if name in said:
            for column, value in _columns(name, declared_field, said[name]):
                put(column, value)
    for name, reference in declared.references.items():
        for ref in said.get(name, ()):
            put(f"ref:{_underscored(reference.target)}:{ref['uuid']}", _reference(ref))
    put("META:latest_col_ts", None)
    joined = ":".join(record.fq_name)
    quoted = joined if joined.isascii() else quote_plus(joined, safe=":")
    tables.names[kind][f"{quoted}:{record.uuid}"] = _cell(None, stamp)
    tables.nodes.append((f"/fq-name-to-uuid/{kind}:{joined}/", record.uuid, stamp))
    _share(tables, kind, resource, stamp)
    match resource:
        case VirtualNetwork(virtual_network_network_id=int(number)):
            tables.nodes.append((f"/id/virtual-networks/{number - 1:010d}/", joined, stamp))
        case SecurityGroup(security_group_id=int(number)) if number > _GROUPS:
            tables.nodes.append((f"/id/security-groups/id/{number - _GROUPS:010d}/", joined, stamp))
        case _:
            pass


def _columns(name: str, declared: Field, value: Any) -> Iterator[tuple[str, Any]]:
    """The columns of a property: one, or one for each element of a list or map."""
    match declared.collection:
        case ListOf(element=element):
            for at, one in enumerate((value or {}).get(element) or ()):
                yield f"propl:{name}:{at}", one
        case MapOf(element=element, key=key):
            for one in (value or {}).get(element) or ():
                yield f"propm:{name}:{one.get(key)}", one
        case _:
            yield f"prop:{name}", value


def _reference(ref: Json) -> Json:
    return {"attr": ref.get("attr"), "is_weakref": False}


def _share(tables: _Tables, kind: str, resource: Resource, stamp: int) -> None:
    perms = resource.perms2
    if perms is None:
        return
    table = tables.shares[kind]
    if perms.global_access:
        table[f"global::{resource.uuid}"] = _cell(perms.global_access, stamp)
    for one in perms.share or ():
        tenant = one.tenant or ""
        whole = tenant if ":" in tenant else f"tenant:{tenant}"
        table[f"{whole}:{resource.uuid}"] = _cell(one.tenant_access, stamp)


def _add_other_ends(tables: _Tables, snapshot: Snapshot, record: Record) -> None:
    """What the rows of an object's parent and targets say of it."""
    row, kind = tables.rows[record.uuid], _underscored(record.type)
    if record.parent is not None:
        tables.rows[record.parent][f"children:{kind}:{record.uuid}"] = ["null", row["type"][1]]
    for edge in record.edges:
        target = tables.rows[edge.target]
        of_type = msgspec.json.decode(target["type"][0])
        cell = row[f"ref:{of_type}:{edge.target}"]
        # Both ends say a reference between objects of one type.
        end = "ref" if of_type == kind else "backref"
        target.setdefault(f"{end}:{kind}:{record.uuid}", cell)
        if relaxing.is_relaxed(snapshot, record.uuid, edge.target):
            target[f"relaxbackref:{record.uuid}"] = ["null", cell[1]]


def _targets(tables: _Tables, snapshot: Snapshot) -> Json:
    """The numbers of route targets, by the routing-instance that has each."""
    found: Json = {}
    for pool in POOLS.values():
        for key, owner in snapshot.claims(pool.space):
            network = snapshot.get(owner)
            if network is None:
                continue
            instance = ":".join((*network.fq_name, network.fq_name[-1]))
            number, stamp = int(key, 16), _stamp(from_record(network))
            found[instance] = {"rtgt_num": [str(number), stamp]}
            path = f"/id/bgp/route-targets/{pool.space.rpartition('/')[2]}/{number:010d}/"
            tables.nodes.append((path, instance, stamp))
    return found


def _node(path: str, value: str, stamp: int) -> list[Any]:
    """A leaf of Zookeeper: its path, its value and its status (times in milliseconds)."""
    made = stamp // 1000
    return [path, [value, [1, 1, made, made, 0, 0, 0, 0, len(value.encode()), 0, 1]]]


def _cell(value: Any, stamp: int) -> list[Any]:
    return [msgspec.json.encode(value).decode(), stamp]


def _underscored(type_: str) -> str:
    return RESOURCE_TYPES[type_].object_type if type_ in RESOURCE_TYPES else type_.replace("-", "_")


def _stamp(resource: Resource) -> int:
    """When an object was last changed, in microseconds since the epoch."""
    perms = resource.id_perms
    said = None if perms is None else perms.last_modified or perms.created
    try:
        return int(datetime.fromisoformat(said or "").replace(tzinfo=UTC).timestamp() * 1_000_000)
    except ValueError:
        return _now()


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * 1_000_000)
