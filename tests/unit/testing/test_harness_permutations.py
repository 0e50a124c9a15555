"""The harness finds a consumer for which order matters, and clears one for which it does not."""

from __future__ import annotations

import random

import pytest

from tungsten.testing.permutations import OrderMatters, check, count, interleavings, shuffled

Event = tuple[str, int | None]
HISTORIES: dict[str, list[Event]] = {
    "a": [("a", 1), ("a", 2)],
    "b": [("b", 1), ("b", None)],
    "c": [("c", 7)],
}


class Table:
    """Level-triggered: keeps the newest value of each key."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}

    def deliver(self, event: Event) -> None:
        key, value = event
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value

    def state(self) -> dict[str, int]:
        return self.values


class Ledger(Table):
    """Edge-triggered: adds up what it is told, so a repetition counts twice."""

    def state(self) -> dict[str, int]:
        return {"total": self.total}

    total = 0

    def deliver(self, event: Event) -> None:
        self.total += event[1] or 0


class First(Table):
    """Believes the object that came first."""

    def deliver(self, event: Event) -> None:
        if not self.values or event[0] in self.values:
            super().deliver(event)


def is_delete(event: Event) -> bool:
    return event[1] is None


def test_all_interleavings_keep_each_history_in_order() -> None:
    orders = list(interleavings(HISTORIES))
    assert len(orders) == count(HISTORIES) == 30
    assert len({tuple(order) for order in orders}) == 30
    for order in orders:
        for key, history in HISTORIES.items():
            assert [event for event in order if event[0] == key] == history


def test_repetitions_are_of_what_was_told_last_about_an_object() -> None:
    rng = random.Random(1)
    repeated = 0
    for _ in range(50):
        newest: dict[str, Event] = {}
        order = shuffled(HISTORIES, rng, duplicates=0.5)
        for event in order:
            if newest.get(event[0]) == event:
                repeated += 1
            else:
                at = HISTORIES[event[0]].index(event)
                assert at == 0 or newest[event[0]] == HISTORIES[event[0]][at - 1]
            newest[event[0]] = event
    assert repeated > 20


def test_a_level_triggered_consumer_passes_all_orders() -> None:
    assert check(HISTORIES, Table, is_delete) == 30
    assert check(HISTORIES, Table, is_delete, limit=10) == 10


def test_an_edge_triggered_consumer_is_found() -> None:
    with pytest.raises(OrderMatters, match="led to"):
        check(HISTORIES, Ledger, is_delete)


def test_a_consumer_for_which_order_matters_is_found_with_the_order() -> None:
    with pytest.raises(OrderMatters) as found:
        check(HISTORIES, First, is_delete)
    assert len(found.value.order) == 5
