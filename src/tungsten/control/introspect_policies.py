"""What the control node shows of routing policies: their terms, where they act, what they match.

What a term matches is counted when somebody asks, by judging the paths that are there: it is never
out of date, and costs nothing while nobody looks. A path counts for each term that matched it on
the way to its verdict.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tungsten.bgp import communities
from tungsten.introspect import AnyRequest, Request, decode_cursor, encode_cursor

from .introspect_structs import (
    PolicyTermInfo,
    ShowBgpRoutingPolicyConfig,
    ShowBgpRoutingPolicyConfigReq,
    ShowBgpRoutingPolicyConfigReqIterate,
    ShowBgpRoutingPolicyConfigResp,
    ShowBgpRoutingPolicyTermConfig,
    ShowRoutingPolicyInfo,
    ShowRoutingPolicyReq,
    ShowRoutingPolicyReqIterate,
    ShowRoutingPolicyResp,
)
from .routing_policy import (
    POLICY_FAMILIES,
    Action,
    Change,
    CommunityMatch,
    PrefixMatch,
    RoutingPolicy,
    Term,
)
from .tables import Table

if TYPE_CHECKING:
    from .instances import Instance, Instances

ROWS = 64
SLICE = 512
#: Paths that a term matches: by policy name and number of the term.
Counts = Counter[tuple[str, int]]


def policy_requests(
    instances: Instances, policies: Callable[[], Iterable[RoutingPolicy]]
) -> list[AnyRequest]:
    """The pages about routing policies; ``policies`` are those of the configuration."""

    def page(search: str, after: str) -> tuple[list[RoutingPolicy], str]:
        wanted = sorted(
            (each for each in policies() if search in each.name and each.name > after),
            key=lambda each: each.name,
        )
        shown = wanted[:ROWS]
        return shown, encode_cursor(search, shown[-1].name) if len(wanted) > ROWS else ""

    async def answer(search: str, after: str = "") -> ShowRoutingPolicyResp:
        shown, cursor = page(search, after)
        rows = await show_policies(shown, instances)
        return ShowRoutingPolicyResp(routing_policies=rows, next_batch=cursor)

    def configured(search: str, after: str = "") -> ShowBgpRoutingPolicyConfigResp:
        shown, cursor = page(search, after)
        rows = [_configured(each) for each in shown]
        return ShowBgpRoutingPolicyConfigResp(routing_policies=rows, next_batch=cursor)

    async def first(form: ShowRoutingPolicyReq) -> ShowRoutingPolicyResp:
        return await answer(form.search_string)

    async def iterate(form: ShowRoutingPolicyReqIterate) -> ShowRoutingPolicyResp:
        return await answer(*decode_cursor(form.iterate_info, 2))

    def go_on(form: ShowBgpRoutingPolicyConfigReqIterate) -> ShowBgpRoutingPolicyConfigResp:
        return configured(*decode_cursor(form.iterate_info, 2))

    return [
        Request(ShowRoutingPolicyReq, first, "bgp_peer"),
        Request(ShowRoutingPolicyReqIterate, iterate, "bgp_peer"),
        Request(
            ShowBgpRoutingPolicyConfigReq, lambda form: configured(form.search_string), "bgp_config"
        ),
        Request(ShowBgpRoutingPolicyConfigReqIterate, go_on, "bgp_config"),
    ]


async def show_policies(
    policies: Iterable[RoutingPolicy], instances: Instances
) -> list[ShowRoutingPolicyInfo]:
    """Policies, where they act and what they match there."""
    policies = list(policies)
    names = {policy.name for policy in policies}
    users: dict[str, list[str]] = {}
    counts: Counts = Counter()
    for instance in list(instances):
        used = names & {policy.name for policy in instance.config.policies}
        for name in used:
            users.setdefault(name, []).append(instance.name)
        if used:
            await _count(instance, counts)
    return [
        ShowRoutingPolicyInfo(
            name=policy.name,
            ref_count=len(users.get(policy.name, ())),
            terms=[
                _term(term, counts[policy.name, index]) for index, term in enumerate(policy.terms)
            ],
            instances=sorted(users.get(policy.name, ())),
        )
        for policy in policies
    ]


async def _count(instance: Instance, counts: Counts) -> None:
    for family in POLICY_FAMILIES:
        await _count_table(instance.tables[family], counts)


async def _count_table(table: Table, counts: Counts) -> None:
    """Judge the paths of a table, in slices; others may work in between."""
    snapshot = list(table.routes())
    for start in range(0, len(snapshot), SLICE):
        await asyncio.sleep(0)
        judge = table.policy
        if judge is None:
            return
        for route in snapshot[start : start + SLICE]:
            for path in route.paths:
                for policy, term in judge.verdict(route.key, path).terms:
                    counts[judge.policies[policy].name, term] += 1


# --- terms as text


def _configured(policy: RoutingPolicy) -> ShowBgpRoutingPolicyConfig:
    terms = [
        ShowBgpRoutingPolicyTermConfig(
            match=", ".join(matches(term)), action=", ".join(actions(term))
        )
        for term in policy.terms
    ]
    return ShowBgpRoutingPolicyConfig(name=policy.name, terms=terms)


def _term(term: Term, paths: int) -> PolicyTermInfo:
    return PolicyTermInfo(
        terminal=term.action in (Action.ACCEPT, Action.REJECT),
        matches=list(matches(term)),
        actions=list(actions(term)),
        paths=paths,
        problem=term.problem,
    )


def matches(term: Term) -> Iterator[str]:
    """The conditions of a term."""
    condition = term.condition
    if term.problem:
        yield f"nothing: {term.problem}"
    if condition.protocols:
        yield f"protocol [ {' '.join(sorted(condition.protocols))} ]"
    if condition.prefixes:
        yield f"prefix [ {', '.join(map(_prefix, condition.prefixes))} ]"
    for name, wanted in (
        ("community", condition.communities),
        ("extcommunity", condition.extended),
    ):
        if wanted is not None:
            yield f"{name} ({'all' if wanted.all_of else 'any'}) [ {' '.join(_listed(wanted))} ]"


def actions(term: Term) -> Iterator[str]:
    """What a term does."""
    update = term.update
    if update.expand:
        yield f"as-path expand [ {' '.join(map(str, update.expand))} ]"
    yield from _changes("community", update.communities)
    yield from _changes("extcommunity", update.extended)
    if update.local_preference is not None:
        yield f"local-pref {update.local_preference}"
    if update.med is not None:
        yield f"med {update.med}"
    if not term.problem:
        yield term.action.value


def _prefix(prefix: PrefixMatch) -> str:
    if (prefix.least, prefix.most) == (prefix.length, prefix.length):
        kind = "exact"
    else:
        kind = "longer" if prefix.least > prefix.length else "orlonger"
    return f"{ip_address(prefix.address)}/{prefix.length} {kind}"


def _listed(wanted: CommunityMatch[int] | CommunityMatch[bytes]) -> list[str]:
    patterns = [pattern.text for pattern in wanted.patterns]
    return sorted(map(_text, wanted.exact)) + patterns


def _changes(name: str, change: Change[int] | Change[bytes]) -> Iterator[str]:
    if change.only is not None:
        yield f"{name} set [ {' '.join(map(_text, change.only))} ]"
    if change.added:
        yield f"{name} add [ {' '.join(map(_text, change.added))} ]"
    gone = sorted(map(_text, change.removed)) + [pattern.text for pattern in change.patterns]
    if gone:
        yield f"{name} remove [ {' '.join(gone)} ]"


def _text(community: int | bytes) -> str:
    if isinstance(community, int):
        return communities.community_text(community)
    return communities.extended_text(community)
