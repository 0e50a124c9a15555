"""A page to browse what the API takes and answers, made of the OpenAPI document.

It stands alone: no scripts, nothing loaded from elsewhere. Each type is a section that opens on
demand, with its operations and its members; each complex type is a section that members lead to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from html import escape
from typing import Any

from tungsten.api import json_schema, openapi, openapi_actions
from tungsten.model import RESOURCE_TYPES, ResourceType, schema

Json = dict[str, Any]

CONTENT_SECURITY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser lets the page do: show itself."""

STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
code{font-size:.92em}
summary{cursor:pointer;padding:.15rem 0}
details{margin:.2rem 0}details[open]{margin-bottom:1rem}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-top:1px solid #8884}
.method{display:inline-block;min-width:4.5em;font-weight:600}
nav{columns:18rem}nav a{display:block}
"""


@cache
def page(served: openapi.Served = ()) -> str:
    """The page, in HTML. ``served`` are the paths of actions with their methods."""
    told = openapi.document(served)
    types = sorted(RESOURCE_TYPES.values(), key=lambda one: one.name)
    index = "".join(f'<a href="#{one.name}">{one.name}</a>' for one in types)
    actions = "".join(
        _action(path, method, operation)
        for path, item in told["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict) and openapi_actions.TAG in operation.get("tags", ())
    )
    complexes = "".join(_complex(name, told) for name in schema.complex_types())
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(told['info']['title'])}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(told['info']['title'])}</h1>{_paragraphs(told['info']['description'])}"
        '<p>For programs: <a href="/openapi.json">/openapi.json</a>.</p>'
        f"<h2>Actions</h2>{actions}"
        f"<h2>Resource types</h2><nav>{index}</nav>"
        f"{''.join(_type(one, told) for one in types)}"
        f"<h2>Complex types</h2>{complexes}</body></html>"
    )


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_inline(one)}</p>" for one in text.split("\n\n") if one.strip())


def _inline(text: str) -> str:
    """Text with its code marked: what stands between backquotes, single or double."""
    return re.sub(r"(`+)(.+?)\1", r"<code>\2</code>", escape(text, quote=False))


def _operation(path: str, method: str, summary: str) -> str:
    return (
        f'<span class="method">{method.upper()}</span> <code>{escape(path)}</code> '
        f"{_inline(summary)}"
    )


def _action(path: str, method: str, operation: Json) -> str:
    rows = [
        (f"<code>{escape(one['name'])}</code>", "in the query", _inline(one["description"]))
        for one in operation.get("parameters", ())
    ]
    sent = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    rows += _members(sent.get("schema", {}), "sent")
    done = operation["responses"].get("200", {}).get("content", {})
    rows += _members(done.get("application/json", {}).get("schema", {}), "answered")
    rows += _statuses(operation)
    head = f"<summary>{_operation(path, method, operation['summary'])}</summary>"
    return f"<details>{head}{_table(rows)}</details>"


def _statuses(operation: Json) -> list[tuple[str, str, str]]:
    """Answers of an operation beside 200 and refusals."""
    return [
        (f"<code>{status}</code>", "answered", _inline(one["description"]))
        for status, one in operation["responses"].items()
        if status[0] in "23" and status != "200"
    ]


def _members(told: Json, where: str) -> list[tuple[str, str, str]]:
    return [
        (
            f"<code>{escape(name)}</code>",
            f"{where}: {_kind(one)}",
            _inline(one.get("description", "")),
        )
        for name, one in told.get("properties", {}).items()
    ]


def _also(operation: Json) -> str:
    """The answers of :func:`_statuses`, in a line."""
    return "".join(f" {status}: {said}" for status, _, said in _statuses(operation))


def _type(declared: ResourceType, told: Json) -> str:
    """A resource type: its operations, then its members."""
    name = declared.name
    paths = (f"/{declared.plural}", f"/{name}/{{uuid}}")
    operations = "".join(
        f"<div>{_operation(path, method, operation['summary'])}{_also(operation)}</div>"
        for path in paths
        for method, operation in told["paths"][path].items()
        if isinstance(operation, dict)
    )
    parents = ", ".join(f'<a href="#{one}">{one}</a>' for one in declared.parents)
    members = told["components"]["schemas"][name]["properties"]
    rows = [
        (f"<code>{one}</code>", _property(one, declared, members), _note(members[one]))
        for one in declared.properties
    ]
    rows += [
        (f"<code>{one}</code>", _reference(one, declared), _note(members[one]))
        for one in declared.references
    ]
    rows += [
        (f"<code>{field}</code>", f'children: <a href="#{child.type}">{child.type}</a>', "")
        for field, child in declared.children.items()
    ]
    rows += [
        (f"<code>{field}</code>", f'referred to by <a href="#{one.type}">{one.type}</a>', "")
        for field, one in declared.back_references.items()
    ]
    return (
        f'<details id="{name}"><summary><b>{name}</b> '
        f"{_inline(schema.meaning(declared.cls))}</summary>"
        f"<p>Below: {parents or 'nothing'}.</p>{operations}{_table(rows)}</details>"
    )


def _property(name: str, declared: ResourceType, members: Json) -> str:
    only = ", only the system sets it" if declared.properties[name].system_only else ""
    return _kind(members[name]) + only


def _reference(name: str, declared: ResourceType) -> str:
    reference = declared.references[name]
    saying = ""
    if reference.attr is not None:
        attr = reference.attr.__name__
        saying = f', saying <a href="#{attr}">{attr}</a>'
    return f'references to <a href="#{reference.target}">{reference.target}</a>{saying}'


def _complex(name: str, told: Json) -> str:
    one = told["components"]["schemas"][name]
    rows = [
        (f"<code>{field}</code>", _kind(member), _note(member))
        for field, member in one["properties"].items()
    ]
    head = f"<summary><b>{name}</b> {_inline(one['description'])}</summary>"
    return f'<details id="{name}">{head}{_table(rows)}</details>'


def _note(told: Json) -> str:
    default = f" Default {told['default']}." if "default" in told else ""
    return _inline(told.get("description", "")) + escape(default)


def _kind(told: Json) -> str:
    """A schema in a few words."""
    if "$ref" in told:
        name = told["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in told:
        return " or ".join(dict.fromkeys(_kind(one) for one in told["anyOf"]))
    if "const" in told:
        return escape(str(told["const"]))
    if "enum" in told:
        return " | ".join(f"<code>{escape(str(one))}</code>" for one in told["enum"])
    kind = told.get("type", "anything")
    low = told.get("minimum", json_schema.SMALLEST)
    if kind == "array":
        return f"list of {_kind(told.get('items', {}))}"
    if kind == "integer" and low > json_schema.SMALLEST:
        return f"{low} to {told['maximum']}" if "maximum" in told else f"{low} or more"
    return kind if isinstance(kind, str) else " or ".join(kind)


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{cells}</table>" if cells else ""
