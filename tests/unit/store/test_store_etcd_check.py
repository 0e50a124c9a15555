"""Whatever is broken in etcd behind the store's back is found by the check, and said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aetcd.rpc import rpc_pb2 as pb
from tests.unit.store.store_samples import OLD_ETCD, etcd, etcd_place, record, uuid_of

from tungsten.store.base import StoreUnusable, Transaction
from tungsten.store.etcd import EtcdStore
from tungsten.store.etcd_check import check
from tungsten.store.etcd_client import Access, Connection
from tungsten.store.etcd_keys import CLAIMS, Head, Keys, decode_head, encode_head, encode_record
from tungsten.store.etcd_transaction import delete, put


@pytest.fixture
def raw() -> Iterator[Connection]:
    """etcd itself."""
    connection = Connection(Access((etcd().endpoints,), OLD_ETCD), etcd().endpoints)
    yield connection
    connection.close()


def do(raw: Connection, *operations: pb.RequestOp) -> None:
    """One transaction of etcd's."""
    raw.txn(pb.TxnRequest(success=list(operations)))


def commit(raw: Connection, keys: Keys, events: int, *operations: pb.RequestOp) -> None:
    """The same, with a head as the store puts it."""
    do(raw, *operations, put(keys.head, encode_head(Head(b"x" * 16, events))))


async def fill(place: str) -> Keys:
    """A project with two networks, one of which refers to the other, and claims; some history."""

    def first(tx: Transaction) -> None:
        tx.create(record(1, type_="project", name=("p",)))
        tx.create(record(2, name=("p", "n2"), parent=1))

    def second(tx: Transaction) -> None:
        tx.create(record(3, name=("p", "n3"), parent=1, refs=(2,)))
        tx.claim("addresses", "a", uuid_of(2))
        tx.claim_number("numbers", range(1, 9), uuid_of(3))

    def third(tx: Transaction) -> None:
        tx.update(record(2, name=("p", "n2"), parent=1, body=b"[]"))
        tx.create(record(4, name=("p", "n4"), parent=1, weak=(3,)))
        tx.claim("addresses", "b", uuid_of(4))

    def fourth(tx: Transaction) -> None:
        tx.delete(uuid_of(4))
        tx.create(record(5, name=("p", "n4"), parent=1))

    store = EtcdStore.open(place, options=OLD_ETCD)
    for work in (first, second, third, fourth):
        await store.transact(work)
    await store.close()
    return store.keys


async def test_a_store_that_nobody_touched_is_whole(tmp_path: Path, raw: Connection) -> None:
    """T-F4: nothing to find, also where a part of the history is gone, and in an empty store."""
    place = etcd_place(tmp_path)
    keys = await fill(place)
    assert check(place, OLD_ETCD) == []
    last = raw.range(pb.RangeRequest(key=keys.head)).kvs[0].mod_revision
    for revision in (last - 1, last):
        raw.call(raw._kv.Compact, pb.CompactionRequest(revision=revision, physical=True))
        assert check(place, OLD_ETCD) == []
    EtcdStore.open(f"{place}/empty", options=OLD_ETCD)
    assert check(f"{place}/empty", OLD_ETCD) == []


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="not in etcd yet"):
        check(etcd_place(tmp_path), OLD_ETCD)


Break = Callable[[Connection, Keys], None]

PROJECT, NETWORK, OTHER = uuid_of(1), uuid_of(2), uuid_of(3)
GONE = uuid_of(99)
TYPE = "virtual-network"


def stray(raw: Connection, keys: Keys) -> None:
    do(raw, put(keys.record(uuid_of(9)), encode_record(record(9), 0)))


def without_head(raw: Connection, keys: Keys) -> None:
    do(raw, delete(keys.head))


def more_events(raw: Connection, keys: Keys) -> None:
    commit(raw, keys, 7, put(keys.claim("addresses", "z"), NETWORK.encode()))


def fewer_events(raw: Connection, keys: Keys) -> None:
    operations = [put(keys.claim("addresses", key), NETWORK.encode()) for key in "xyz"]
    commit(raw, keys, 2, *operations)


def between_commits(raw: Connection, keys: Keys) -> None:
    do(raw, delete(keys.claim("addresses", "a")))
    commit(raw, keys, 1)


def begun_anew(raw: Connection, keys: Keys) -> None:
    do(raw, delete(keys.head))
    commit(raw, keys, 1)
    commit(raw, keys, 1)


