"""Replication trees: who hands a broadcast on to whom. Values only, no I/O, no tables.

A :class:`Tree` is one control node's tree of agents for a group. Members sit in slots 0 to n-1;
the member of slot i is linked with that of slot (i-1) div k, its parent. So the tree is connected
and has no ring, nobody has more than k+1 links, and the way between two members is logarithmic in
their number. Slots are stable: a member that joins takes slot n, and one that leaves is replaced
by the member of the last slot. So a change touches its neighbours and no more:

* a join: the new member and its parent;
* a leave: the neighbours of the one that left (k+1 at most), and the member of the last slot, its
  former parent: k+3 at most.

Every member has a label out of its own block, on which it is sent to, drawn from the member's
:class:`Labels` so that all trees it is in have different ones. A member keeps its label as long
as its block holds it.

One member without children is the *forest node*, through which trees of several control nodes are
joined. It stays so while it has no children; then the last slot takes over. That adds the old and
the new forest node to what a change touches.

:func:`joined` is the tree of control nodes: few, so it is computed whole from their identifiers
by whichever node builds it, and a change of the builder changes nothing.

Upstream builds its trees anew for each change; its agents take any tree.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

M = TypeVar("M", bound=Hashable)

AGENT_CHILDREN = 4
NODE_CHILDREN = 3


@dataclass(slots=True)
class Labels:
    """The labels of one agent that its trees use; ``block`` is given with each draw."""

    used: set[int] = field(default_factory=set)
    last: int = -1

    def draw(self, block: tuple[int, int]) -> int | None:
        """The next free label of a block (first, last) after the last drawn; None: all in use."""
        first, last = block
        size = last - first + 1
        start = self.last + 1 if first <= self.last < last else first
        for step in range(min(size, len(self.used) + 1)):
            label = first + (start - first + step) % size
            if label not in self.used:
                self.used.add(label)
                self.last = label
                return label
        return None

    def give_back(self, label: int) -> None:
        """A label is free again."""
        self.used.discard(label)


@dataclass(slots=True)
class _Place:
    slot: int
    label: int
    block: tuple[int, int]
    labels: Labels


class Tree(Generic[M]):
    """The tree of one group; ``children`` is k. Members that get no label wait outside."""

    def __init__(self, children: int = AGENT_CHILDREN) -> None:
        self.children = children
        self._slots: list[M] = []
        self._places: dict[M, _Place] = {}
        self._waiting: dict[M, tuple[tuple[int, int], Labels]] = {}
        self._forest: M | None = None

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in it or waits to be."""
        return not self._slots and not self._waiting

    @property
    def is_short(self) -> bool:
        """Whether somebody waits for a label."""
        return bool(self._waiting)

    @property
    def members(self) -> Sequence[M]:
        """Who is in it, by slot."""
        return self._slots

    @property
    def forest(self) -> M | None:
        """The member through which other trees are joined."""
        return self._forest

    def label(self, member: M) -> int:
        """The label on which a member is sent to; 0 for one that is not in the tree."""
        place = self._places.get(member)
        return place.label if place is not None else 0

    def neighbours(self, member: M) -> list[M]:
        """Whom a member is linked with, its parent first."""
        place = self._places.get(member)
        if place is None:
            return []
        slot, k = place.slot, self.children
        above = [self._slots[(slot - 1) // k]] if slot else []
        return above + self._slots[slot * k + 1 : slot * k + k + 1]

    def join(self, member: M, block: tuple[int, int], labels: Labels) -> set[M]:
        """A member is in, with this block of labels; whose links or label changed."""
        place = self._places.get(member)
        if place is not None:
            if place.block == block and place.labels is labels:
                return set()
            return self._relabel(member, place, block, labels)
        label = labels.draw(block)
        if label is None:
            self._waiting[member] = (block, labels)
            return set()
        self._waiting.pop(member, None)
        self._places[member] = _Place(len(self._slots), label, block, labels)
        self._slots.append(member)
        return {member, *self.neighbours(member)} | self._elect()

    def leave(self, member: M) -> set[M]:
        """A member is out; whose links changed, itself not counted."""
        self._waiting.pop(member, None)
        place = self._places.get(member)
        if place is None:
            return set()
        changed = set(self.neighbours(member))
        last = self._slots[-1]
        changed.update(self.neighbours(last))
        del self._places[member]
        place.labels.give_back(place.label)
        self._slots.pop()
        if last != member:
            self._slots[place.slot] = last
            self._places[last].slot = place.slot
            changed.add(last)
            changed.update(self.neighbours(last))
        changed.discard(member)
        if self._forest == member:
            self._forest = None
        return changed | self._elect() | self.admit()

    def _relabel(self, member: M, place: _Place, block: tuple[int, int], labels: Labels) -> set[M]:
        """Another block: the label stays if the new one holds it."""
        if labels is place.labels and block[0] <= place.label <= block[1]:
            place.block = block
            return set()
        label = labels.draw(block)
        if label is None:
            changed = self.leave(member)
            self._waiting[member] = (block, labels)
            return changed
        place.labels.give_back(place.label)
        place.label, place.block, place.labels = label, block, labels
        return {member, *self.neighbours(member)}

    def admit(self) -> set[M]:
        """Let those in that waited for a label and find one now; whose links changed."""
        changed: set[M] = set()
        for member, (block, labels) in list(self._waiting.items()):
            changed |= self.join(member, block, labels)
        return changed

    def _elect(self) -> set[M]:
        """See that the forest node has no children; the old and the new one if it changed."""
        before = self._forest
        if before is not None and self._places[before].slot * self.children + 1 >= len(self):
            return set()
        self._forest = self._slots[-1] if self._slots else None
        return {each for each in (before, self._forest) if each is not None}


def joined(nodes: Iterable[bytes], children: int = NODE_CHILDREN) -> dict[bytes, list[bytes]]:
    """The tree of control nodes by identifier: whom each is linked with, its parent first."""
    order = sorted(nodes)
    links: dict[bytes, list[bytes]] = {node: [] for node in order}
    for at in range(1, len(order)):
        parent, node = order[(at - 1) // children], order[at]
        links[node].append(parent)
        links[parent].append(node)
    return links
