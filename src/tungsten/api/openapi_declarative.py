"""What the OpenAPI document says of apply, plan, history and past."""

from __future__ import annotations

from typing import Any

from tungsten.api.json_schema import FQ_NAME, UUID
from tungsten.api.openapi_actions import TEXT, TYPE, action, query, record

Json = dict[str, Any]

DOCUMENTS: Json = {
    "type": "array",
    "items": {"type": "object", "minProperties": 1, "maxProperties": 1},
    "description": "Objects as the API shows them, each under the name of its type.",
}
OWNER: Json = {
    "type": "string",
    "maxLength": 200,
    "description": "Marks the objects as this owner's, by an annotation; prune deletes what has "
    "the mark and is not among the documents.",
}
OPERATIONS: Json = {
    "type": "array",
    "items": {"type": "object"},
    "description": "Operations of /transaction, in place of documents.",
}
TIME: Json = {"type": "string", "format": "date-time"}
REVISION: Json = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}


def paths() -> Json:
    """The declarative operations by path."""
    results: Json = {
        "type": "array",
        "items": record("type", "fq_name", "result", type=TYPE, fq_name=FQ_NAME, result=TEXT),
    }
    changes: Json = {"type": "array", "items": {"type": "object"}}
    flag: Json = {"type": "boolean"}
    said = {"apply": DOCUMENTS, "delete": DOCUMENTS, "owner": OWNER, "prune": flag}
    intent = record(**said)
    planned = record(**said, operations=OPERATIONS, compile=flag)
    told = record(
        "revision", "intent", "derived", "faults",
        revision=REVISION, objects=results, results=changes, intent=changes, derived=changes,
        faults={"type": "array", "items": TEXT},
    )  # fmt: skip
    which = [
        query("uuid", "The object of this uuid.", told=UUID),
        query("fq_name_str", "The object of this name, its parts joined by colons."),
    ]
    return {
        "/apply": {
            "post": action(
                "apply",
                "Make the configuration say what documents say, all or nothing",
                sends=intent,
                answers=record("objects", objects=results),
                drafts=True,
            )
        },
        "/plan": {
            "post": action(
                "plan",
                "What that would change, and what would be compiled from it; writes nothing",
                sends=planned,
                answers=told,
            )
        },
        "/history": {
            "get": action(
                "history",
                "What changed when, the newest first",
                parameters=[
                    query("type", "Of objects of this type only.", told=TYPE),
                    *which,
                    query("before", "Changes before this revision only.", told=REVISION),
                    query("since", "Changes from this time on only.", told=TIME),
                    query("until", "Changes up to this time only.", told=TIME),
                    query(
                        "limit",
                        "How many changes; 100.",
                        told={"type": "integer", "minimum": 1, "maximum": 1000},
                    ),
                ],
                answers=record(
                    "revision",
                    "kept_since",
                    "changes",
                    revision=REVISION,
                    kept_since=REVISION,
                    changes=changes,
                ),
            )
        },
        "/past": {
            "get": action(
                "past",
                "How objects stood at a revision",
                parameters=[
                    query("type", "Of objects of this type.", told=TYPE, required=True),
                    query("revision", "At this revision; or", told=REVISION),
                    query("time", "at this time.", told=TIME),
                    *which,
                ],
                answers={"type": "object"},
            )
        },
    }
