"""A page that lists the resource types: their parents, properties and references."""

from __future__ import annotations

from functools import cache
from html import escape
from inspect import getdoc

from tungsten.model import RESOURCE_TYPES, ResourceType


@cache
def page() -> str:
    """The page, in HTML."""
    sections = "".join(_section(one) for _, one in sorted(RESOURCE_TYPES.items()))
    index = ", ".join(f'<a href="#{name}">{name}</a>' for name in sorted(RESOURCE_TYPES))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Resource types</title>'
        f"</head><body><h1>Resource types</h1><p>{index}</p>{sections}</body></html>"
    )


def _section(declared: ResourceType) -> str:
    parents = ", ".join(declared.parents) or "none"
    rows = [
        (name, field.type_name + (", only the system sets it" if field.system_only else ""))
        for name, field in declared.properties.items()
    ]
    rows += [
        (
            name,
            f"references to {one.target}" + (f", saying {one.attr.__name__}" if one.attr else ""),
        )
        for name, one in declared.references.items()
    ]
    table = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in rows)
    return (
        f'<h2 id="{declared.name}">{declared.name}</h2><p>{escape(getdoc(declared.cls) or "")}</p>'
        f"<p>Below: {escape(parents)}. <code>/{declared.plural}</code></p><table>{table}</table>"
    )
