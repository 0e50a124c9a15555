"""Lists of objects: choosing them by a :class:`~tungsten.api.queries.ListQuery`, showing them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from tungsten.api import audiences, authority, queries, views
from tungsten.api.bodies import Json
from tungsten.api.callers import SYSTEM, Caller
from tungsten.api.queries import ListQuery
from tungsten.api.references import Mirror
from tungsten.api.views import Hrefs
from tungsten.model import ResourceType, to_fields
from tungsten.store.base import Record, Snapshot
from tungsten.store.records import from_record

FEW = 16
"""Elements up to which each is looked up for what others keep of it."""


DEEPEST = 16
"""Parts of a name up to which a colon in a query may be one that joins parts."""


def listed(
    snapshot: Snapshot,
    declared: ResourceType,
    query: ListQuery,
    hrefs: Hrefs,
    caller: Caller = SYSTEM,
) -> Json:
    """The answer to a list: ``{"<type>s": [...]}``, with a marker when it is paged."""
    records: Iterable[Record] = chosen(snapshot, declared, query, caller)
    if query.shared:
        records = with_shared(snapshot, declared, query, caller, records)
    if not caller.sees_all:
        records = (one for one in records if authority.may_see(snapshot, caller, one))
    known = {key: values for key, values in query.filters.items() if key in declared.properties}
    if known:
        # An unknown name beside known ones is a property that no object has.
        wanted = query.filters
        records = (one for one in records if queries.matches(properties(one), wanted))
    if query.count:
        return {declared.plural: {"count": sum(1 for _ in records)}}
    if query.page is None:
        return {
            declared.plural: _elements(snapshot, declared, query, hrefs, records, caller=caller)
        }
    after, limit = query.page.after, query.page.limit
    places = [(queries.place(one.fq_name, one.uuid), one) for one in records]
    places.sort(key=lambda placed: placed[0])
    rest = [one for at, one in places if after is None or at > after]
    page = rest[:limit]
    marker = None
    if len(rest) > limit:
        marker = queries.marker(page[-1].fq_name, page[-1].uuid)
    return {
        declared.plural: _elements(snapshot, declared, query, hrefs, page, caller=caller),
        "marker": marker,
    }


def _elements(
    snapshot: Snapshot,
    declared: ResourceType,
    query: ListQuery,
    hrefs: Hrefs,
    records: Iterable[Record],
    *,
    caller: Caller,
) -> list[Json]:
    chosen_records = list(records)
    mirror = Mirror(
        snapshot,
        declared,
        whole=len(chosen_records) > FEW,
        every=None if query.chooses or not caller.sees_all else chosen_records,
    )
    elements = [shown(snapshot, one, query, hrefs, mirror) for one in chosen_records]
    if caller.sees_all:
        return elements
    if query.detail:
        return [
            {declared.name: authority.without_unseen(snapshot, caller, one[declared.name])}
            for one in elements
        ]
    return [authority.without_unseen(snapshot, caller, one) for one in elements]


def with_shared(
    snapshot: Snapshot,
    declared: ResourceType,
    query: ListQuery,
    caller: Caller,
    records: Iterable[Record],
) -> Iterable[Record]:
    """``records``, then what is shared with everybody, or with the caller's project or domain.

    One who asks without a project of its own names it as the parent.
    """
    own = list(records)
    yield from own
    known = {one.uuid for one in own}
    projects = [caller.project_id] if caller.project_id else [*(query.parent_ids or ())]
    parent = snapshot.find("project", query.parent_fq_name) if query.parent_fq_name else None
    if parent is not None and not caller.project_id:
        projects.append(parent.uuid)
    audience = Caller(domain_id=caller.domain_id)
    shared = audiences.readable(snapshot, declared.name, audience, projects)
    for one in snapshot.records(declared.name) if shared is None else shared:
        if one.uuid in known:
            continue
        perms2 = from_record(one).perms2
        if perms2 is None:
            continue
        perms2.owner = ""  # who owns an object is not whom it is shared with
        if any(
            authority.granted(replace(audience, project_id=project), perms2) & authority.READ
            for project in projects or [""]
        ):
            yield one


def properties(record: Record) -> Json:
    """The properties of a stored object."""
    return to_fields(from_record(record))


def chosen(
    snapshot: Snapshot, declared: ResourceType, query: ListQuery, caller: Caller = SYSTEM
) -> Iterable[Record]:
    """The objects that the anchors of a query choose, in the order of the answer.

    Of all of a type, only those that the caller may read, as far as that is known beforehand.
    """
    parents = _parents(snapshot, declared, query)
    records: Iterable[Record]
    if parents is not None:
        records = sorted(
            (child for parent in parents for child in snapshot.children(parent, declared.name)),
            key=lambda one: (one.created, one.fq_name),
        )
    elif query.back_ref_ids is not None:
        records = _referrers(snapshot, declared, query.back_ref_ids)
    elif query.obj_uuids is not None:
        found = (snapshot.get(uuid) for uuid in dict.fromkeys(query.obj_uuids))
        records = sorted(
            (one for one in found if one is not None and one.type == declared.name),
            key=lambda one: one.fq_name,
        )
    elif query.fq_names is not None:
        named = (_named(snapshot, declared.name, name) for name in dict.fromkeys(query.fq_names))
        records = [one for one in named if one is not None]
    else:
        seen = None if caller.sees_all else audiences.readable(snapshot, declared.name, caller)
        records = snapshot.records(declared.name) if seen is None else seen
    return _filtered(snapshot, declared, query, records)


def _filtered(
    snapshot: Snapshot, declared: ResourceType, query: ListQuery, records: Iterable[Record]
) -> Iterable[Record]:
    if query.back_ref_ids is not None:
        uuids = {one.uuid for one in _referrers(snapshot, declared, query.back_ref_ids)}
        records = (one for one in records if one.uuid in uuids)
    if query.obj_uuids is not None:
        asked = set(query.obj_uuids)
        records = (one for one in records if one.uuid in asked)
    if query.fq_names is not None:
        names = {":".join(name) for name in query.fq_names}
        records = (one for one in records if ":".join(one.fq_name) in names)
    return records


def _named(snapshot: Snapshot, type_: str, parts: tuple[str, ...]) -> Record | None:
    """The object whose fq_name joined by colons is ``parts`` joined by colons.

    The last part of a name may have colons in it (``target:64512:1``, ``ge-0/0/0:1``), which
    the text of a query does not tell from those that join parts.
    """
    for depth in range(min(len(parts), DEEPEST), 0, -1):
        found = snapshot.find(type_, (*parts[: depth - 1], ":".join(parts[depth - 1 :])))
        if found is not None:
            return found
    return None


def _parents(
    snapshot: Snapshot, declared: ResourceType, query: ListQuery
) -> tuple[str, ...] | None:
    """The uuids of the parents that a query names; None when it names none."""
    if query.parent_fq_name is None:
        return query.parent_ids and tuple(dict.fromkeys(query.parent_ids))
    types = (query.parent_type,) if query.parent_type else declared.parents
    found = (_named(snapshot, type_, query.parent_fq_name) for type_ in types)
    return tuple(one.uuid for one in found if one is not None)


def _referrers(
    snapshot: Snapshot, declared: ResourceType, targets: tuple[str, ...]
) -> list[Record]:
    found = {
        one.uuid: one for target in targets for one in snapshot.referrers(target, declared.name)
    }
    return sorted(found.values(), key=lambda one: one.fq_name)


def shown(
    snapshot: Snapshot, record: Record, query: ListQuery, hrefs: Hrefs, mirror: Mirror
) -> Json:
    """One element of a list."""
    if not query.detail:
        entry: Json = {"uuid": record.uuid, "fq_name": list(record.fq_name)}
        if not query.exclude_hrefs:
            hrefs.put(entry, record.type, record.uuid)
        if query.fields:
            selected = views.selected(snapshot, record, hrefs, query.fields, mirror)
            entry.update({key: selected[key] for key in _asked(query.fields) if key in selected})
        return entry
    plain = Hrefs(hrefs.base, wanted=False)
    detail = views.body(record, plain, mirror)
    if not query.exclude_hrefs:
        hrefs.put(detail, record.type, record.uuid)
    if query.fields:
        computed: dict[str, Any] = views.children(snapshot, record, plain, query.fields)
        referrers = snapshot.referrers(record.uuid)
        computed |= views.back_references(referrers, record, plain, query.fields)
        detail.update(computed)
    return {record.type: detail}


def _asked(fields: tuple[str, ...]) -> tuple[str, ...]:
    return (*fields, "parent_type", "parent_uuid")
