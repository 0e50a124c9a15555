"""What the compiler keeps of an object, and what a change costs beside many others."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

from tungsten.compiler.compile import Compiler
from tungsten.compiler.service import CompilerService
from tungsten.model import Resource, VirtualMachineInterface
from tungsten.store.base import Change, ChangeKind, Transaction
from tungsten.store.records import to_record
from tungsten.store.sqlite import SqliteStore
from tungsten.testing.calls import counted_calls
from tungsten.testing.population import Population
from tungsten.testing.settling import settled

#: Bytes that may be kept of an object, half of them addresses, of which nothing is.
MOST_BYTES = 1300


def compiled(population: Population, ports: int) -> Compiler:
    """A compiler that has compiled everything for some ports."""
    compiler = Compiler()
    compiler.load(map(to_record, population.objects(ports)), {})
    while compiler.run():
        pass
    return compiler


async def written(file: Path, population: Population, ports: int) -> Compiler:
    """A compiler that has compiled everything, and has seen that it is written."""
    store = SqliteStore.open(file)

    def create(tx: Transaction) -> None:
        for one in population.objects(ports):
            tx.create(to_record(one))

    await store.transact(create)
    service = CompilerService(store)
    await service.start()
    await settled(store, service)
    await service.stop()
    await store.close()
    return service.compiler


def test_an_object_is_kept_in_few_bytes() -> None:
    population, ports = Population(5, 50), 1000
    compiled(population, 10)  # decoders and the like are made once
    gc.collect()
    tracemalloc.start()
    try:
        compiler = compiled(population, ports)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(compiler.wanted.keys()) > ports
    assert size / (2 * ports) < MOST_BYTES


def cost(compiler: Compiler, kind: ChangeKind, *resources: Resource) -> tuple[int, int]:
    """Calls that a change takes until it is known what to write, and how much that is."""
    changes = [Change(kind, to_record(one)) for one in resources]
    with counted_calls() as calls:
        compiler.apply(changes)
        while compiler.run():
            pass
        operations = compiler.plan(compiler.dirty())
    return calls[0], len(operations)


async def test_a_change_costs_the_same_among_few_and_among_many_objects(tmp_path: Path) -> None:
    costs = []
    for ports in (100, 1000):
        population = Population(5, 50)
        compiler = await written(tmp_path / f"{ports}.db", population, ports)
        assert not compiler.dirty()
        port, address = population.port(ports)
        first = cost(compiler, ChangeKind.CREATED, port, address)
        moved = population.port(ports + 1)[0]
        assert isinstance(port, VirtualMachineInterface)
        assert isinstance(moved, VirtualMachineInterface)
        port.virtual_network_refs = moved.virtual_network_refs
        second = cost(compiler, ChangeKind.UPDATED, port)
        third = cost(compiler, ChangeKind.DELETED, address, port)
        costs.append((first, second, third))
    (few, many) = costs
    assert [operations for _, operations in few] == [1, 1, 0]
    # Not equal to the call: a dict of more members may compare once more.
    for (calls, operations), (more_calls, as_many) in zip(few, many, strict=True):
        assert as_many == operations
        assert abs(more_calls - calls) <= 20


def test_nothing_is_kept_of_what_nobody_reads() -> None:
    compiler = Compiler()
    port, address = Population(1, 1).port(0)
    assert isinstance(port, VirtualMachineInterface)
    compiler.load([to_record(port), to_record(address)], {})
    assert compiler.graph.record(address.uuid) is None
    held = compiler.graph.record(port.uuid)
    assert held is not None
    plain = VirtualMachineInterface(
        uuid=port.uuid,
        fq_name=port.fq_name,
        parent_uuid=port.parent_uuid,
        virtual_network_refs=port.virtual_network_refs,
    )
    assert held.resource() == plain
