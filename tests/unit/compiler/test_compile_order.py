"""Changes in any order, with repetitions, compile to the same; and run only what they must."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.compiler import dumps
from tests.unit.compiler.intent import (
    ANY,
    LOCAL,
    TENANT,
    group,
    interface,
    network,
    router,
    rule,
    system,
    targets,
)

from tungsten.compiler.compile import Compiler
from tungsten.compiler.graph import Graph
from tungsten.compiler.pools import POOLS
from tungsten.model import Resource
from tungsten.model.traffic import AddressType
from tungsten.store.base import Change, ChangeKind, Record
from tungsten.store.records import from_record, to_record
from tungsten.testing import permutations

_REVISIONS = count(1)


def change(kind: ChangeKind, resource: Resource, created: int) -> Change:
    record = replace(to_record(resource), created=created, revision=next(_REVISIONS))
    return Change(kind, record)


def history(created: int, *states: Resource | None) -> list[Change]:
    """The states of an object from its creation on; None deletes it, what follows is new."""
    changes: list[Change] = []
    for state in states:
        if state is None:
            changes.append(replace(changes[-1], kind=ChangeKind.DELETED))
        else:
            kind = ChangeKind.UPDATED if changes else ChangeKind.CREATED
            changes.append(change(kind, state, created))
    return changes


class Told:
    """A compiler that compiles after every change it is told, or only at the end."""

    def __init__(self, eager: bool) -> None:
        self._eager = eager
        self._compiler = Compiler()

    def deliver(self, event: Change) -> None:
        self._compiler.apply([event])
        if self._eager:
            self._work()

    def _work(self) -> None:
        while self._compiler.run():
            pass

    def state(self) -> dumps.Dump:
        self._work()
        plan = dumps.planned(self._compiler.plan(self._compiler.dirty()))
        # Numbers depend on who asked first when they are given eagerly: put the owner instead.
        owners = {
            f":{number}'": f":{self._name(owner)}'"
            for space in POOLS
            for owner, number in self._compiler.graph.allocations.held(space)
        }
        return {_named(key + "'", owners): _named(repr(v), owners) for key, v in plan.items()}

    def _name(self, owner: str) -> str:
        record = self._compiler.graph.record(owner)
        return "?" if record is None else record.fq_name[-1]


def _named(text: str, owners: dict[str, str]) -> str:
    for number, owner in owners.items():
        text = text.replace(number, owner)
    return text


def is_delete(event: Change) -> bool:
    return event.kind is ChangeKind.DELETED


ONE, TWO = network("vn1"), network("vn2")
PROJECT = {
    "gsc": history(1, system(64512), system(64999)),
    "vn1": history(2, ONE, network("vn1", route_target_list=targets("target:65000:1"))),
    "vn2": history(3, TWO, None),
    "vmi": history(4, interface("vmi", TWO), interface("vmi", ONE)),
}


def test_every_order_of_a_small_project_compiles_to_the_same() -> None:
    tried = permutations.check(PROJECT, lambda: Told(eager=True), is_delete, limit=2520)
    assert tried == permutations.count(PROJECT) == 2520


def test_any_order_of_a_larger_project_with_repetitions_compiles_to_the_same() -> None:
    web = AddressType(security_group=":".join([*TENANT, "sg1"]))
    project = {
        **PROJECT,
        "sg1": history(5, group("sg1", 8000001), None),
        "sg2": history(
            6, group("sg2", 8000002, rule(ANY, LOCAL)), group("sg2", 8, rule(web, LOCAL))
        ),
        "vmi2": history(7, interface("vmi2", ONE, TWO), None),
        "a": history(8, router("a"), router("a", cluster_id=1)),
        "b": history(9, router("b"), router("b", autonomous_system=64999)),
        "c": history(10, router("c"), None),
    }
    for make in (partial(Told, True), partial(Told, False)):
        assert permutations.check(project, make, is_delete, limit=300) == 300


# Runs. The naive view of all inputs, to which the engine's bookkeeping is compared.


Inputs = dict[tuple[Any, ...], Any]


def naive_inputs(graph: Graph, records: dict[str, Record]) -> Inputs:
    """The value of every input, computed from the whole records alone."""
    values: Inputs = {}

    def member(key: tuple[Any, ...], uuid: str) -> None:
        values.setdefault(key, set()).add(uuid)

    for record in records.values():
        if record.provenance:
            continue
        resource = from_record(record)
        values["exists", record.uuid] = True
        values["named", record.type, record.fq_name] = record.uuid
        member(("all", record.type), record.uuid)
        if record.parent is not None:
            member(("children", record.parent, record.type), record.uuid)
        for edge in record.edges:
            member(("referrers", edge.target, record.type, edge.field), record.uuid)
        for name in resource.__struct_fields__:
            values["field", record.uuid, name] = getattr(resource, name)
    for space in POOLS:
        for owner, number in graph.allocations.held(space):
            values["claim", space, owner] = number
    return values


RESOURCES: list[list[Resource]] = [
    [system(64512), system(64999), system(64512, ibgp_auto_mesh=False)],
    [ONE, network("vn1", fabric_snat=True), network("vn1", mtu=1400)],
    [TWO, network("vn2", export_route_target_list=targets("target:65000:1"))],
    [interface("vmi", ONE), interface("vmi", TWO), interface("vmi", ONE, TWO)],
    [group("sg1", 8000001), group("sg1", 8000009), group("sg1", 8000001, rule(LOCAL, ANY))],
    [group("sg2", 8000002, rule(AddressType(security_group="default-domain:p:sg1"), LOCAL))],
    [router("a"), router("a", cluster_id=1), router("a", autonomous_system=1)],
    [router("b"), router("b", hold_time=9)],
]
STEP = st.integers(0, len(RESOURCES) - 1).flatmap(
    lambda i: st.tuples(st.just(i), st.integers(-1, len(RESOURCES[i]) - 1))
)


def deliver(compiler: Compiler, records: dict[str, Record], step: tuple[int, int]) -> None:
    which, state = step
    kind = ChangeKind.UPDATED if state >= 0 else ChangeKind.DELETED
    made = change(kind, RESOURCES[which][state], created=which + 1)
    if state >= 0:
        records[made.record.uuid] = made.record
    else:
        records.pop(made.record.uuid, None)
    compiler.apply([made])


def differences(before: Inputs, after: Inputs) -> set[tuple[Any, ...]]:
    return {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}


@settings(max_examples=150, deadline=None)
@given(bursts=st.lists(st.lists(STEP, min_size=1, max_size=4), min_size=1, max_size=8))
def test_only_queries_that_read_something_that_changed_run(
    bursts: list[list[tuple[int, int]]],
) -> None:
    compiler = Compiler()
    engine = compiler.graph.engine
    records: dict[str, Record] = {}
    ran: list[tuple[str, tuple[Hashable, ...]]] = []
    engine.on_run = lambda *run: ran.append(run)
    for burst in bursts:
        read_before = {memo: engine.inputs_of(*memo) for memo in engine.memos()}
        ran.clear()
        changed: set[tuple[Any, ...]] = set()
        before = naive_inputs(compiler.graph, records)
        for step in burst:
            deliver(compiler, records, step)
            after = naive_inputs(compiler.graph, records)
            changed |= differences(before, after)
            before = after
        while compiler.run():
            pass
        changed |= differences(before, naive_inputs(compiler.graph, records))
        for run in set(ran):
            reads = read_before.get(run)
            # New, or it depended on something that is another now (or became so on the way).
            assert reads is None or (reads | engine.inputs_of(*run)) & changed
        claimed = any(key[0] == "claim" for key in changed)
        assert claimed or len(ran) == len(set(ran))
        assert set(engine.inputs()) >= set().union(
            *(engine.inputs_of(*memo) for memo in engine.memos())
        )
