"""Rules about calls, from the api-access-lists that concern a caller; what a call does.

A request is a call to its path. Operations that name a type or an object in their body are also
calls to that type: who may not update ports by ``PUT`` may not by ``ref-update`` or as a part of
a transaction either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from tungsten.api import objects, ownership, rbac
from tungsten.api.bodies import Json
from tungsten.api.callers import SYSTEM, Caller
from tungsten.api.errors import Forbidden, echo
from tungsten.api.transactions import Write
from tungsten.model import RESOURCE_TYPES, resource_type
from tungsten.model.access import ApiAccessList
from tungsten.store.base import Record, Snapshot
from tungsten.store.records import from_record

READING = frozenset({"/fqname-to-id", "/hbs-get", "/id-to-fqname", "/list-bulk-collection"})
"""POSTs that only read."""

ABOUT_CALLER = frozenset({"/obj-perms", "/aaa-mode"})
"""What a caller may ask without a rule: who it is, and what is asked of callers here."""

RULED = frozenset(
    {
        *READING,
        *ABOUT_CALLER,
        "/apply",
        "/chmod",
        "/chown",
        "/hbs-get",
        "/int-pool",
        "/int-pools",
        "/plan",
        "/prop-collection-get",
        "/prop-collection-update",
        "/ref-relax-for-delete",
        "/ref-update",
        "/security-policy-draft",
        "/set-tag",
        "/start-profile",
        "/stop-profile",
        "/transaction",
        "/useragent-kv",
        "/watch",
    }
)
"""Actions that the rules decide on, and that ask every object they touch for permission.

