"""What the control node keeps of an object, and what a change costs beside many others."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from tests.unit.control.control_world import (
    GLOBAL,
    basics,
    instance,
    network,
    port,
    target,
)
from tests.unit.control.test_order_of_arrival import METADATA, Listener

from tungsten.control.config_export import ConfigClient, ConfigExporter
from tungsten.control.config_graph import ConfigGraph, Link
from tungsten.control.config_instances import changed_instances
from tungsten.control.config_nodes import Node, Recent, Unreadable, read
from tungsten.control.config_traversal import FOLLOWED
from tungsten.model import RESOURCE_TYPES, Resource
from tungsten.store.base import Change, ChangeKind, Record
from tungsten.store.records import to_record
from tungsten.testing.calls import counted_calls
from tungsten.testing.population import Population

#: Bytes that may be kept of an object.
MOST_BYTES = 1400


def filled(records: list[Record]) -> ConfigGraph:
    graph = ConfigGraph()
    graph.fill(map(read, records))
    return graph


def records_of(population: Population, ports: int) -> list[Record]:
    return [to_record(one) for one in population.objects(ports)]


def test_an_object_is_kept_in_few_bytes() -> None:
    population, ports = Population(5, 50), 1000
    filled(records_of(population, 10))  # decoders and the like are made once
    records = records_of(population, ports)
    gc.collect()
    tracemalloc.start()
    try:
        graph = filled(records)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(list(graph.nodes())) == len(records)
    assert size / len(records) < MOST_BYTES


def test_a_change_costs_the_same_among_few_and_among_many_objects() -> None:
    costs = []
    for ports in (100, 2000):
        population = Population(5, 50)
        # Networks that agents follow, each with more and more ports.
        graph = filled([*basics("c1"), *port("p", "m1", "a"), *records_of(population, ports)])
        exporter = ConfigExporter(graph)
        agent: Any = Listener()
        exporter.subscribe_machine(exporter.add(f"{GLOBAL}:c1", agent), "m1")
        exporter.flush()
        # What is made once, for all that follow, is made for the first.
        graph.apply(created_of(population.port(ports)))
        created = created_of(population.port(ports + 1))
        deleted = [Change(ChangeKind.DELETED, change.record) for change in reversed(created)]
        counts = []
        for changes in (created, created, deleted):
            with counted_calls() as calls:
                delta = graph.apply(changes)
                changed_instances(graph, delta)
                exporter.graph_changed(delta)
                exporter.flush()
            counts.append(calls[0])
        costs.append(counts)
    few, many = costs
    for one, other in zip(few, many, strict=True):
        # Not equal to the call: a garbage collection may come between.
        assert abs(other - one) <= 20


def created_of(resources: Iterable[Resource]) -> list[Change]:
    return [Change(ChangeKind.CREATED, to_record(one)) for one in resources]


def state(graph: ConfigGraph) -> Any:
    nodes = list(graph.nodes())
    return (
        {node.vertex: (node.uuid, node.body) for node in nodes},
        {link for node in nodes for link in graph.links(node)},
        {each.vertex: each.body for node in nodes for each in graph.attributes(node)},
        {
            (node.vertex, join.metadata, join.between, join.other.vertex)
            for node in nodes
            for join in graph.joins(node, METADATA)
        },
    )


def test_a_graph_filled_at_once_is_the_one_that_changes_make() -> None:
    records = [
        *basics("c1"),
        *(target(8000001 + number) for number in range(3)),
        *(network(name, number) for number, name in enumerate("abc")),
        *(instance(name, t8000001="both", t8000002="import") for name in "abc"),
        *(
            each
            for number in range(20)
            for each in port(f"p{number}", f"m{number}", "abc"[number % 3])
        ),
    ]
    at_once = filled(records)
    draw = random.Random(5)
    for _ in range(5):
        draw.shuffle(records)
        one_by_one, links = ConfigGraph(), set[Link]()
        for record in records:
            delta = one_by_one.apply([Change(ChangeKind.CREATED, record)])
            assert not links & delta.links_added
            links = (links | delta.links_added) - delta.links_removed
        assert state(one_by_one) == state(at_once)
        assert links == state(at_once)[1]
        # And what is told of each that goes leaves nothing.
        for record in draw.sample(records, len(records)):
            delta = one_by_one.apply([Change(ChangeKind.DELETED, record)])
            assert delta.links_removed <= links
            links -= delta.links_removed
            assert links == state(one_by_one)[1]
        assert not links
        assert not list(one_by_one.nodes())


def test_what_agents_are_told_of_a_node_does_not_depend_on_the_form_it_is_kept_in() -> None:
    port_record, address = records_of(Population(1, 1), 1)[-2:]
    node, other = read(port_record), read(address)
    assert isinstance(node, Node)
    assert isinstance(other, Node)
    assert b"<uuid-mslong>" in node.body
    assert b"<created>2026-01-01T00:00:00.000000</created>" in node.body
    assert b"<instance-ip-address>10.0.0.0</instance-ip-address>" in other.body
    assert b"refs" not in node.json
    assert isinstance(read(Record("u", "instance-ip", ("x",), None, (), b"[]")), Unreadable)


def test_who_says_what_a_link_says_is_sent_with_it() -> None:
    """From whichever end the walk comes to such a node, it goes on to the record that says it."""
    for declared in RESOURCE_TYPES.values():
        for reference in declared.references.values():
            if reference.attr is not None and reference.link in FOLLOWED:
                assert declared.name in FOLLOWED, reference
                assert reference.link in FOLLOWED[reference.link], reference


def test_bodies_are_kept_up_to_so_many_bytes() -> None:
    made: list[bytes] = []

    def make(_name: str, json: bytes) -> bytes:
        made.append(json)
        return json * 2

    recent = Recent(90)
    for json in (b"1" * 10, b"2" * 10, b"1" * 10, b"3" * 10, b"1" * 10, b"4" * 10):
        assert recent.get(("node", json), make) == json * 2
    # The fourth took the place of the second, which nobody had asked for again.
    assert [json[:1] for json in made] == [b"1", b"2", b"3", b"4"]
    recent.get(("node", b"2" * 10), make)
    recent.get(("node", b"1" * 10), make)
    assert [json[:1] for json in made[4:]] == [b"2"]
    assert recent.get(("node", b"5" * 100), make) == b"5" * 200
    recent.get(("node", b"5" * 100), make)
    assert [json[:1] for json in made[5:]] == [b"5", b"5"]


def test_a_port_that_comes_or_goes_concerns_its_host_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many hosts have ports in the same network."""
    hosts = 40
    names = [f"c{number}" for number in range(hosts)]
    records = [*basics(*names), network("a", 4), target(8000001), instance("a", t8000001="both")]
    for name in names:
        records += port(f"p-{name}", f"m-{name}", "a")
    graph = filled(records)
    exporter = ConfigExporter(graph)
    listeners = [Listener() for _ in names]
    clients = [
        exporter.add(f"{GLOBAL}:{name}", listener)
        for name, listener in zip(names, listeners, strict=True)
    ]
    for name, client in zip(names, clients, strict=True):
        exporter.subscribe_machine(client, f"m-{name}")
    while exporter.flush():
        pass
    walked: list[str] = []
    walk = ConfigExporter._walk

    def noted(self: ConfigExporter, client: ConfigClient) -> None:
        walked.append(client.name)
        walk(self, client)

    monkeypatch.setattr(ConfigExporter, "_walk", noted)
    before = [client.messages for client in clients]
    extra = port("extra", "m-c7", "a")[1]
    for kind in (ChangeKind.CREATED, ChangeKind.DELETED):
        exporter.graph_changed(graph.apply([Change(kind, extra)]))
        exporter.flush()
        there = ("virtual-machine-interface", "default-domain:demo:extra") in listeners[7].nodes
        assert there == (kind is ChangeKind.CREATED)
    assert walked == [f"{GLOBAL}:c7"]
    told = [client.messages - was for client, was in zip(clients, before, strict=True)]
    assert [number for number, count in enumerate(told) if count] == [7]
