"""Routing policies from their objects in the configuration.

A ``routing-policy`` is attached to a routing instance by a reference that says where it stands
among the others; it becomes a :class:`~tungsten.control.routing_policy.RoutingPolicy`. Policies
for devices (``term_type`` of ``network-device``) do not act here.

What cannot be read does not make a term match more than it says: the whole term matches nothing,
which is logged and shown (``Snh_ShowRoutingPolicyReq``).

Communities are named as ``64512:100`` or by their well-known names, extended ones as introspect
shows them (``target:64512:8000003``). What is neither is a pattern for that text
(:mod:`~tungsten.control.routing_policy_patterns`); a ``*`` in ``64512:*`` stands for any digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from typing import TypeVar

from tungsten.bgp import communities
from tungsten.bgp.families import INET, INET6
from tungsten.model.routing_policies import (
    ActionCommunityType,
    ActionExtCommunityType,
    ActionUpdateType,
    PolicyTermType,
    PrefixMatchType,
    TermActionListType,
    TermMatchConditionType,
)
from tungsten.model.routing_policies import RoutingPolicy as PolicyObject

from .routing_policy import (
    PROTOCOL_WORDS,
    Action,
    Change,
    CommunityMatch,
    Condition,
    PrefixMatch,
    RoutingPolicy,
    Term,
    Update,
)
from .routing_policy_patterns import Pattern

_ACTIONS = {
    ("accept", None): Action.ACCEPT,
    ("reject", None): Action.REJECT,
    ("next", None): Action.NEXT_TERM,
    ("next", "term"): Action.NEXT_TERM,
    ("next", "policy"): Action.NEXT_POLICY,
}
#: Conditions and actions that only devices understand.
_OF_DEVICES = (
    "family",
    "as_path",
    "external",
    "local_pref",
    "nlri_route_type",
    "prefix_list",
    "route_filter",
)
_ACTIONS_OF_DEVICES = ("external", "as_path_expand", "as_path_prepend")
_GLOB = re.compile(r"[0-9*]+:[0-9*]+")
_LARGEST = 0xFFFFFFFF
C = TypeVar("C", int, bytes)


def routing_policy(found: PolicyObject) -> RoutingPolicy | None:
    """The policy of an object; None if it does not act in control nodes."""
    if found.term_type == "network-device":
        return None
    entries = found.routing_policy_entries
    terms = (entries.term if entries is not None else None) or ()
    return RoutingPolicy(":".join(found.fq_name), tuple(map(_term, terms)))


def place(sequence: str | None) -> tuple[bool, tuple[int, ...], str]:
    """Where a sequence number (``1``, ``1.5``) puts a policy; those without one come last."""
    parts = (sequence or "").split(".")
    if all(part.isdecimal() for part in parts):
        return False, tuple(map(int, parts)), ""
    return True, (), sequence or ""


def _term(given: PolicyTermType) -> Term:
    try:
        condition = _condition(given.term_match_condition or TermMatchConditionType())
        actions = given.term_action_list or TermActionListType()
        return Term(condition, *_actions(actions))
    except ValueError as problem:
        return Term(problem=str(problem))


# --- conditions


def _condition(given: TermMatchConditionType) -> Condition:
    for name in _OF_DEVICES:
        if getattr(given, name) not in (None, []):
            raise ValueError(f"{name}: only devices can tell")
    protocols = frozenset(given.protocol or ())
    if unknown := protocols - PROTOCOL_WORDS:
        raise ValueError(f"protocol: {', '.join(sorted(unknown))} is not known to control nodes")
    listed = [*(given.community_list or ()), *([given.community] if given.community else ())]
    return Condition(
        protocols,
        tuple(map(_prefix, given.prefix or ())),
        _match(listed, given.community_match_all, "community", communities.parse_community),
        _match(
            given.extcommunity_list or (),
            given.extcommunity_match_all,
            "extcommunity",
            communities.parse_extended,
        ),
    )


def _prefix(given: PrefixMatchType) -> PrefixMatch:
    try:
        network = ip_network(given.prefix or "", strict=False)
    except ValueError as error:
        raise ValueError(f"prefix: {error}") from None
    kind = given.prefix_type or "exact"
    length, longest = network.prefixlen, network.max_prefixlen
    reach = {"exact": (length, length), "longer": (length + 1, longest)}
    if kind not in reach and kind != "orlonger":
        raise ValueError(f"prefix_type: {kind} is not exact, longer or orlonger")
    family = INET if network.version == 4 else INET6
    address = network.network_address.packed
    return PrefixMatch(family, address, length, *reach.get(kind, (length, longest)))


def _match(
    listed: Iterable[str], all_of: bool | None, name: str, parse: Callable[[str], C]
) -> CommunityMatch[C] | None:
    exact, patterns = _sorted_out(listed, name, parse)
    if not exact and not patterns:
        return None
    return CommunityMatch(frozenset(exact), tuple(patterns), bool(all_of))


def _sorted_out(
    listed: Iterable[str], name: str, parse: Callable[[str], C]
) -> tuple[list[C], list[Pattern]]:
    """The communities among texts, and the patterns."""
    exact: list[C] = []
    patterns: list[Pattern] = []
    for text in listed:
        try:
            exact.append(parse(text))
        except ValueError:
            try:
                patterns.append(Pattern(_pattern(text)))
            except ValueError as problem:
                raise ValueError(f"{name}: {problem}") from None
    return exact, patterns


def _pattern(text: str) -> str:
    return text.replace("*", "[0-9]*") if _GLOB.fullmatch(text) else text


# --- actions


def _actions(given: TermActionListType) -> tuple[Update, Action]:
    for name in _ACTIONS_OF_DEVICES:
        if getattr(given, name):
            raise ValueError(f"{name}: only devices can do that")
    said = (given.action or "next", given.action_next_value if given.action == "next" else None)
    action = _ACTIONS.get(said)
    if action is None:
        raise ValueError(f"action: {' '.join(filter(None, said))} is not known")
    return _update(given.update or ActionUpdateType()), action


def _update(given: ActionUpdateType) -> Update:
    expand = given.as_path.expand if given.as_path is not None else None
    asns = tuple((expand.asn_list if expand is not None else None) or ())
    if any(not 0 < asn <= _LARGEST for asn in asns) or len(asns) > 255:
        raise ValueError("as_path: expected at most 255 AS numbers from 1 to 4294967295")
    for name, value in (("local_pref", given.local_pref), ("med", given.med)):
        if value is not None and not 0 <= value <= _LARGEST:
            raise ValueError(f"{name}: {value} is not between 0 and {_LARGEST}")
    return Update(
        asns,
        _change(given.community, "community", communities.parse_community),
        _change(given.extcommunity, "extcommunity", communities.parse_extended),
        given.local_pref,
        given.med,
    )


def _change(
    given: ActionCommunityType | ActionExtCommunityType | None,
    name: str,
    parse: Callable[[str], C],
) -> Change[C]:
    if given is None:
        return Change()
    only, added, removed = (
        (each.community or []) if each is not None else []
        for each in (given.set, given.add, given.remove)
    )
    gone, patterns = _sorted_out(removed, f"{name} remove", parse)
    return Change(
        _named(only, f"{name} set", parse) if only else None,
        _named(added, f"{name} add", parse),
        frozenset(gone),
        tuple(patterns),
    )


def _named(listed: Iterable[str], name: str, parse: Callable[[str], C]) -> tuple[C, ...]:
    found = []
    for text in listed:
        try:
            found.append(parse(text))
        except ValueError as problem:
            raise ValueError(f"{name}: {problem}") from None
    return tuple(dict.fromkeys(found))
