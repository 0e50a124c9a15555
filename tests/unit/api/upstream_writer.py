"""Writes upstream's dump of objects, as db_json_exim would of a database that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote_plus

from tungsten.model import Resource, to_fields, type_of
from tungsten.model.fields import ListOf

Json = dict[str, Any]
NOW = 1_589_788_000_000_000


def columns_of(resource: Resource) -> Json:
    """The row of an object, without what others say of it."""
    declared = type_of(resource)
    said = to_fields(resource)
    row: Json = {"type": declared.object_type, "fq_name": resource.fq_name}
    if resource.parent_type:
        row["parent_type"] = resource.parent_type
        row[f"parent:{resource.parent_type.replace('-', '_')}:{resource.parent_uuid}"] = None
    for name, field in declared.properties.items():
        if name not in said:
            continue
        if field.collection is None:
            row[f"prop:{name}"] = said[name]
            continue
        kind = "propl" if isinstance(field.collection, ListOf) else "propm"
        for at, element in enumerate(said[name].get(field.collection.element, [])):
            key = at if kind == "propl" else element[field.collection.key]  # type: ignore[union-attr]
            row[f"{kind}:{name}:{key}"] = element
    for name, reference in declared.references.items():
        for ref in said.get(name, []):
            target = reference.target.replace("-", "_")
            row[f"ref:{target}:{ref['uuid']}"] = {"attr": ref.get("attr"), "is_weakref": False}
    row["META:latest_col_ts"] = None
    return row


def dump_of(resources: Iterable[Resource], **more: Json) -> Json:
    """The whole dump; ``more`` are other keyspaces."""
    held = list(resources)
    rows = {one.uuid: columns_of(one) for one in held}
    names: Json = {}
    for one in held:
        kind = type_of(one).object_type
        if one.parent_uuid in rows:
            rows[one.parent_uuid][f"children:{kind}:{one.uuid}"] = None
        for column, value in list(rows[one.uuid].items()):
            prefix, _, rest = column.partition(":")
            target, _, uuid = rest.partition(":")
            if prefix == "ref" and uuid in rows:
                # Both ends say a reference between objects of one type.
                end = "ref" if target == kind else "backref"
                rows[uuid].setdefault(f"{end}:{kind}:{one.uuid}", value)
        joined = ":".join(one.fq_name)
        plain = joined if joined.isascii() else quote_plus(joined, safe=":")
        names.setdefault(kind, {})[f"{plain}:{one.uuid}"] = ["null", NOW]
    table = {
        uuid: {name: [json.dumps(value), NOW] for name, value in row.items()}
        for uuid, row in rows.items()
    }
    config = {"obj_uuid_table": table, "obj_fq_name_table": names, "obj_shared_table": {}}
    return {"cassandra": {"config_db_uuid": config, **more}, "zookeeper": "[]"}
