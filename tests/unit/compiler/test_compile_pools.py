"""Numbers: in rising order and round, one for each owner, never two of the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tungsten.compiler import pools
from tungsten.compiler.engine import Engine
from tungsten.compiler.pools import Allocations, Pool, PoolExhausted
from tungsten.store.base import number_key

SMALL = Pool("small", 10, 16)
OWNERS = [f"owner{i}" for i in range(8)]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["give", "free", "load"]),
        st.sampled_from(OWNERS),
        st.frozensets(st.integers(10, 15), max_size=3),
    )
)


@given(steps=STEPS)
def test_the_next_number_that_is_free_and_unused_is_given(
    steps: list[tuple[str, str, frozenset[int]]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(pools.POOLS, SMALL.space, SMALL)
        allocations = Allocations(Engine())
    held: dict[str, int] = {}
    after = SMALL.low
    for what, owner, used in steps:
        if what == "free":
            allocations.release(SMALL.space, owner)
            held.pop(owner, None)
        elif what == "load":
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(pools.POOLS, SMALL.space, SMALL)
                claims = [(number_key(number), who) for who, number in held.items()]
                allocations.load(SMALL.space, claims)
            assert all(allocations.is_stored(SMALL.space, who) for who in held)
        elif owner not in held:
            free = set(range(SMALL.low, SMALL.high)) - set(held.values()) - used
            if free:
                expected = min(free, key=lambda number: (number < after, number))
                assert allocations.give(SMALL, owner, used.__contains__) == expected
                held[owner] = expected
                after = expected + 1
            else:
                with pytest.raises(PoolExhausted, match=r"10\.\.15 are taken"):
                    allocations.give(SMALL, owner, used.__contains__)
        assert dict(allocations.held(SMALL.space)) == held
