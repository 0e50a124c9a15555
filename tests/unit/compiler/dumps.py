"""What is derived in a store, and what a compiler that starts from nothing derives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tungsten.compiler.compile import Compiler
from tungsten.compiler.output import Operation, Put, Refer, content
from tungsten.compiler.pools import POOLS
from tungsten.compiler.rules import OWNED
from tungsten.model import Resource
from tungsten.store.base import Record, Store
from tungsten.store.records import from_record, to_record

Dump = dict[str, Any]
Claims = dict[str, list[tuple[str, str]]]


def by_name(value: Any) -> Any:
    """Content with references by name, attributes as they are."""
    return {
        name: [(to, attr) for _, to, attr in sorted(said, key=lambda ref: ref[1])]
        if name.endswith("_refs")
        else said
        for name, said in value.items()
    }


def ours(resource: Resource, type_: str, field: str) -> list[Any]:
    refs = [ref for ref in getattr(resource, field) if OWNED[type_, field](resource.uuid, ref)]
    return sorted([(ref.to, ref.attr) for ref in refs], key=lambda ref: ref[0])


def stored(records: Iterable[Record]) -> Dump:
    """Everything the compiler owns in a store."""
    dump: Dump = {}
    for record in records:
        resource = from_record(record)
        if record.provenance:
            about = f"{record.type} {':'.join(record.fq_name)}"
            dump[about] = (record.provenance, record.parent, by_name(content(resource)))
        else:
            for type_, field in OWNED:
                if type_ == record.type and (refs := ours(resource, type_, field)):
                    dump[f"{field} of {record.uuid}"] = refs
    return dump


def intent(records: Iterable[Record]) -> list[Record]:
    """What people wrote, and nothing the compiler did."""
    found = []
    for record in records:
        if record.provenance:
            continue
        resource = from_record(record)
        for type_, field in OWNED:
            if type_ == record.type:
                refs = getattr(resource, field)
                kept = [ref for ref in refs if not OWNED[type_, field](record.uuid, ref)]
                setattr(resource, field, kept)
        plain = to_record(resource)
        found.append(replace(plain, created=record.created, revision=record.revision))
    return found


def planned(operations: Iterable[Operation]) -> Dump:
    """What operations of a compile from nothing would make."""
    dump: Dump = {}
    for operation in operations:
        match operation:
            case Put(key, wanted, provenance):
                resource = wanted.resource
                said = (provenance, resource.parent_uuid, by_name(content(resource)))
                dump[str(key)] = said
            case Refer(key, refs) if refs:
                dump[str(key)] = sorted([(r.to, r.attr) for r in refs], key=lambda ref: ref[0])
            case _:
                pass
    return dump


def compiled(records: Iterable[Record], claims: Claims) -> list[Operation]:
    """What a new process would write."""
    compiler = Compiler()
    compiler.load(records, claims)
    while compiler.run():
        pass
    return compiler.plan(compiler.dirty())


async def snapshot(store: Store) -> tuple[list[Record], Claims]:
    _, records = await store.load()
    claims = await store.read(lambda s: {space: list(s.claims(space)) for space in POOLS})
    return records, claims
