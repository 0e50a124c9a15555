"""Applying documents to a server that has no ``/apply``: object by object, with plain requests.

Upstream's servers and older ones know objects only. What can be done there is done in the order
of need; it is not one transaction, so a refusal leaves what was done before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tungsten.cli.changes import Json
from tungsten.cli.documents import Document, document
from tungsten.cli.nouns import find_type
from tungsten.client import ApiError, BlockingClient
from tungsten.model import ResourceType, decode, resource_type

Key = tuple[str, tuple[str, ...]]


def apply(
    client: BlockingClient, documents: Sequence[Document], *, dry_run: bool
) -> Iterator[Json]:
    """Create what is not there and update what differs; what became of each, as it is done."""
    missing = {key for key in map(_key, documents) if _held(client, key) is None}
    late: list[tuple[Key, Json]] = []
    for one in _targets_first(documents):
        key, fields = _key(one), _fields(one)
        declared = resource_type(key[0])
        waiting = {
            name: refs
            for name, refs in fields.items()
            if name in declared.references
            and any(_target(declared, name, r) in missing - {key} for r in refs)
        }
        if waiting and not dry_run:
            late.append((key, waiting))
            fields = {name: value for name, value in fields.items() if name not in waiting}
        result = _apply(client, key, fields, dry_run=dry_run)
        missing.discard(key)
        yield {"type": key[0], "fq_name": [*key[1]], "result": result}
    for key, fields in late:
        client.update(key[0], key[1], fields)


def _apply(client: BlockingClient, key: Key, fields: Json, *, dry_run: bool) -> str:
    held = _held(client, key)
    if held is None:
        if not dry_run:
            client.create(decode(key[0], fields))
        return "created"
    changed = {
        name: value
        for name, value in fields.items()
        if name not in ("uuid", "fq_name", "parent_type", "id_perms")
        and _said(key[0], name, value) != held.get(name)
    }
    if not changed:
        return "unchanged"
    if not dry_run:
        client.update(key[0], key[1], changed)
    return "updated"


def delete(
    client: BlockingClient, documents: Sequence[Document], *, dry_run: bool
) -> Iterator[Json]:
    """Delete objects, users first; what became of each, as it is done."""
    for one in reversed(_targets_first(documents)):
        type_, name = _key(one)
        there = _held(client, (type_, name)) is not None
        if there and not dry_run:
            client.delete(type_, name)
        yield {"type": type_, "fq_name": [*name], "result": "deleted" if there else "absent"}


def _key(one: Document) -> Key:
    ((name, fields),) = one.items()
    return find_type(name).name, tuple(fields.get("fq_name") or ())


def _fields(one: Document) -> Json:
    """The members of a document, with references by name wherever they have one."""
    ((name, fields),) = one.items()
    references = find_type(name).references
    return {
        key: [_by_name(ref) for ref in value or ()] if key in references else value
        for key, value in fields.items()
        if key != "parent_uuid"
    }


def _by_name(ref: Any) -> Any:
    if isinstance(ref, dict) and ref.get("to"):
        return {key: value for key, value in ref.items() if key not in ("uuid", "href")}
    return ref


def _held(client: BlockingClient, key: Key) -> Json | None:
    """An object as a document's members; None: there is none."""
    try:
        found = document(client.read(key[0], key[1]))
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return _fields(found)


def _said(type_: str, name: str, value: Any) -> Any:
    """A member as a server that holds it would show it."""
    if value is None:
        return None
    shown = _fields(document(decode(type_, {name: value})))
    return shown.get(name, value)


def _target(declared: ResourceType, name: str, ref: Any) -> Key | None:
    to = ref.get("to") if isinstance(ref, dict) else None
    return (declared.references[name].target, tuple(to)) if to else None


def _targets_first(documents: Sequence[Document]) -> list[Document]:
    """Each after its parent and after what it refers to, as far as references run one way."""
    by_key = {_key(one): one for one in documents}
    done: dict[Key, Document] = {}
    entered: set[Key] = set()
    for first in by_key:
        stack = [(first, False)]
        while stack:
            key, complete = stack.pop()
            if complete:
                done[key] = by_key[key]
            elif key not in entered:
                entered.add(key)
                stack.append((key, True))
                stack += [(other, False) for other in _needed(by_key[key]) if other in by_key]
    return list(done.values())


def _needed(one: Document) -> Iterator[Key]:
    type_, name = _key(one)
    declared = resource_type(type_)
    for field, refs in _fields(one).items():
        if field in declared.references:
            for ref in refs:
                target = _target(declared, field, ref)
                if target is not None:
                    yield target
    for parent in declared.parents:
        yield parent, name[:-1]
