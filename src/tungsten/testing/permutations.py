"""The same changes in another order must lead to the same state.

A *history* is what happens to one object, in order: created, updated, deleted. Between objects
there is no order, as with notifications from a bus or a graph walk. The harness delivers
interleavings of the histories, with stale-free duplicates (the last event of an object again),
to a fresh consumer each time, and compares its state with that of a consumer that was told the
end state only. All interleavings are tried when there are few, otherwise a sample of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from math import factorial, prod
from typing import Any, Protocol, TypeVar

E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)
K = TypeVar("K", bound=Hashable)


class Consumer(Protocol[E_contra]):
    """Something that is told of changes and has a state."""

    def deliver(self, event: E_contra, /) -> None: ...

    def state(self) -> Any:
        """What must not depend on the order: a value comparable by ``==``."""
        ...


class OrderMatters(AssertionError):
    """An order that led to another state. ``order`` holds the events as delivered."""

    def __init__(self, order: Sequence[object], got: object, expected: object) -> None:
        steps = "\n".join(f"  {i}. {event}" for i, event in enumerate(order, 1))
        super().__init__(f"delivered\n{steps}\nled to\n  {got}\ninstead of\n  {expected}")
        self.order = list(order)


def count(histories: Mapping[K, Sequence[E]]) -> int:
    """How many interleavings there are."""
    lengths = [len(history) for history in histories.values()]
    return factorial(sum(lengths)) // prod(map(factorial, lengths))


def interleavings(histories: Mapping[K, Sequence[E]]) -> Iterator[list[E]]:
    """All of them; each history stays in order."""
    at = dict.fromkeys(histories, 0)
    order: list[E] = []

    def extend() -> Iterator[list[E]]:
        open_ = [key for key, history in histories.items() if at[key] < len(history)]
        if not open_:
            yield list(order)
        for key in open_:
            order.append(histories[key][at[key]])
            at[key] += 1
            yield from extend()
            at[key] -= 1
            order.pop()

    return extend()


def shuffled(
    histories: Mapping[K, Sequence[E]], rng: random.Random, duplicates: float = 0.0
) -> list[E]:
    """A random interleaving, each event followed with that chance by one told before.

    What is told again is the newest event of some object, as after a reconnection.
    """
    turns = [key for key, history in histories.items() for _ in history]
    rng.shuffle(turns)
    at = dict.fromkeys(histories, 0)
    newest: dict[K, E] = {}
    order = []
    for key in turns:
        newest[key] = histories[key][at[key]]
        at[key] += 1
        order.append(newest[key])
        if rng.random() < duplicates:
            order.append(newest[rng.choice(sorted(newest, key=str))])
    return order


def check(
    histories: Mapping[K, Sequence[E]],
    make: Callable[[], Consumer[E]],
    is_delete: Callable[[E], bool],
    *,
    limit: int = 720,
    duplicates: float = 0.3,
    seed: int = 0,
) -> int:
    """Try orders until ``limit`` have been tried or all have; returns how many were.

    Raises OrderMatters for the first that leads elsewhere than a fresh load does.
    """
    loaded = make()
    for history in histories.values():
        if history and not is_delete(history[-1]):
            loaded.deliver(history[-1])
    expected = loaded.state()
    rng = random.Random(seed)
    if count(histories) <= limit:
        orders: Iterator[list[E]] = interleavings(histories)
    else:
        orders = (shuffled(histories, rng, duplicates) for _ in range(limit))
    tried = 0
    for order in orders:
        consumer = make()
        for event in order:
            consumer.deliver(event)
        if (got := consumer.state()) != expected:
            raise OrderMatters(order, got, expected)
        tried += 1
    return tried
