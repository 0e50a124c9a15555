"""What a process holds for long is looked at by few collections."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from tungsten.process.collector import ShortCollections


class Node:
    """Something that can be in a cycle."""

    def __init__(self) -> None:
        self.other: Node | None = None


@pytest.fixture
def watched() -> Iterator[ShortCollections]:
    watcher = ShortCollections()
    before = gc.get_freeze_count()
    gc.callbacks.append(watcher)
    try:
        yield watcher
    finally:
        gc.callbacks.remove(watcher)
        if not before:
            gc.unfreeze()


def test_what_survives_a_long_collection_is_set_aside(watched: ShortCollections) -> None:
    watched.longest = 0.0
    kept = [[number] for number in range(1000)]
    gc.collect()
    assert gc.get_freeze_count() >= 1000
    assert not any(each is kept for each in gc.get_objects())


def test_short_collections_set_nothing_aside(watched: ShortCollections) -> None:
    watched.longest = 3600.0
    before = gc.get_freeze_count()
    gc.collect()
    assert gc.get_freeze_count() == before


def test_garbage_is_found_before_anything_is_set_aside(watched: ShortCollections) -> None:
    watched.longest = 0.0
    one, two = Node(), Node()
    one.other, two.other = two, one
    gone = weakref.ref(one)
    del one, two
    gc.collect()
    assert gone() is None


def test_what_is_set_aside_is_freed_by_its_last_user(watched: ShortCollections) -> None:
    watched.longest = 0.0
    one = Node()
    gone = weakref.ref(one)
    gc.collect()
    del one
    assert gone() is None
