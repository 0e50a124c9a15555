"""Random transactions on an engine and on a dozen lines of dictionaries must agree.

The oracle is the contract written down naively: it copies everything, tries the operations, checks
every rule over the whole state, and keeps the copy or not.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.store.store_samples import (
    Engine,
    open_etcd,
    open_sqlite,
    open_sqlite_reader,
    record,
    uuid_of,
)
from tests.unit.store.watch_properties import WatchValidator

from tungsten.store.base import Commit, Edge, Record, StoreError, Transaction

T = TypeVar("T")


class Refused(Exception):
    """The oracle's word for any StoreError or KeyError."""


@dataclass
class Oracle:
    """What a store holds, and the rules."""

    records: dict[str, Record] = field(default_factory=dict)
    claims: dict[tuple[str, str], str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def apply(self, operation: tuple[Any, ...]) -> None:
        match operation:
            case ("create", Record() as new):
                names = {(r.type, r.fq_name) for r in self.records.values()}
                if new.uuid in self.records or (new.type, new.fq_name) in names:
                    raise Refused
                self.records[new.uuid] = new
            case ("update", str(uuid), bytes(body), edges):
                if uuid not in self.records:
                    raise Refused
                self.records[uuid] = replace(self.records[uuid], body=body, edges=edges)
            case ("delete", str(uuid)):
                if self.records.pop(uuid, None) is None:
                    raise Refused
                self.deleted.add(uuid)
                self.claims = {key: o for key, o in self.claims.items() if o != uuid}
            case ("claim", str(key), str(owner)):
                if self.claims.setdefault(("s", key), owner) != owner:
                    raise Refused
            case ("release", str(key)):
                self.claims.pop(("s", key), None)

    def check(self) -> None:
        """The rules at the commit; drops weak edges to what was deleted."""
        for one in self.records.values():
            missing = [edge for edge in one.edges if edge.target not in self.records]
            if any(not edge.weak or edge.target not in self.deleted for edge in missing):
                raise Refused
            if one.parent is not None and one.parent not in self.records:
                raise Refused
        for uuid, one in self.records.items():
            kept = tuple(edge for edge in one.edges if edge.target in self.records)
            self.records[uuid] = replace(one, edges=kept)
        if any(owner not in self.records for owner in self.claims.values()):
            raise Refused

    def transact(self, operations: list[tuple[Any, ...]]) -> None:
        trial = replace(deepcopy(self), deleted=set())
        for operation in operations:
            trial.apply(operation)
        trial.check()
        self.records, self.claims = trial.records, trial.claims


def run(tx: Transaction, operations: list[tuple[Any, ...]]) -> None:
    """The same operations on a real transaction."""
    for operation in operations:
        match operation:
            case ("create", Record() as new):
                tx.create(new)
            case ("update", str(uuid), bytes(body), edges):
                held = tx.get(uuid)
                tx.update(replace(held or record(1), uuid=uuid, body=body, edges=edges))
            case ("delete", str(uuid)):
                tx.delete(uuid)
            case ("claim", str(key), str(owner)):
                tx.claim("s", key, owner)
            case ("release", str(key)):
                tx.release("s", key)


numbers = st.integers(1, 5)
edges = st.just(()) | st.lists(
    st.builds(Edge, st.sampled_from("fg"), numbers.map(uuid_of), st.booleans()),
    max_size=2,
    unique_by=lambda edge: (edge.field, edge.target),
).map(tuple)
records = st.builds(
    lambda n, name, type_, parent, edges, body: replace(
        record(n, name=name, type_=type_, parent=parent), edges=edges, body=body
    ),
    numbers,
    st.sampled_from([(c,) for c in "abcdefgh"]),
    st.sampled_from(["project", "virtual-network"]),
    st.none() | st.just(1),
    edges,
    st.sampled_from([b"1", b"2"]),
)
operations = st.one_of(
    st.tuples(st.just("create"), records),
    st.tuples(st.just("update"), numbers.map(uuid_of), st.sampled_from([b"1", b"3"]), edges),
    st.tuples(st.just("delete"), numbers.map(uuid_of)),
    st.tuples(st.just("claim"), st.sampled_from("xy"), numbers.map(uuid_of)),
    st.tuples(st.just("release"), st.sampled_from("xy")),
)


class StoreMachine(RuleBasedStateMachine):
    """One engine, one oracle, one watcher."""

    open = staticmethod(open_sqlite)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.oracle = Oracle()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    @initialize()
    def start(self) -> None:
        self.engine: Engine = type(self).open(Path(self.directory.name))
        self.validator = WatchValidator(gapless=self.engine.gapless)
        seeds = [("create", record(n, type_="seed", name=(str(n),))) for n in (1, 2)]
        self.transact(seeds)

    @rule(operations=st.lists(operations, min_size=1, max_size=4))
    def transact(self, operations: list[tuple[Any, ...]]) -> None:
        try:
            self.oracle.transact(operations)
            expected = True
        except Refused:
            expected = False
        try:
            self.wait(self.engine.writer.transact(lambda tx: run(tx, operations)))
            done = True
        except (StoreError, KeyError):
            done = False
        assert done == expected

    @rule()
    def reopen(self) -> None:
        self.wait(self.engine.close())
        self.engine = type(self).open(Path(self.directory.name))

    @invariant()
    def agrees(self) -> None:
        revision, held = self.wait(self.engine.reader.load())
        assert {r.uuid: replace(r, created=0, revision=0) for r in held} == self.oracle.records
        claims = self.wait(self.engine.reader.read(lambda s: dict(s.claims("s"))))
        assert claims == {key: owner for (_, key), owner in self.oracle.claims.items()}
        for commit in self.wait(self.commits(revision)):
            self.validator.receive(commit)
        self.validator.check_state(revision, held)

    async def commits(self, revision: int) -> list[Commit]:
        taken: list[Commit] = []
        if revision > self.validator.revision:
            async for commit in self.engine.reader.watch(self.validator.revision):
                taken.append(commit)
                if commit.revision == revision:
                    break
        return taken

    def teardown(self) -> None:
        self.wait(self.engine.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()


class ReaderMachine(StoreMachine):
    """The same, seen by a process that only reads."""

    open = staticmethod(open_sqlite_reader)


class ClusterMachine(StoreMachine):
    """The same on etcd."""

    open = staticmethod(open_etcd)


PROFILE = settings(
    max_examples=60,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestStore = StoreMachine.TestCase
TestStore.settings = PROFILE
TestReader = ReaderMachine.TestCase
TestReader.settings = settings(PROFILE, max_examples=10)
TestCluster = ClusterMachine.TestCase
TestCluster.settings = settings(PROFILE, max_examples=12)
