"""A lab file is refused with the place and the reason, or read as it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tungsten.lab import spec as specs
from tungsten.lab import state
from tungsten.lab.spec import LabError, Role, StoreKind


def tree(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "hosts": {
            "controller": {"role": "controller", "address": "172.30.0.2/24"},
            "compute1": {"role": "compute", "address": "172.30.1.2/24"},
        },
        "networks": {"blue": {"subnet": "10.0.1.0/24"}},
        "workloads": {"vm1": {"host": "compute1", "network": "blue"}},
    }
    return base | changes


def hosts(controller: str, compute1: str = "172.30.1.2/24") -> dict[str, Any]:
    """A change of the hosts' addresses."""
    return {
        "hosts": {
            "controller": {"role": "controller", "address": controller},
            "compute1": {"role": "compute", "address": compute1},
        }
    }


def test_the_demo_file_is_a_lab() -> None:
    path = Path(specs.__file__).with_name("demo.yaml")
    lab = specs.load(path)
    assert lab.with_role(Role.COMPUTE) == ["compute1", "compute2"]
    assert lab.controllers == ["controller"]
    assert set(lab.workloads) == {"vm1", "vm2", "vm3", "vm4"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hosts": {}}, "exactly one host with role controller"),
        ({"colour": 1}, "unknown field `colour`"),
        ({"workloads": {"vm1": {"host": "nowhere", "network": "blue"}}}, "'nowhere' is no compute"),
        ({"workloads": {"vm1": {"host": "compute1", "network": "x"}}}, "no network 'x'"),
        ({"networks": {"blue": {"subnet": "10.0.1.1/24"}}}, "has host bits set"),
        ({"networks": {"Blue": {"subnet": "10.0.1.0/24"}}}, "network name 'Blue'"),
        (
            {
                "hosts": {
                    "a": {"role": "controller", "address": "10.9.0.2/24"},
                    "compute1": {"role": "compute", "address": "10.9.0.3/24"},
                }
            },
            "hosts a and compute1 share 10.9.0.0/24",
        ),
        (hosts("10.9.0.2/16", "10.9.1.3/24"), "hosts controller and compute1 share 10.9.1.0/24"),
        (hosts("10.9.0.2/32"), "the prefix is at most /30"),
        (hosts("10.9.0.1/24"), "10.9.0.1 is the fabric router's"),
        (hosts("10.9.0.255/24"), "10.9.0.255 name the subnet"),
        (hosts("10.9.0.256/24"), "host controller: address"),
        ({"fabric": {"mtu": 10}}, "`int` >= 576 - at `$.fabric.mtu`"),
        (
            {"hosts": {"fabric": {"role": "controller", "address": "10.9.0.2/24"}}},
            "the name 'fabric' is taken",
        ),
    ],
)
def test_a_wrong_lab_is_refused_with_its_reason(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(LabError) as caught:
        specs.parse(tree(**changes), "lab.yaml")
    assert words in str(caught.value)
    assert "lab.yaml" in str(caught.value)


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text("hosts: [")
    with pytest.raises(LabError, match="not YAML"):
        specs.load(path)


@pytest.mark.parametrize("name", ["", "Demo", "a-b", "../x", "x" * 30, "9lab"])
def test_a_lab_name_is_short_and_plain(name: str) -> None:
    with pytest.raises(LabError, match="does not match"):
        state.check_name(name)


def test_the_store_is_sqlite_or_etcd() -> None:
    assert specs.parse(tree(), "x").store is StoreKind.SQLITE
    assert specs.parse(tree(store="etcd"), "x").store is StoreKind.ETCD
    with pytest.raises(LabError, match="store"):
        specs.parse(tree(store="cassandra"), "x")