Others, and those that are added, are for administrators only.
"""

GLOBAL = ("default-global-system-config",)


@dataclass(frozen=True, slots=True)
class Call:
    """What a request is about, for the rules: path, letter, body; whose it is (a project's id)."""

    path: str
    letter: str
    body: Json
    query: Mapping[str, str]
    project: str = ""

    @property
    def is_reading(self) -> bool:
        """Whether nothing is changed."""
        return self.letter == "R" or self.path in READING


def rules_for(snapshot: Snapshot, caller: Caller) -> rbac.Rules:
    """The rules that concern a caller: those of the system, of its domain and of its project."""
    system = snapshot.find("global-system-config", GLOBAL)
    places = [system.uuid if system is not None else "", caller.domain_id, caller.project_id]
    lists = [snapshot.children(place, "api-access-list") for place in places if place]
    return _merged(tuple(record for some in lists for record in some))


@lru_cache(maxsize=64)
def _merged(lists: tuple[Record, ...]) -> rbac.Rules:
    """The rules of some lists as they stand: every request of a project asks for the same."""
    entries = []
    for record in lists:
        found = from_record(record)
        assert isinstance(found, ApiAccessList)
        said = found.api_access_list_entries
        entries += (said.rbac_rule if said else None) or []
    return rbac.merge(entries)


def refuse_unruled(call: Call) -> None:
    """Raise Forbidden for an action that no rule can allow."""
    about = rbac.object_of(call.path, RESOURCE_TYPES.keys())
    if about not in RESOURCE_TYPES and call.path not in RULED:
        raise Forbidden(f"Permission Denied: {echo(call.path)} is for administrators only")


def require_call(
    rules: rbac.Rules, caller: Caller, letter: str, object_: str, fields: Iterable[str] = ()
) -> None:
    """Raise Forbidden unless the rules let a caller make a call."""
    if not rbac.allows(rules, caller.roles, letter, object_, fields):
        raise Forbidden(
            f"Permission Denied for {caller.user} as {','.join(caller.roles)} to {letter} "
            f"{object_} in {caller.project}"
        )


Part = tuple[str, str, tuple[str, ...]]
"""Letter, object and fields of what a request does."""


def parts_of(snapshot: Snapshot, call: Call) -> Iterable[Part]:
    """All that a request does: the call itself, and what it does to objects of which types."""
    object_ = rbac.object_of(call.path, RESOURCE_TYPES.keys())
    inner = call.body.get(object_)
    yield call.letter, object_, tuple(inner) if isinstance(inner, dict) else ()
    match call.path:
        case "/list-bulk-collection":
            yield from _typed("R", call.body.get("type"))
        case "/hbs-get":
            yield "R", "host-based-service", ()
        case "/ref-update":
            yield from _typed("U", call.body.get("type"), _changed_reference(call.body))
        case "/set-tag":
            yield from _typed("U", call.body.get("obj_type"), ("tag_refs",))
        case "/prop-collection-update":
            yield from _of_uuid(snapshot, "U", call.body.get("uuid"), _changed_collections(call))
        case "/chown" | "/chmod":
            yield from _of_uuid(snapshot, "U", call.body.get("uuid"), ("perms2",))
        case "/ref-relax-for-delete":
            yield from _of_uuid(snapshot, "U", call.body.get("uuid"))
        case "/security-policy-draft":
            yield from _of_uuid(snapshot, "U", call.body.get("scope_uuid"))
        case "/prop-collection-get":
            yield from _of_uuid(snapshot, "R", call.query.get("uuid"))
        case "/watch":
            for name in call.query.get("resource_type", "").split(","):
                yield from _typed("R", name)
        case "/transaction":
            yield from _of_operations(snapshot, call.body.get("operations"))
        case "/apply" | "/plan":
            yield from _of_documents("CU", call.body.get("apply"))
            yield from _of_documents("D", call.body.get("delete"))
            yield from _of_operations(snapshot, call.body.get("operations"))
            if call.body.get("prune") is True and (owner := call.body.get("owner")):
                for one in ownership.owned(snapshot, owner, call.project):
                    yield "D", one.type, ()


def _typed(letter: str, name: Any, fields: tuple[str, ...] = ()) -> Iterable[Part]:
    dashed_name = name.replace("_", "-") if isinstance(name, str) else ""
    if dashed_name in RESOURCE_TYPES:
        yield letter, dashed_name, fields


def _changed_reference(body: Json) -> tuple[str, ...]:
    """The field that a ``ref-update`` changes."""
    target = body.get("ref-type")
    return (f"{target.replace('-', '_')}_refs",) if isinstance(target, str) else ()


def _changed_collections(call: Call) -> tuple[str, ...]:
    """The fields that a ``prop-collection-update`` changes."""
    updates = call.body.get("updates")
    fields = (
        [one.get("field") for one in updates if isinstance(one, dict)]
        if isinstance(updates, list)
        else []
    )
    return tuple(one for one in fields if isinstance(one, str))


def _of_uuid(
    snapshot: Snapshot, letter: str, uuid: Any, fields: tuple[str, ...] = ()
) -> Iterable[Part]:
    record = snapshot.get(uuid) if isinstance(uuid, str) else None
    if record is not None:
        yield letter, record.type, fields


def _of_documents(letters: str, documents: Any) -> Iterable[Part]:
    """Whether documents create or update is known only when it is done: both must be allowed."""
    for one in documents if isinstance(documents, list) else []:
        for name, inner in one.items() if isinstance(one, dict) else ():
            fields = tuple(inner) if isinstance(inner, dict) else ()
            for letter in letters:
                yield from _typed(letter, name, () if letter == "D" else fields)


def _of_operations(snapshot: Snapshot, operations: Any) -> Iterable[Part]:
    letters = {"create": "C", "update": "U", "delete": "D"}
    made: dict[Any, Any] = {}
    for one in operations if isinstance(operations, list) else []:
        if not isinstance(one, dict):
            continue
        operation = one.get("operation")
        if not isinstance(operation, str):
            continue
        if operation in letters:
            inner = one.get("object")
            inner = inner if isinstance(inner, dict) else {}
            yield from _typed(letters[operation], one.get("type"), tuple(inner))
            if operation == "create" and isinstance(inner.get("uuid"), str):
                made[inner["uuid"]] = one.get("type")
            continue
        call = Call(f"/{operation}", "C", one, {})
        yield from parts_of(snapshot, call)
        uuid = one.get("uuid")
        if operation == "prop-collection-update" and isinstance(uuid, str) and uuid in made:
            # It names no type, and the object is not there yet.
            yield from _typed("U", made[uuid], _changed_collections(call))


DEFAULT_RULES: tuple[tuple[str, str | None, str], ...] = (
    ("fqname-to-id", None, "CRUD"),
    ("id-to-fqname", None, "CRUD"),
    ("useragent-kv", None, "CRUD"),
    ("documentation", None, "R"),
    ("/", None, "R"),
    ("watch", None, "R"),
    ("logical-router", "logical_router_gateway_external", "R"),
)
"""What every role may do in the mode ``rbac``: (object, field, letters)."""


def ensure_default_rules(write: Write) -> None:
    """Make the list of rules that holds for everybody, if there is none yet."""
    name = (*GLOBAL, "default-api-access-list")
    if write.tx.find("api-access-list", name) is not None:
        return
    rules = [
        {
            "rule_object": object_,
            "rule_field": field or "",
            "rule_perms": [{"role_name": "*", "role_crud": letters}],
        }
        for object_, field, letters in DEFAULT_RULES
    ]
    body = {
        "fq_name": list(name),
        "parent_type": "global-system-config",
        "api_access_list_entries": {"rbac_rule": rules},
    }
    system = replace(write, caller=SYSTEM, quota={})
    objects.create(system, resource_type("api-access-list"), body)
