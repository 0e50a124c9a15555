"""The OpenAPI 3.1 document of the API, ``GET /openapi.json``.

What is said of resource types comes from their declarations; the actions are told in
:mod:`tungsten.api.openapi_actions`. The document is the same for every server, so it is made
once; addresses in it are relative to where it was read from.

For each type: ``<type>`` is the resource as it is answered, ``<type>.new`` and ``<type>.changes``
what is sent. A complex type has its own name.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec

from tungsten.api import (
    drafts,
    json_schema,
    openapi_actions,
    openapi_declarative,
    openapi_operations,
)
from tungsten.api.json_schema import FQ_NAME, HREF, UUID, ref
from tungsten.model import RESOURCE_TYPES, ResourceType, schema

Json = dict[str, Any]
Served = tuple[tuple[str, tuple[str, ...]], ...]

REFUSED = {"$ref": "#/components/responses/refused"}
UNAVAILABLE = {"$ref": "#/components/responses/unavailable"}

INTRODUCTION = """Configuration of the network as objects of the types below.

Success is 200. A refusal is a status and one line of plain text (declared as `text/html`, as
clients expect it) that names object, field and reason; nothing has been written then.

Integers may be sent as strings of digits. What Python holds false (0, "", [], {}) is not
checked."""


def parameter(name: str, text: str, told: Json | None = None) -> Json:
    """A query parameter."""
    return {
        "name": name,
        "in": "query",
        "description": text,
        "schema": told or {"type": "string"},
    }


def flag(name: str, text: str) -> Json:
    """A query parameter that counts by being there."""
    return parameter(name, text) | {"allowEmptyValue": True}


LIST_PARAMETERS = [
    parameter("parent_id", "Children of these: uuids, apart by commas."),
    parameter("parent_fq_name_str", "Children of this: a fq_name joined by colons."),
    parameter("parent_type", "The type of `parent_fq_name_str`."),
    parameter("back_ref_id", "Those that refer to one of these: uuids, apart by commas."),
    parameter("obj_uuids", "Of these only: uuids, apart by commas."),
    parameter("fq_names", "Of these only: fq_names joined by colons, apart by commas."),
    parameter("filters", "By properties: `name==value`, apart by commas; values in JSON or plain."),
    parameter("fields", "These members, too, of each object: names, apart by commas."),
    parameter("detail", "Whole objects.", {"enum": ["true", "false"]}),
    parameter("count", "How many there are, only.", {"enum": ["true", "false"]}),
    parameter("shared", "Those that others share, too.", {"enum": ["true", "false"]}),
    flag("exclude_hrefs", "Without addresses."),
    parameter(
        "page_marker", "By pages: empty for the first, then the `marker` of the last answer."
    ),
    parameter("page_limit", "Objects of a page.", {"type": "integer", "minimum": 1}),
]
READ_PARAMETERS = [
    parameter("fields", "These members only: names, apart by commas."),
    flag("exclude_children", "Without children."),
    flag("exclude_back_refs", "Without those that refer to it."),
    flag("exclude_hrefs", "Without addresses."),
]


def ok(told: Json, text: str = "Done.") -> Json:
    """The answers of an operation that succeeds with JSON."""
    return {
        "200": {"description": text, "content": {"application/json": {"schema": told}}},
        "4XX": REFUSED,
        "503": UNAVAILABLE,
    }


def wrapped(name: str, told: Json) -> Json:
    """An object with one member."""
    return {
        "type": "object",
        "properties": {name: told},
        "required": [name],
        "additionalProperties": False,
    }


def body(told: Json, *, required: bool = True) -> Json:
    """What a request carries."""
    return {"required": required, "content": {"application/json": {"schema": told}}}


IF_MATCH: Json = {
    "name": "If-Match",
    "in": "header",
    "description": "Entity tags (`ETag` of a read), or `*`: unless the object is in one of those "
    "states, nothing happens and the answer is 412.",
    "schema": {"type": "string", "pattern": r'^(\*|"[!#-~]*"( *, *"[!#-~]*")*)$'},
}


def _links(name: str) -> Json:
    """What can be done next with an object that was made."""
    parameters = {"uuid": f"$response.body#/{name}/uuid"}
    return {
        f"{verb}-{name}": {
            "operationId": f"{verb}-{name}",
            "parameters": parameters,
            "description": f"{verb.capitalize()} the {name} that was made.",
        }
        for verb in ("read", "update", "delete")
    }


def type_paths(declared: ResourceType) -> Json:
    """The operations on the resources of a type."""
    name, plural = declared.name, declared.plural
    common: Json = {"tags": [name]}
    empty = {"description": "Done.", "content": {"text/html": {"schema": {"const": ""}}}}
    identity = wrapped(name, {"type": "object", "properties": {"uuid": UUID, "href": HREF}})
    changed = ok(identity)
    changed["200"]["content"]["text/html"] = {"schema": {"const": ""}}
    made = ok(wrapped(name, ref("identity")))
    made["200"]["links"] = _links(name)
    gone: Json = {"200": empty, "4XX": REFUSED, "503": UNAVAILABLE}
    if name in drafts.TYPES:
        for told in (changed, made, gone):
            told["202"] = openapi_actions.in_draft(told["200"])
    return {
        f"/{plural}": {
            "get": common
            | {
                "operationId": f"list-{name}",
                "summary": f"List {plural}",
                "parameters": LIST_PARAMETERS,
                "responses": ok(_listed(declared)),
            },
            "post": common
            | {
                "operationId": f"create-{name}",
                "summary": f"Create a {name}",
                "requestBody": body(wrapped(name, ref(f"{name}.new"))),
                "responses": made,
            },
        },
        f"/{name}/{{uuid}}": {
            "parameters": [{"name": "uuid", "in": "path", "required": True, "schema": UUID}],
            "get": common
            | {
                "operationId": f"read-{name}",
                "summary": f"Read a {name}",
                "parameters": READ_PARAMETERS,
                "responses": {
                    **ok(wrapped(name, ref(name))),
                    "304": {"description": "It has not changed (`If-None-Match`)."},
                },
            },
            "put": common
            | {
                "operationId": f"update-{name}",
                "summary": f"Change a {name}",
                "parameters": [IF_MATCH],
                "requestBody": body(wrapped(name, ref(f"{name}.changes"))),
                "responses": changed,
            },
            "delete": common
            | {
                "operationId": f"delete-{name}",
                "summary": f"Delete a {name}",
                "parameters": [IF_MATCH],
                "responses": gone,
            },
        },
    }


def _listed(declared: ResourceType) -> Json:
    name = declared.name
    entries = {"type": "array", "items": {"anyOf": [ref(name), wrapped(name, ref(name))]}}
    return {
        "type": "object",
        "properties": {
            declared.plural: {"anyOf": [entries, wrapped("count", {"type": "integer"})]},
            "marker": {"type": ["string", "null"]},
        },
        "required": [declared.plural],
        "additionalProperties": False,
    }


def shared_schemas() -> Json:
    """Schemas that are no declared type."""
    return {
        "identity": {
            "type": "object",
            "properties": {
                "uuid": UUID,
                "name": json_schema.NAME,
                "fq_name": FQ_NAME,
                "href": HREF,
                "parent_type": {"type": "string"},
                "parent_uuid": UUID,
                "parent_href": HREF,
            },
            "required": ["uuid", "name", "fq_name", "href"],
            "additionalProperties": False,
        },
        "child": {
            "type": "object",
            "properties": {"to": FQ_NAME, "uuid": UUID, "href": HREF},
            "required": ["to", "uuid"],
            "additionalProperties": False,
        },
    }


@cache
def document(served: Served = ()) -> Json:
    """The document. ``served`` are the paths of actions with their methods.

    Those that :mod:`~tungsten.api.openapi_actions` does not know are told by their path alone.
    """
    types = sorted(RESOURCE_TYPES.values(), key=lambda one: one.name)
    paths: Json = {
        **openapi_actions.paths(),
        **openapi_operations.paths(),
        **openapi_declarative.paths(),
    }
    for path, methods in served:
        for method in methods:
            operation = openapi_actions.untold(path, method)
            paths.setdefault(path, {}).setdefault(method.lower(), operation)
    schemas: Json = shared_schemas()
    for name, cls in schema.complex_types().items():
        schemas[name] = json_schema.complex_type(cls)
    for declared in types:
        paths |= type_paths(declared)
        schemas[declared.name] = json_schema.answered(declared)
        schemas[f"{declared.name}.new"] = json_schema.sent(declared, new=True)
        schemas[f"{declared.name}.changes"] = json_schema.sent(declared, new=False)
    text = {"text/html": {"schema": {"type": "string"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tungsten configuration API",
            "version": version("tungsten"),
            "description": INTRODUCTION,
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": openapi_actions.TAG, "description": "What is not about one object."},
            *({"name": one.name, "description": schema.meaning(one.cls)} for one in types),
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                "refused": {"description": "Refused; the text says why.", "content": text},
                "unavailable": {
                    "description": "Starting, or nothing can be kept.",
                    "content": text,
                },
            },
        },
    }


@cache
def encoded(served: Served = ()) -> bytes:
    """The document in JSON."""
    return msgspec.json.encode(document(served))
