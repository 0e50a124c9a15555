"""Replication trees under random joins and leaves: their shape, their labels, what changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tungsten.control.multicast_tree import Labels, Tree, joined

BLOCK = (1000, 1499)
Links = dict[int, tuple[int, tuple[int, ...], bool]]
#: Joins (a member's number) and leaves (its complement), in any order.
histories = st.lists(st.integers(-40, 39), max_size=120)


def state(tree: Tree[int]) -> Links:
    """Of each member its label, its links, and whether it is the forest node."""
    return {
        member: (
            tree.label(member),
            tuple(sorted(tree.neighbours(member))),
            member == tree.forest,
        )
        for member in tree.members
    }


def reached(tree: Tree[int], origin: int) -> list[int]:
    """Who gets a frame that a member sends, once for each copy: all but the way it came."""
    found, work = [origin], [(origin, neighbour) for neighbour in tree.neighbours(origin)]
    while work:
        sender, at = work.pop()
        found.append(at)
        assert len(found) <= len(tree), "a ring"
        work += [(at, neighbour) for neighbour in tree.neighbours(at) if neighbour != sender]
    return found


def check_shape(tree: Tree[int]) -> None:
    """Every member reaches every other just once, over few links."""
    for member in tree.members:
        links = tree.neighbours(member)
        assert len(links) == len(set(links)) <= tree.children + 1
        assert all(member in tree.neighbours(other) for other in links)
        assert sorted(reached(tree, member)) == sorted(tree.members)
    if len(tree):
        assert tree.forest is not None
        assert len(tree.neighbours(tree.forest)) == (len(tree) > 1)
    else:
        assert tree.forest is None


@settings(max_examples=60, deadline=None)
@given(histories, st.integers(1, 5))
def test_any_history_leaves_a_tree_and_changes_little(history: list[int], children: int) -> None:
    tree: Tree[int] = Tree(children)
    labels = {member: Labels() for member in range(40)}
    inside: set[int] = set()
    for step in history:
        member = step if step >= 0 else ~step
        before = state(tree)
        if step >= 0:
            told = tree.join(member, BLOCK, labels[member])
            bound = 4
            inside.add(member)
        else:
            told = tree.leave(member)
            bound = children + 3 + 2
            inside.discard(member)
        after = state(tree)
        changed = {each for each in after if after[each] != before.get(each)}
        assert changed <= told <= inside
        assert len(told) <= bound
        assert set(tree.members) == inside
    check_shape(tree)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 5)), max_size=80))
def test_labels_of_an_agent_are_its_own_in_all_its_trees(
    history: list[tuple[bool, int, int]],
) -> None:
    block = (100, 103)
    trees: list[Tree[int]] = [Tree() for _ in range(6)]
    labels = {member: Labels() for member in range(4)}
    inside: set[tuple[int, int]] = set()
    for joins, member, number in history:
        if joins:
            trees[number].join(member, block, labels[member])
            inside.add((member, number))
        else:
            trees[number].leave(member)
            inside.discard((member, number))
        for each, pool in labels.items():
            held = [tree.label(each) for tree in trees if each in tree.members]
            assert sorted(held) == sorted(pool.used)
            assert len(held) <= min(4, sum(who == each for who, _ in inside))
            assert all(100 <= label <= 103 for label in held)
        for tree in trees:
            check_shape(tree)


def test_a_member_that_says_the_same_again_keeps_its_place() -> None:
    tree: Tree[str] = Tree()
    pools = {name: Labels() for name in "abcdefg"}
    for name, pool in pools.items():
        tree.join(name, BLOCK, pool)
    held = {name: (tree.label(name), tree.neighbours(name)) for name in pools}
    assert all(not tree.join(name, BLOCK, pool) for name, pool in pools.items())
    assert not tree.join("c", (900, 1600), pools["c"])
    assert {name: (tree.label(name), tree.neighbours(name)) for name in pools} == held


def test_another_block_changes_the_label_and_who_sends_to_it() -> None:
    tree: Tree[str] = Tree()
    pools = {name: Labels() for name in "abcdefg"}
    for name, pool in pools.items():
        tree.join(name, BLOCK, pool)
    assert tree.join("b", (2000, 2009), pools["b"]) == {"b", "a", "f", "g"}
    assert tree.label("b") == 2000
    assert pools["b"].used == {2000}


def test_labels_are_not_used_again_at_once() -> None:
    labels = Labels()
    first = labels.draw(BLOCK)
    assert first is not None
    labels.give_back(first)
    assert labels.draw(BLOCK) == first + 1


def test_a_member_without_label_waits_until_one_is_free() -> None:
    first: Tree[str] = Tree()
    second: Tree[str] = Tree()
    pool = Labels()
    first.join("a", (7, 7), pool)
    assert second.join("a", (7, 7), pool) == set()
    assert not len(second)
    assert not second.is_empty
    first.leave("a")
    assert second.join("a", (7, 7), pool) == {"a"}
    assert second.label("a") == 7


@pytest.mark.parametrize("count", [0, 1, 2, 5, 30])
def test_control_nodes_are_linked_by_order_of_their_identifiers(count: int) -> None:
    nodes = [bytes((10, 0, 0, number)) for number in range(count)]
    links = joined(reversed(nodes))
    assert sum(map(len, links.values())) == 2 * max(0, count - 1)
    for at, node in enumerate(nodes):
        assert len(links[node]) <= 4
        if at:
            assert links[node][0] == nodes[(at - 1) // 3]
