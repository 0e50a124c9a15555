"""What a list asks for: anchors, filters, shape and paging, from a query string or a body.

``GET /<type>s`` takes them as query parameters, ``POST /list-bulk-collection`` as members of a
JSON object. Both become a :class:`ListQuery`. Anchors combine so: children of the parents
named, else referrers of the targets named, else the objects named by uuid or fq_name, else all
of the type; the other anchors then filter what the first one gives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tungsten.api.bodies import is_uuid
from tungsten.api.errors import BadRequest, echo

_NUMBER = re.compile(r"[0-9]{1,18}")

NO_MARKERS = frozenset({"", "None", "null", "0"})


MOST_FILTERS = 256
"""Filters of one list: each object is held against each."""


@dataclass(frozen=True, slots=True)
class Page:
    """At most ``limit`` objects after the place ``after``, or from the first one."""

    after: tuple[tuple[str, ...], str] | None
    limit: int


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list asks for; None is "not asked"."""

    parent_ids: tuple[str, ...] | None = None
    parent_fq_name: tuple[str, ...] | None = None
    parent_type: str | None = None
    back_ref_ids: tuple[str, ...] | None = None
    obj_uuids: tuple[str, ...] | None = None
    fq_names: tuple[tuple[str, ...], ...] | None = None
    fields: tuple[str, ...] = ()
    filters: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    detail: bool = False
    count: bool = False
    shared: bool = False
    exclude_hrefs: bool = False
    page: Page | None = None

    @property
    def chooses(self) -> bool:
        """Whether it asks for some of the objects, not for all of the type."""
        form = {"fields": self.fields, "detail": self.detail, "exclude_hrefs": self.exclude_hrefs}
        return self != ListQuery(**form)  # type: ignore[arg-type]


def split(text: str | None) -> tuple[str, ...] | None:
    """``a,b`` as its parts; None and the empty text as None."""
    if not text:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def names(text: str | None) -> tuple[tuple[str, ...], ...] | None:
    """``a:b,c:d`` as names."""
    parts = split(text)
    return None if parts is None else tuple(tuple(part.split(":")) for part in parts)


def truth(text: str | None) -> bool:
    """Whether a flag of a query is set: its value contains ``true`` in any case."""
    return text is not None and "true" in text.lower()


def filters(text: str | None) -> dict[str, tuple[Any, ...]]:
    """``k==v,k2==v2`` as the values asked for each property.

    A value is JSON where it parses as such, else the text itself. Several values of one
    property are alternatives.
    """
    wanted: dict[str, tuple[Any, ...]] = {}
    parts = split(text) or ()
    if len(parts) > MOST_FILTERS:
        raise BadRequest(f"Bad Request, {len(parts)} filters are more than {MOST_FILTERS}")
    for part in parts:
        key, equals, value = part.partition("==")
        if not equals or not key or "==" in value:
            raise BadRequest(f"Invalid filter {echo(text or '')}")
        wanted[key] = (*wanted.get(key, ()), _filter_value(value))
    return wanted


def _filter_value(value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return value


def matches(properties: Mapping[str, Any], wanted: Mapping[str, tuple[Any, ...]]) -> bool:
    """Whether an object has, for every property asked, one of the values asked."""
    return all(
        key in properties and any(_equal(properties[key], value) for value in values)
        for key, values in wanted.items()
    )


def _equal(stored: Any, asked: Any) -> bool:
    if isinstance(stored, dict) and isinstance(asked, dict):
        return all(key in stored and _equal(stored[key], asked[key]) for key in asked)
    if isinstance(stored, bool) or isinstance(asked, bool):
        return stored is asked
    if isinstance(stored, str) and isinstance(asked, int | float):
        return stored == str(asked)
    return bool(stored == asked)


def page(marker: str | None, limit: str | None, default_limit: int) -> Page | None:
    """The page asked for; None without a marker, whatever the limit."""
    if marker is None:
        return None
    size = default_limit
    if limit is not None and limit not in NO_MARKERS:
        if not _NUMBER.fullmatch(limit) or int(limit) < 1:
            raise BadRequest(f"Invalid page_limit {echo(limit)}: expected a positive number")
        size = int(limit)
    if marker in NO_MARKERS:
        return Page(None, size)
    *name, uuid = marker.split(":")
    if not name or not is_uuid(uuid):
        raise BadRequest(f"Invalid page_marker {echo(marker)}: expected what a list returned")
    return Page((tuple(name), uuid), size)


def marker(fq_name: tuple[str, ...], uuid: str) -> str:
    """The marker of the page that follows an object."""
    return ":".join((*fq_name, uuid))


def place(fq_name: tuple[str, ...], uuid: str) -> tuple[tuple[str, ...], str]:
    """Where pages have an object: by name, in the reading that a marker allows.

    A part of a name may have colons in it (``target:64512:1``), which in the marker cannot be
    told from those that join parts.
    """
    return tuple(":".join(fq_name).split(":")), uuid


def from_query(query: Mapping[str, str], default_limit: int) -> ListQuery:
    """What the query parameters of a list ask for."""
    parent = query.get("parent_fq_name_str")
    return ListQuery(
        parent_ids=split(query.get("parent_id")),
        parent_fq_name=tuple(parent.split(":")) if parent else None,
        parent_type=query.get("parent_type") or None,
        back_ref_ids=split(query.get("back_ref_id")),
        obj_uuids=split(query.get("obj_uuids")),
        fq_names=names(query.get("fq_names")),
        fields=split(query.get("fields")) or (),
        filters=filters(query.get("filters")),
        detail=truth(query.get("detail")),
        count=truth(query.get("count")),
        shared=truth(query.get("shared")),
        exclude_hrefs="exclude_hrefs" in query,
        page=page(query.get("page_marker"), query.get("page_limit"), default_limit),
    )


def from_body(body: Mapping[str, Any], default_limit: int) -> ListQuery:
    """What the body of a bulk list asks for: comma texts, and flags that are JSON booleans."""
    query: dict[str, str] = {}
    for key, value in body.items():
        if isinstance(value, str):
            query[key] = value
        elif isinstance(value, bool):
            if key != "exclude_hrefs" or value:
                query[key] = str(value)
        elif isinstance(value, int):
            query[key] = str(value)
        elif isinstance(value, list):
            query[key] = ",".join(_element(key, element) for element in value)
        elif value is not None:
            raise BadRequest(f"Bad Request, {echo(key)} cannot be {echo(value)}")
    return from_query(query, default_limit)


def _element(key: str, element: Any) -> str:
    if isinstance(element, list) and all(isinstance(part, str) for part in element):
        return ":".join(element)
    if not isinstance(element, str):
        raise BadRequest(f"Bad Request, {echo(key)} cannot hold {echo(element)}")
    return element
