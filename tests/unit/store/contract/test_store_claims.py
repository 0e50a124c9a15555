"""Claims: unique keys in named spaces, owned by records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.store.store_samples import ENGINES, Engine, record, uuid_of

from tungsten.store.base import ClaimTaken, DanglingReference, Transaction, number_key


async def claims(engine: Engine, space: str = "s") -> list[tuple[str, str]]:
    return await engine.reader.read(lambda s: list(s.claims(space)))


async def test_a_claim_has_one_owner(engine: Engine) -> None:
    await engine.create(record(1), record(2))
    await engine.writer.transact(lambda tx: tx.claim("s", "k", uuid_of(1)))
    await engine.writer.transact(lambda tx: tx.claim("s", "k", uuid_of(1)))
    with pytest.raises(ClaimTaken) as caught:
        await engine.writer.transact(lambda tx: tx.claim("s", "k", uuid_of(2)))
    assert caught.value.owner == uuid_of(1)
    await engine.writer.transact(lambda tx: tx.claim("t", "k", uuid_of(2)))
    assert await claims(engine) == [("k", uuid_of(1))]
    assert await engine.reader.read(lambda s: s.owned_claims(uuid_of(2))) == [("t", "k")]


async def test_a_claim_falls_with_its_owner(engine: Engine) -> None:
    await engine.create(record(1), record(2))
    await engine.writer.transact(lambda tx: tx.claim("s", "k", uuid_of(1)))
    await engine.writer.transact(lambda tx: tx.delete(uuid_of(1)))
    assert await claims(engine) == []
    await engine.writer.transact(lambda tx: tx.claim("s", "k", uuid_of(2)))


async def test_a_claim_may_come_before_its_owner(engine: Engine) -> None:
    def run(tx: Transaction) -> None:
        tx.claim("s", "k", uuid_of(1))
        tx.create(record(1))

    await engine.writer.transact(run)
    with pytest.raises(DanglingReference):
        await engine.writer.transact(lambda tx: tx.claim("s", "k2", uuid_of(9)))
    assert await claims(engine) == [("k", uuid_of(1))]


async def test_releasing_is_no_error_twice(engine: Engine) -> None:
    await engine.create(record(1))
    await engine.writer.transact(lambda tx: tx.claim("s", "k", uuid_of(1)))
    await engine.writer.transact(lambda tx: tx.release("s", "k"))
    await engine.writer.transact(lambda tx: tx.release("s", "k"))
    assert await claims(engine) == []
    assert len(await engine.revisions()) == 3


async def test_a_commit_of_claims_alone_is_an_empty_one(engine: Engine) -> None:
    await engine.create(record(1))
    await engine.writer.transact(lambda tx: tx.claim("s", "k", uuid_of(1)))
    first, second = await engine.revisions()
    commit = await asyncio.wait_for(anext(engine.reader.watch(first)), 5)
    assert (commit.revision, commit.changes) == (second, ())


async def number(engine: Engine, candidates: range) -> int | None:
    return await engine.writer.transact(lambda tx: tx.claim_number("n", candidates, uuid_of(1)))


async def test_numbers_are_given_in_the_order_of_the_range(engine: Engine) -> None:
    await engine.create(record(1))
    assert [await number(engine, range(5, 8)) for _ in range(4)] == [5, 6, 7, None]
    down = range(254, 251, -1)
    assert [await number(engine, down) for _ in range(4)] == [254, 253, 252, None]
    blocks = range(1000, 1012, 4)
    assert [await number(engine, blocks) for _ in range(4)] == [1000, 1004, 1008, None]


async def test_a_released_number_is_the_next_given(engine: Engine) -> None:
    await engine.create(record(1))
    for _ in range(10):
        await number(engine, range(100))
    await engine.writer.transact(lambda tx: tx.release("n", number_key(3)))
    assert await number(engine, range(100)) == 3
    assert await number(engine, range(100)) == 10


async def test_numbers_of_an_undone_transaction_are_free_again(engine: Engine) -> None:
    await engine.create(record(1))

    def run(tx: Transaction) -> None:
        assert [tx.claim_number("n", range(100), uuid_of(1)) for _ in range(3)] == [0, 1, 2]
        tx.release("n", number_key(1))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await engine.writer.transact(run)
    assert await number(engine, range(100)) == 0


async def test_numbers_and_other_keys_live_in_one_space(engine: Engine) -> None:
    await engine.create(record(1))

    def run(tx: Transaction) -> list[int | None]:
        tx.claim("n", number_key(1), uuid_of(1))
        tx.claim("n", "0" * 31 + "x", uuid_of(1))
        tx.claim("n", "0", uuid_of(1))
        return [tx.claim_number("n", range(4), uuid_of(1)) for _ in range(4)]

    assert await engine.writer.transact(run) == [0, 2, 3, None]


@pytest.mark.parametrize("kind", ["sqlite", "etcd"])
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_claimed_numbers_are_the_first_free(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Against a set: any mix of ranges, releases, exact claims and undone transactions."""
    ranges = st.sampled_from([range(8), range(7, -1, -1), range(0, 16, 4), range(3, 6)])
    operation = st.one_of(
        st.tuples(st.just("take"), ranges),
        st.tuples(st.just("release"), st.integers(0, 15)),
        st.tuples(st.just("exact"), st.integers(0, 15)),
    )
    script = data.draw(st.lists(st.tuples(st.lists(operation, max_size=6), st.booleans())))

    def run(
        tx: Transaction, steps: Sequence[tuple[str, object]], taken: set[int], fail: bool
    ) -> None:
        for name, what in steps:
            if name == "take":
                assert isinstance(what, range)
                expected = next((n for n in what if n not in taken), None)
                assert tx.claim_number("n", what, uuid_of(1)) == expected
                taken |= {expected} if expected is not None else set()
            elif name == "release":
                assert isinstance(what, int)
                tx.release("n", number_key(what))
                taken.discard(what)
            else:
                assert isinstance(what, int)
                tx.claim("n", number_key(what), uuid_of(1))
                taken.add(what)
        if fail:
            raise RuntimeError("undone on purpose")

    async def play() -> None:
        engine = ENGINES[kind](tmp_path_factory.mktemp("claims"))
        try:
            await engine.create(record(1))
            taken: set[int] = set()
            for steps, fail in script:
                now = set(taken)
                try:
                    await engine.writer.transact(partial(run, steps=steps, taken=now, fail=fail))
                    taken = now
                except RuntimeError:
                    assert fail
            held = await engine.reader.read(lambda s: {int(key, 16) for key, _ in s.claims("n")})
            assert held == taken
        finally:
            await engine.close()

    asyncio.run(play())
