"""Changes of objects, as the API tells them, on a terminal.

A title says what happens to which object; below it are the members that differ, as lines of
YAML with ``-`` before what goes and ``+`` before what comes. What changes with every write or
only repeats a name (times, uuids) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import unified_diff
from typing import Any

import typer
import yaml

Json = dict[str, Any]

SIGNS = {"create": "+", "update": "~", "delete": "-"}
COLOURS = {"+": "green", "-": "red", "~": "yellow"}

#: Members that the title says, or that say nothing.
_TOLD = frozenset({"uuid", "fq_name", "parent_type", "parent_uuid", "perms2"})


def title(change: Json) -> str:
    """What happens to which object."""
    line = f"{SIGNS[change['action']]} {change['action']} {change['type']} "
    return line + printable(":".join(change["fq_name"]))


def printable(text: str) -> str:
    """A name without what would break a line or a terminal: names are other people's words."""
    return "".join(c if c.isprintable() else "?" for c in text)


def diff(change: Json) -> list[str]:
    """The lines that go and come, with ``-``, ``+`` or a blank before them."""
    whole = change["action"] != "update"
    before, after = _shown(change["before"], whole=whole), _shown(change["after"], whole=whole)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    old = [line for name in names if name in before for line in _lines(name, before[name])]
    new = [line for name in names if name in after for line in _lines(name, after[name])]
    return [
        "..." if line.startswith("@@") else line
        for line in list(unified_diff(old, new, lineterm="", n=2))[3:]
    ]


def _shown(document: Any, *, whole: bool) -> Json:
    """The members to compare; ``whole``: the object comes or goes, its owner is no news."""
    shown: Json = {}
    for name, value in (document or {}).items():
        if name == "id_perms":
            said = {k: v for k, v in value.items() if k in ("enable", "description")}
            if said != {"enable": True}:
                shown[name] = said
        elif name not in (_TOLD if whole else _TOLD - {"perms2"}):
            shown[name] = by_name(value)
    return shown


def _is_refs(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "to" in one for one in value)


def by_name(value: Any) -> Any:
    """A value whose references, if it is such, are by name alone."""
    if not _is_refs(value):
        return value
    return [{k: v for k, v in ref.items() if k not in ("uuid", "href")} for ref in value]


def _lines(name: str, value: Any) -> list[str]:
    text: str = yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True)
    return text.splitlines()


def lines(changes: Iterable[Json]) -> Iterator[str]:
    """All of some changes, coloured where the output is a terminal."""
    for change in changes:
        text = title(change)
        source = change.get("derived_from")
        if isinstance(source, dict) and source.get("fq_name"):
            text += f"  (from {source['type']} {printable(':'.join(source['fq_name']))})"
        yield typer.style(text, fg=COLOURS[text[0]], bold=True)
        for line in diff(change):
            yield typer.style(f"    {line}", fg=COLOURS.get(line[0]) if line else None)


def counted(changes: Iterable[Json]) -> str:
    """How many are created, updated and deleted."""
    count = dict.fromkeys(SIGNS, 0)
    for change in changes:
        count[change["action"]] += 1
    return ", ".join(f"{number} to {action}" for action, number in count.items())
