"""Which calls a role may make: the rules of api-access-lists, evaluated.

A call has an *object*, the first part of its path with a collection folded to its type, a letter
(C for POST, R for GET, U for PUT, D for DELETE), and the fields that its body has. A rule names
an object or ``*``, perhaps a field of it, and the letters that each role has.

Rules of all lists that concern a caller are merged: for the same object and field each role has
the letters of all of them. A field that has a rule of its own must allow the call; when all
fields of the body have one that is enough. Otherwise the rule of the object decides, failing
that the rule of ``*``; without any, the call is refused.

These functions know neither requests nor the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tungsten.model.access import RbacRuleType

LETTERS = {"GET": "R", "HEAD": "R", "POST": "C", "PUT": "U", "DELETE": "D"}

BY_NAME_ONLY = frozenset({"api-access-list", "int-pool", "int-pools"})
"""What rules of ``*`` do not let anyone change: the rules themselves, and the pools of numbers,
which are nobody's and hence everybody's."""

Rules = Mapping[tuple[str, str], Mapping[str, frozenset[str]]]
"""(object, field or ``*``) -> role -> letters."""


def merge(entries: Iterable[RbacRuleType]) -> Rules:
    """Entries of several lists as one table."""
    table: dict[tuple[str, str], dict[str, frozenset[str]]] = {}
    for entry in entries:
        key = _normal((entry.rule_object or "", entry.rule_field or "*"))
        roles = table.setdefault(key, {})
        for perm in entry.rule_perms or []:
            letters = frozenset((perm.role_crud or "").upper()) & frozenset("CRUD")
            name = perm.role_name or ""
            roles[name] = roles.get(name, frozenset()) | letters
    return table


def _normal(key: tuple[str, str]) -> tuple[str, str]:
    return key[0].replace("_", "-"), key[1].replace("-", "_")


def object_of(path: str, types: Collection[str]) -> str:
    """What a path is about: ``/virtual-networks`` and below is ``virtual-network``."""
    first = path.strip("/").partition("/")[0]
    if not first:
        return "/"
    return first[:-1] if first.endswith("s") and first[:-1] in types else first


def allows(
    rules: Rules, roles: Iterable[str], letter: str, object_: str, fields: Iterable[str] = ()
) -> bool:
    """Whether one of ``roles`` may make a call."""
    held, said = [*roles, "*"], list(fields)

    def passes(key: tuple[str, str]) -> bool:
        return any(letter in rules[key].get(role, ()) for role in held)

    ruled = [field for field in said if _normal((object_, field)) in rules]
    if not all(passes(_normal((object_, field))) for field in ruled):
        return False
    if ruled and len(ruled) == len(said):
        return True
    own, all_ = _normal((object_, "*")), ("*", "*")
    if own in rules:
        return passes(own)
    by_name_only = object_ in BY_NAME_ONLY and letter != "R"
    return not by_name_only and all_ in rules and passes(all_)
