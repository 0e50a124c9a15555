"""Routing policies: which routes of an instance are used, and with what attributes.

A :class:`RoutingPolicy` is a value: terms in order, each with conditions, updates, and what then
happens. The policies of an instance, in their order, act on every path in its tables of IPv4 and
IPv6 prefixes: those that were said there and the copies that came from elsewhere. Left alone are
copies of service chain routes, on which the policy of the other end has acted, and copies that
come from this node's own sub-cluster.

What comes of a path is a function of the path as it was said and of the policies, and of nothing
else: judging always begins with the attributes that were said (``Path.original`` keeps them where
policy made others of them), so neither the order of configuration and routes nor how often a path
is judged matters. A term sees what the terms before it made.

* ``reject``: the path keeps its attributes and stays visible, but is not used
  (``PathFlag.ROUTING_POLICY_REJECT``).
* ``accept``: its attributes are those made so far; no further term or policy is asked.
* ``next`` (also when a term says nothing): the next term, or with ``next policy`` the next policy.
  Where no term decides, the path is accepted with what was made of it.

Which of the prefixes given a route fits is asked once for it, as bits (:meth:`TablePolicy.fits`);
all else depends on the attributes and on who speaks, so both cores remember verdicts by these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from msgspec import structs

from tungsten.bgp import communities
from tungsten.bgp.as_path import AS_SEQUENCE, MAX_PATH_LENGTH, Segment, path_length
from tungsten.bgp.attributes import PathAttributes
from tungsten.bgp.families import INET, INET6, Family

from .paths import ATTRIBUTES, Path, PathFlag, Protocol
from .routing_policy_patterns import Pattern

#: The families of the tables on which policies act.
POLICY_FAMILIES = (INET, INET6)
_REMEMBERED = 2048
_LONGEST_SEGMENT = 255
#: A change after which a path had more communities than this is not made.
MOST_COMMUNITIES = 1024
#: Words of the protocol condition that name who speaks; others name the sub-protocol.
_PROTOCOLS = {
    "xmpp": Protocol.XMPP,
    "bgp": Protocol.BGP,
    "static": Protocol.STATIC,
    "service-chain": Protocol.SERVICE_CHAIN,
    "aggregate": Protocol.AGGREGATE,
}
_SUB_PROTOCOLS = frozenset({"interface", "interface-static", "service-interface", "bgpaas"})
PROTOCOL_WORDS = frozenset(_PROTOCOLS) | _SUB_PROTOCOLS
#: A community, or an extended one.
C = TypeVar("C", int, bytes)


@dataclass(frozen=True, slots=True)
class PrefixMatch:
    """Prefixes of ``least`` to ``most`` bits within the first ``length`` bits of ``address``."""

    family: Family
    address: bytes
    length: int
    least: int
    most: int

    def fits(self, key: bytes) -> bool:
        """Whether a route key of the family is one of them."""
        length = self.length
        if not self.least <= key[0] <= self.most:
            return False
        whole, spare = length >> 3, length & 7
        if key[1 : 1 + whole] != self.address[:whole]:
            return False
        return not spare or not (key[1 + whole] ^ self.address[whole]) >> (8 - spare)


@dataclass(frozen=True, slots=True)
class CommunityMatch(Generic[C]):
    """Communities of a route: all of those listed, or any. Patterns are matched with their text."""

    exact: frozenset[C]
    patterns: tuple[Pattern, ...] = ()
    all_of: bool = False

    def fits(self, held: tuple[C, ...]) -> bool:
        """Whether what a route carries is enough."""
        found = set(held)
        if self.all_of:
            return found.issuperset(self.exact) and all(
                any(pattern.matches(_text(each)) for each in held) for pattern in self.patterns
            )
        return not found.isdisjoint(self.exact) or any(
            pattern.matches(_text(each)) for pattern in self.patterns for each in held
        )


def _text(community: int | bytes) -> str:
    if isinstance(community, int):
        return communities.community_text(community)
    return communities.extended_text(community)


@dataclass(frozen=True, slots=True)
class Condition:
    """What a path must be like: all that is said here. Of a list, one must fit."""

    protocols: frozenset[str] = frozenset()
    prefixes: tuple[PrefixMatch, ...] = ()
    communities: CommunityMatch[int] | None = None
    extended: CommunityMatch[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Change(Generic[C]):
    """What becomes of communities: ``only`` stand in place of those held, then some come and go.

    Those that fit a pattern of ``patterns`` go as well.
    """

    only: tuple[C, ...] | None = None
    added: tuple[C, ...] = ()
    removed: frozenset[C] = frozenset()
    patterns: tuple[Pattern, ...] = ()

    def of(self, held: tuple[C, ...]) -> tuple[C, ...]:
        """The communities that result, each once, in a steady order."""
        if self.only is None and not (self.added or self.removed or self.patterns):
            return held
        wanted: dict[C, None] = dict.fromkeys(held if self.only is None else self.only)
        wanted |= dict.fromkeys(self.added)
        made = tuple(
            each
            for each in wanted
            if each not in self.removed and not any(p.matches(_text(each)) for p in self.patterns)
        )
        return made if len(made) <= MOST_COMMUNITIES else held


@dataclass(frozen=True, slots=True)
class Update:
    """What becomes of a path's attributes."""

    expand: tuple[int, ...] = ()
    communities: Change[int] = Change()
    extended: Change[bytes] = Change()
    local_preference: int | None = None
    med: int | None = None

    def of(self, held: PathAttributes) -> PathAttributes:
        """The attributes that result."""
        changed = structs.replace(
            held,
            as_path=_expanded(held.as_path, self.expand),
            communities=self.communities.of(held.communities),
            extended_communities=self.extended.of(held.extended_communities),
        )
        if self.local_preference is not None:
            changed = structs.replace(changed, local_preference=self.local_preference)
        if self.med is not None:
            changed = structs.replace(changed, med=self.med)
        return changed


