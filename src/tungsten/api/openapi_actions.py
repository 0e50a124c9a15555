"""What the OpenAPI document says of the actions: operations that are not about one type.

An action that is served but not told here is in the document by its path alone.
"""

from __future__ import annotations

import re
from typing import Any

from tungsten.api.json_schema import FQ_NAME, UUID

Json = dict[str, Any]

TAG = "actions"

TEXT: Json = {"type": "string"}
TYPE: Json = {"type": "string", "description": "A type, dashed or underscored."}
ACCESS: Json = {"type": "integer", "minimum": 0, "maximum": 7}
NOTHING: Json = {"type": "object", "additionalProperties": False}

REFUSED = {"$ref": "#/components/responses/refused"}
UNAVAILABLE = {"$ref": "#/components/responses/unavailable"}


def record(*required: str, **members: Any) -> Json:
    """An object with members."""
    return {"type": "object", "properties": members, "required": list(required)}


def action(
    name: str,
    summary: str,
    *,
    sends: Json | None = None,
    answers: Json | None = None,
    media: str = "application/json",
    parameters: list[Json] | None = None,
    drafts: bool = False,
) -> Json:
    """One operation. ``drafts``: what it changes may be noted in a draft."""
    told: Json = {
        "operationId": name,
        "tags": [TAG],
        "summary": summary,
        "responses": {
            "200": {"description": "Done.", "content": {media: {"schema": answers or TEXT}}},
            "4XX": REFUSED,
            "503": UNAVAILABLE,
        },
    }
    if drafts:
        told["responses"]["202"] = in_draft(told["responses"]["200"])
    if sends is not None:
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": sends}},
        }
    if parameters:
        told["parameters"] = parameters
    return told


def in_draft(done: Json) -> Json:
    """The answer 202 to what is answered ``done`` where there are no drafts."""
    return {**done, "description": "Noted in a draft, to be reviewed."}


def untold(path: str, method: str) -> Json:
    """An action of which only the path is known."""
    name = path.strip("/").replace("/", "-")
    told = action(f"{method.lower()}-{name}", f"{method} {name}", answers={})
    told["responses"]["200"]["content"]["text/html"] = {"schema": TEXT}
    if method in ("POST", "PUT", "DELETE"):
        told["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
    for each in re.findall(r"\{(\w+)\}", path):
        parameter = {"name": each, "in": "path", "required": True, "schema": TEXT}
        told.setdefault("parameters", []).append(parameter)
    return told


def query(name: str, text: str, *, required: bool = False, told: Json | None = None) -> Json:
    """A query parameter."""
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": text,
        "schema": told or TEXT,
    }


def paths() -> Json:
    """The actions by path."""
    return {**_names(), **_changes(), **_drafts(), **_permissions(), **_lists(), **_server()}


def _names() -> Json:
    return {
        "/fqname-to-id": {
            "post": action(
                "fqname-to-id",
                "The uuid of a name",
                sends=record("type", "fq_name", type=TYPE, fq_name=FQ_NAME),
                answers=record("uuid", uuid=UUID),
            )
        },
        "/id-to-fqname": {
            "post": action(
                "id-to-fqname",
                "The type and name of a uuid",
                sends=record("uuid", uuid=UUID),
                answers=record("fq_name", "type", fq_name=FQ_NAME, type=TEXT),
            )
        },
    }


def _changes() -> Json:
    reference = record("type", "uuid", "ref-type", "operation", type=TYPE, uuid=UUID)
    reference["properties"] |= {
        "ref-type": TYPE,
        "ref-uuid": {"anyOf": [UUID, {"type": "null"}]},
        "ref-fq-name": {"anyOf": [FQ_NAME, {"type": "null"}]},
        "operation": {"enum": ["ADD", "DELETE", "add", "delete"]},
        "attr": {"type": ["object", "null"]},
    }
    update = record(
        "field",
        "operation",
        field={"type": "string", "description": "A list or map property."},
        operation={"enum": ["add", "modify", "delete", "set"]},
        value={},
        position={"type": ["string", "integer"], "description": "An index, or a key of a map."},
    )
    tag = record(
        is_global={"type": "boolean"},
        value=TEXT,
        add_values={"type": "array", "items": TEXT},
        delete_values={"type": "array", "items": TEXT},
    )
    tags = record("obj_type", "obj_uuid", obj_type=TYPE, obj_uuid=UUID)
    tags["additionalProperties"] = {"anyOf": [tag, {"type": "null"}]}
    elements = {"type": "array", "items": {"type": "array", "minItems": 2, "maxItems": 2}}
    return {
        "/ref-update": {
            "post": action(
                "ref-update",
                "Add a reference to an object, or take it away",
                sends=reference,
                answers=record("uuid", uuid=UUID),
                drafts=True,
            )
        },
        "/prop-collection-update": {
            "post": action(
                "prop-collection-update",
                "Change list and map properties element by element",
                sends=record("uuid", uuid=UUID, updates={"type": "array", "items": update}),
                answers=NOTHING,
                drafts=True,
            )
        },
        "/prop-collection-get": {
            "get": action(
                "prop-collection-get",
                "Elements of list and map properties with their positions",
                parameters=[
                    query("uuid", "The object.", required=True, told=UUID),
                    query("fields", "Properties, apart by commas.", required=True),
                    query("position", "This element only."),
                ],
                answers={"type": "object", "additionalProperties": elements},
            )
        },
        "/set-tag": {
            "post": action(
                "set-tag",
                "Tag an object: by type, a value or several",
                sends=tags,
                answers=NOTHING,
                drafts=True,
            )
        },
    }


