"""A change runs the queries that read what changed, and no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

import pytest
from tests.unit.compiler.intent import ANY, LOCAL, group, interface, network, rule, system, targets

from tungsten.compiler.compile import Compiler
from tungsten.model import Resource
from tungsten.model.traffic import AddressType
from tungsten.store.base import Change, ChangeKind
from tungsten.store.records import to_record


class Bench:
    """A compiler without a store: objects go in, runs come out."""

    def __init__(self, *resources: Resource) -> None:
        self.compiler = Compiler()
        self.log: list[tuple[str, tuple[Hashable, ...]]] = []
        self.compiler.graph.engine.on_run = lambda *run: self.log.append(run)
        self.compiler.load([to_record(resource) for resource in resources], {})
        self.work()

    def work(self) -> None:
        while self.compiler.run():
            pass

    def deliver(self, *changes: tuple[ChangeKind, Resource]) -> Counter[str]:
        """The runs, by query, that changes cause."""
        self.log.clear()
        self.compiler.apply(Change(kind, to_record(resource)) for kind, resource in changes)
        self.work()
        return Counter(name for name, _ in self.log)

    def create(self, *resources: Resource) -> Counter[str]:
        return self.deliver(*((ChangeKind.CREATED, resource) for resource in resources))

    def update(self, *resources: Resource) -> Counter[str]:
        return self.deliver(*((ChangeKind.UPDATED, resource) for resource in resources))

    def delete(self, *resources: Resource) -> Counter[str]:
        return self.deliver(*((ChangeKind.DELETED, resource) for resource in resources))


NETWORKS = [network(f"vn{i}") for i in range(10)]
INTERFACES = [interface(f"vmi{i}", NETWORKS[i]) for i in range(10)]


@pytest.fixture
def bench() -> Bench:
    return Bench(system(), *NETWORKS, *INTERFACES, group("a", 8000001, rule(ANY, LOCAL)))


#: What a new network costs: its name, the wish for a number, and the rest once it has it.
NEW_NETWORK = {
    "network": 2,
    "primary_instance": 1,
    "has_own_target": 1,
    "own_target": 2,
    "configured_targets": 1,
    "route_targets": 1,
}


def test_a_new_network_costs_the_same_however_many_there_are(bench: Bench) -> None:
    assert bench.create(network("new")) == NEW_NETWORK


def test_an_edit_of_what_nothing_reads_runs_nothing(bench: Bench) -> None:
    assert bench.update(network("vn1", display_name="x", mtu=1400, is_shared=True)) == {}


def test_the_same_state_again_runs_nothing(bench: Bench) -> None:
    assert bench.update(*NETWORKS, *INTERFACES, system()) == {}


def test_a_listed_target_runs_the_one_network(bench: Bench) -> None:
    listed = network("vn3", route_target_list=targets("target:65000:1"))
    expected = {"configured_targets": 1, "route_targets": 1, "network": 1}
    assert bench.update(listed) == expected
    # The same targets listed otherwise: the list is read again, and that is all.
    same = targets("target:65000:1")
    other = network("vn3", import_route_target_list=same, export_route_target_list=same)
    assert bench.update(other) == {"configured_targets": 1}


def test_a_property_of_the_instance_runs_the_root_alone(bench: Bench) -> None:
    assert bench.update(network("vn3", fabric_snat=True)) == {"network": 1}


def test_a_moved_interface_runs_alone(bench: Bench) -> None:
    assert bench.update(interface("vmi1", NETWORKS[2])) == {"interface": 1}


def test_a_deleted_interface_runs_nothing(bench: Bench) -> None:
    assert bench.delete(INTERFACES[1]) == {}


def test_a_deleted_network_runs_only_who_was_in_it(bench: Bench) -> None:
    runs = bench.delete(INTERFACES[3], NETWORKS[3])
    assert runs == {}
    # primary_instance finds no network any more: so does who still names it.
    assert bench.delete(NETWORKS[4]) == {"primary_instance": 1, "interface": 1}


def test_another_as_runs_what_names_targets_and_nothing_else(bench: Bench) -> None:
    expected = {
        "global_as": 1,
        "route_target_pool": 1,
        "own_target_prefix": 1,
        "own_target": 10,
        "route_targets": 10,
        "network": 10,
    }
    assert bench.update(system(64999)) == expected
    assert bench.update(system(64999, ibgp_auto_mesh=False)) == {}


def test_a_group_id_runs_the_groups_that_name_it() -> None:
    web = group("web", 8000001)
    by_name = rule(AddressType(security_group=":".join(web.fq_name)), LOCAL)
    others = [group(f"g{i}", 8000010 + i, by_name if i < 2 else rule(ANY, LOCAL)) for i in range(5)]
    bench = Bench(web, *others)
    assert bench.update(group("web", 8000009)) == {"group_id": 1, "security_group": 2}
    assert bench.delete(group("web", 8000009)) == {"group_id": 1, "security_group": 2}
    assert bench.create(web) == {"group_id": 1, "security_group": 3}


def test_what_is_gone_is_forgotten(bench: Bench) -> None:
    bench.delete(*INTERFACES, *NETWORKS, group("a", 8000001))
    bench.delete(system())
    assert bench.compiler.graph.engine.memos() == []
    assert bench.compiler.graph.engine.inputs() == []
    assert bench.compiler.wanted.keys() == []


def test_a_burst_of_edits_of_one_object_is_one_run(bench: Bench) -> None:
    edits = [network("vn1", route_target_list=targets(f"target:65000:{i}")) for i in range(50)]
    expected = {"configured_targets": 1, "route_targets": 1, "network": 1}
    assert bench.update(*edits) == expected
