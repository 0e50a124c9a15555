"""Reachability depends on the networks alone, not on hosts or encapsulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.system.conftest import demo_spec
from tungsten.lab import demo
from tungsten.lab.demo import Reach
from tungsten.lab.lab import Lab
from tungsten.lab.spec import LabSpec, Workload

WORKLOADS = {
    "b1": Workload("compute1", "blue"),
    "b2": Workload("compute1", "blue"),
    "b3": Workload("compute2", "blue"),
    "r1": Workload("compute1", "red"),
    "r2": Workload("compute2", "red"),
}


def spec_with(encapsulation: str) -> LabSpec:
    """The demo's hosts and networks, and workloads in every placement."""
    base = demo_spec()
    config: dict[str, Any] = {"encapsulation_priorities": {"encapsulation": [encapsulation]}}
    return LabSpec(
        hosts=base.hosts,
        networks=base.networks,
        workloads=WORKLOADS,
        global_vrouter_config=config,
    )


@pytest.mark.parametrize(("encapsulation", "port"), [("MPLSoUDP", 6635), ("VXLAN", 4789)])
def test_the_matrix_of_placements(
    make_lab: Callable[[LabSpec], Lab], encapsulation: str, port: int
) -> None:
    lab = make_lab(spec_with(encapsulation))
    wrong = []
    for source, one in WORKLOADS.items():
        for target, two in WORKLOADS.items():
            if source != target:
                same = one.network == two.network
                pair = Reach(source, target, same, f"{one.host} to {two.host}")
                answered, summary = demo.ping(lab, pair, count=2)
                if answered != same:
                    wrong.append(f"{pair}: {summary}")
    assert wrong == []
    assert f".{port}: " in demo.capture(lab, "b1", "b3", port)