BREAKS: dict[str, tuple[Break, str]] = {
    "a name leads to nothing": (
        lambda raw, keys: do(raw, put(keys.name(TYPE, ("p", "x")), GONE.encode())),
        f"the name p:x of {TYPE} leads to {GONE}, which is not called so",
    ),
    "a name leads to another": (
        lambda raw, keys: do(raw, put(keys.name(TYPE, ("p", "n2")), OTHER.encode())),
        f"the name p:n2 of {TYPE} {NETWORK} leads to {OTHER}",
    ),
    "a name is missing": (
        lambda raw, keys: do(raw, delete(keys.name(TYPE, ("p", "n3")))),
        f"the name p:n3 of {TYPE} {OTHER} is not in the index",
    ),
    "a parent is missing": (
        lambda raw, keys: do(raw, delete(keys.record(PROJECT))),
        f"{NETWORK} is below {PROJECT}, which does not exist",
    ),
    "a target is missing": (
        lambda raw, keys: do(raw, delete(keys.record(NETWORK))),
        f"{OTHER} refers to {NETWORK}, which does not exist",
    ),
    "a claim's owner is missing": (
        lambda raw, keys: do(raw, put(keys.claim("numbers", "f"), GONE.encode())),
        f"claim f in numbers belongs to {GONE}, which does not exist",
    ),
    "a claim has another owner": (
        lambda raw, keys: commit(raw, keys, 2, put(keys.claim("addresses", "a"), OTHER.encode())),
        f"{OTHER} is not marked as used by {CLAIMS} since revision",
    ),
    "a claim's key cannot be read": (
        lambda raw, keys: do(raw, put(keys.claims + b"\xff", NETWORK.encode())),
        "cannot be read",
    ),
    "a record is damaged": (
        lambda raw, keys: do(raw, put(keys.record(OTHER), b"not a record")),
        f"record {OTHER} in etcd is damaged or not ours",
    ),
    "a record is not of a commit": (stray, "was written at"),
    "a record is lost, and nobody refers to it": (
        lambda raw, keys: do(raw, delete(keys.record(uuid_of(5)))),
        f"the name p:n4 of {TYPE} leads to {uuid_of(5)}, which is not called so",
    ),
    "a mark of use is missing": (
        lambda raw, keys: do(raw, delete(keys.used(NETWORK, TYPE))),
        f"{NETWORK} is not marked as used by {TYPE} since revision",
    ),
    "a mark of claims is missing": (
        lambda raw, keys: do(raw, delete(keys.used(NETWORK, CLAIMS))),
        f"{NETWORK} is not marked as used by {CLAIMS} since revision",
    ),
    "a mark of use is of nobody": (
        lambda raw, keys: do(raw, put(keys.used(GONE, TYPE), b"")),
        f"{GONE} is marked as used by {TYPE} and does not exist",
    ),
    "the head is missing": (without_head, "there is no head, and there are records or claims"),
    "the head is damaged": (
        lambda raw, keys: do(raw, put(keys.head, b"?")),
        "the head of the store in etcd is damaged",
    ),
    "a commit lost an event": (more_events, "has 2 events of 7"),
    "a commit has an event too many": (fewer_events, "has 4 keys of 2"),
    "the commits were counted anew": (begun_anew, "are missing"),
    "a change is of no commit": (
        lambda raw, keys: do(raw, delete(keys.claim("addresses", "a"))),
        "was deleted after the newest commit",
    ),
    "a change between commits is of none": (between_commits, "changed 1 keys and is no commit"),
    "a role never ends": (
        lambda raw, keys: do(raw, put(keys.role("compiler"), b"me")),
        "'e/compiler' hangs on no lease, so it never ends",
    ),
    "a fence never ends": (
        lambda raw, keys: do(raw, put(keys.fence("x"), b"")),
        "'f/x' hangs on no lease, so it never ends",
    ),
    "a foreign key": (
        lambda raw, keys: do(raw, put(keys.base + b"q", b"")),
        "'q' is no key of a store",
    ),
}


@pytest.mark.parametrize("case", BREAKS)
async def test_what_was_broken_is_found(case: str, tmp_path: Path, raw: Connection) -> None:
    place = etcd_place(tmp_path)
    keys = await fill(place)
    damage, said = BREAKS[case]
    damage(raw, keys)
    found = check(place, OLD_ETCD)
    assert any(said in finding for finding in found), found


async def test_a_change_that_looks_like_a_commit_is_found_by_what_it_left(
    tmp_path: Path, raw: Connection
) -> None:
    place = etcd_place(tmp_path)
    keys = await fill(place)
    head = raw.range(pb.RangeRequest(key=keys.head)).kvs[0]
    assert decode_head(head.value).events > 1
    commit(raw, keys, 2, delete(keys.record(uuid_of(5))))
    said = f"the name p:n4 of {TYPE} leads to {uuid_of(5)}, which is not called so"
    assert check(place, OLD_ETCD) == [said]


async def test_who_is_made_anew_as_another_type_uses_what_it_used_as_that_type(
    tmp_path: Path,
) -> None:
    """Else who has listed the users of that type would not notice."""
    place = etcd_place(tmp_path)
    await fill(place)
    one, two = (EtcdStore.open(place, options=OLD_ETCD) for _ in range(2))

    def again(tx: Transaction) -> None:
        tx.delete(OTHER)
        tx.create(record(3, type_="network-policy", name=("p", "n3"), parent=1, refs=(2,)))

    def count_policies(tx: Transaction) -> None:
        policies = tx.referrers(NETWORK, "network-policy")
        tx.create(record(50 + len(policies)))

    await one.transact(again)
    await two.transact(count_policies)
    assert await one.read(lambda snapshot: snapshot.get(uuid_of(51))) is not None
    for store in (one, two):
        await store.close()
    assert check(place, OLD_ETCD) == []