_NO_UPDATE = Update()


def _expanded(path: tuple[Segment, ...], asns: tuple[int, ...]) -> tuple[Segment, ...]:
    """An AS path with some in front; as it was if it would become too long to be told."""
    if not asns or path_length(path) + len(asns) > MAX_PATH_LENGTH:
        return path
    if path and path[0].kind == AS_SEQUENCE and len(path[0].asns) + len(asns) <= _LONGEST_SEGMENT:
        return (Segment(AS_SEQUENCE, (*asns, *path[0].asns)), *path[1:])
    return (Segment(AS_SEQUENCE, asns), *path)


class Action(Enum):
    """What happens after a term; the value is what operators see."""

    ACCEPT = "accept"
    REJECT = "reject"
    NEXT_TERM = "next"
    NEXT_POLICY = "next policy"


@dataclass(frozen=True, slots=True)
class Term:
    """Which paths, what becomes of them, and what then. With a ``problem`` it matches nothing."""

    condition: Condition = Condition()
    update: Update = _NO_UPDATE
    action: Action = Action.NEXT_TERM
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """Terms in order. ``name`` is the fq_name joined by colons."""

    name: str
    terms: tuple[Term, ...] = ()


class Verdict(NamedTuple):
    """What came of a path: its attributes, whether it is rejected, and by which terms.

    ``terms`` are those that matched, in order: number of the policy and of the term in it.
    """

    attributes: PathAttributes
    rejected: bool
    terms: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who says a path, as far as policies ask. ``replicated`` tells a copy."""

    protocol: Protocol
    sub_protocol: str = ""
    replicated: bool = False

    @classmethod
    def of(cls, path: Path) -> Speaker:
        """Who says a path."""
        return cls(path.source.protocol, path.sub_protocol, not path.is_primary)

    def says_by(self, words: frozenset[str]) -> bool:
        """Whether one of the protocols named is how it speaks."""
        return self.sub_protocol in _SUB_PROTOCOLS & words or any(
            _PROTOCOLS.get(word) is self.protocol for word in words
        )


@dataclass(slots=True)
class TablePolicy:
    """The policies of an instance as they act in one of its tables.

    ``sub_cluster`` is the community of this node's own sub-cluster, empty when it is in none.
    """

    family: Family
    policies: tuple[RoutingPolicy, ...]
    sub_cluster: bytes = b""
    #: The prefix conditions, each once; bit N of what :meth:`fits` answers is for the one of N.
    conditions: list[tuple[PrefixMatch, ...]] = field(init=False)
    _numbers: dict[tuple[PrefixMatch, ...], int] = field(init=False)
    _known: dict[tuple[PathAttributes, Speaker, int], Verdict] = field(init=False)

    def __post_init__(self) -> None:
        terms = (term for policy in self.policies for term in policy.terms)
        wanted = (term.condition.prefixes for term in terms if not term.problem)
        self._numbers = {}
        for prefixes in wanted:
            if prefixes:
                self._numbers.setdefault(prefixes, len(self._numbers))
        self.conditions = [
            tuple(each for each in prefixes if each.family == self.family)
            for prefixes in self._numbers
        ]
        self._known = {}

    def fits(self, key: bytes) -> int:
        """The prefix conditions that a route key fits, as bits."""
        bits = 0
        for number, prefixes in enumerate(self.conditions):
            if any(prefix.fits(key) for prefix in prefixes):
                bits |= 1 << number
        return bits

    def apply(self, key: bytes, path: Path) -> Path:
        """A path of a route as the policies have it; the same object if nothing changes."""
        said, verdict = path.said, self.verdict(key, path)
        rejected = PathFlag.ROUTING_POLICY_REJECT
        flags = path.flags | rejected if verdict.rejected else path.flags & ~rejected
        original = None if verdict.attributes is said else said
        if (path.attributes, path.original) == (verdict.attributes, original):
            return path if flags == path.flags else replace(path, flags=flags)
        return replace(path, attributes=verdict.attributes, original=original, flags=flags)

    def verdict(self, key: bytes, path: Path) -> Verdict:
        """What comes of a path of a route."""
        said, speaker, fits = path.said, Speaker.of(path), self.fits(key)
        about = (said, speaker, fits)
        verdict = self._known.get(about)
        if verdict is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            verdict = self._known[about] = self.judge(said, speaker, fits)
        return verdict

    def judge(self, said: PathAttributes, speaker: Speaker, fits: int) -> Verdict:
        """What comes of a path; the attributes are interned, and ``said`` where nothing changes."""
        made, matched = said, []
        if self._is_exempt(said, speaker):
            return Verdict(said, False, ())
        for number, policy in enumerate(self.policies):
            for index, term in self._matching(policy, speaker, fits):
                if not _carries(term.condition, made):
                    continue
                matched.append((number, index))
                if term.action is Action.REJECT:
                    return Verdict(said, True, tuple(matched))
                if term.update != _NO_UPDATE:
                    made = term.update.of(made)
                if term.action is Action.ACCEPT:
                    return self._made(said, made, matched)
                if term.action is Action.NEXT_POLICY:
                    break
        return self._made(said, made, matched)

    def _made(
        self, said: PathAttributes, made: PathAttributes, matched: list[tuple[int, int]]
    ) -> Verdict:
        attributes = said if made == said else ATTRIBUTES.intern(made)
        return Verdict(attributes, False, tuple(matched))

    def _is_exempt(self, said: PathAttributes, speaker: Speaker) -> bool:
        if not speaker.replicated:
            return False
        if speaker.protocol is Protocol.SERVICE_CHAIN:
            return True
        return bool(self.sub_cluster) and self.sub_cluster in said.extended_communities

    def _matching(
        self, policy: RoutingPolicy, speaker: Speaker, fits: int
    ) -> Iterator[tuple[int, Term]]:
        """The terms that a route fits whatever its attributes, with their numbers."""
        for index, term in enumerate(policy.terms):
            condition = term.condition
            if term.problem:
                continue
            if condition.prefixes and not fits >> self._numbers[condition.prefixes] & 1:
                continue
            if condition.protocols and not speaker.says_by(condition.protocols):
                continue
            yield index, term


def _carries(condition: Condition, held: PathAttributes) -> bool:
    """Whether attributes are as a condition wants them."""
    plain, extended = condition.communities, condition.extended
    return (plain is None or plain.fits(held.communities)) and (
        extended is None or extended.fits(held.extended_communities)
    )


def problems(policies: Iterable[RoutingPolicy]) -> list[str]:
    """What is wrong with the terms that match nothing, as operators are told."""
    return [
        f"{policy.name} term {index + 1}: {term.problem}"
        for policy in policies
        for index, term in enumerate(policy.terms)
        if term.problem
    ]