def _drafts() -> Json:
    sends = record("scope_uuid", "action", scope_uuid=UUID, action={"enum": ["commit", "discard"]})
    return {
        "/security-policy-draft": {
            "post": action(
                "security-policy-draft",
                "Take over the drafts of a project or of the system, or throw them away",
                sends=sends,
                answers=NOTHING,
            )
        }
    }


def _permissions() -> Json:
    share = record("tenant", "tenant_access", tenant=TEXT, tenant_access=ACCESS)
    mode = record("aaa-mode", **{"aaa-mode": {"enum": ["no-auth", "cloud-admin", "rbac"]}})
    return {
        "/chown": {
            "post": action(
                "chown",
                "Give an object to another project",
                sends=record("uuid", "owner", uuid=UUID, owner=UUID),
                answers=NOTHING,
            )
        },
        "/chmod": {
            "post": action(
                "chmod",
                "Say who may do what with an object",
                sends=record(
                    "uuid",
                    uuid=UUID,
                    owner=UUID,
                    owner_access=ACCESS,
                    global_access=ACCESS,
                    share={"type": "array", "items": share},
                ),
                answers=NOTHING,
            )
        },
        "/obj-perms": {
            "get": action(
                "obj-perms",
                "What the caller may do with an object",
                parameters=[query("uuid", "The object.", told=UUID)],
                answers=record("permissions", permissions=TEXT),
            )
        },
        "/aaa-mode": {
            "get": action("aaa-mode", "Who may do what is decided in this mode", answers=mode),
            "put": action(
                "aaa-mode-set",
                "Set the mode, of all servers of this store; administrators may",
                sends=mode,
                answers=mode,
            ),
        },
    }


def _lists() -> Json:
    flag, number = {"type": "boolean"}, {"type": "integer", "minimum": 1}
    asked = record(
        "type",
        type=TYPE,
        parent_id=TEXT,
        parent_fq_name_str=TEXT,
        back_ref_id=TEXT,
        obj_uuids=TEXT,
        fq_names=TEXT,
        fields=TEXT,
        filters=TEXT,
        count=flag,
        detail=flag,
        shared=flag,
        exclude_hrefs=flag,
        page_marker=TEXT,
        page_limit=number,
    )
    types = query("resource_type", "Types, underscored, apart by commas.", required=True)
    return {
        "/list-bulk-collection": {
            "post": action(
                "list-bulk-collection",
                "List objects, with more uuids than an address can hold",
                sends=asked,
                answers={"type": "object"},
            )
        },
        "/watch": {
            "get": action(
                "watch",
                "Changes of objects as server-sent events, as they happen",
                parameters=[types],
                media="text/event-stream",
            )
        },
    }


def _server() -> Json:
    page = "text/html"
    return {
        "/": {
            "get": action(
                "discovery", "Where everything is", answers=record("href", "links", href=TEXT)
            )
        },
        "/healthz": {
            "get": action(
                "healthz",
                "Whether the server is ready",
                answers=record(
                    "status",
                    "revision",
                    status=TEXT,
                    revision={"type": "integer"},
                    stale={"type": "integer"},
                ),
            )
        },
        "/metrics": {"get": action("metrics", "Counters for Prometheus", media="text/plain")},
        "/openapi.json": {"get": action("openapi", "This document", answers={"type": "object"})},
        **{
            path: {"get": _leading(f"documentation-{name}")}
            for path, name in (("/documentation", "root"), ("/documentation/", "folder"))
        },
        "/documentation/index.html": {
            "get": action("documentation", "This document as a page", media=page)
        },
        "/documentation/openapi.html": {
            "get": action("documentation-openapi", "This document as a page", media=page)
        },
    }


def _leading(name: str) -> Json:
    """An operation that leads to the page."""
    told = action(name, "Leads to the page")
    told["responses"] = {"302": {"description": "The page is at `Location`."}}
    return told
